"""Worlds in which somebody is abused among honest senders, who are there before, meanwhile and after.

An attack begins two days before the end, in the morning, after a week in which everybody behaved.
"""

from dataclasses import replace

from analytics.simulation.population import Kind
from analytics.simulation.trial.bag import Bag
from analytics.simulation.trial.flows import Audience, Flow, Habits, rhythmic, spread
from analytics.simulation.trial.mail import DAY, HOUR, Actor, World
from analytics.simulation.trial.stage import START, Stage

_DAYS = 9.0
_ELSEWHERE = "203.0.113.77"
_BOUGHT = Habits(complaints=0.02, strangers=1.0, dead_strangers=0.08, is_abusive=True, client_ip=_ELSEWHERE)
_VARIETY = 60  # texts that one attack draws from


def hijacked_mailbox(seed: int, bag: Bag, days: float = _DAYS) -> World:
    """The password of a sender with two thousand honest messages a day is stolen: one phish each two seconds."""
    stage = Stage("hijacked-mailbox", seed, bag, days)
    account = stage.account("waldstadt", hourly=2_000)
    for number in range(12):
        stage.usual(stage.actor(account, f"person{number}", (Kind.PERSONAL,)), stage.rng.uniform(4, 15), "office")
    victim = stage.actor(account, "office", (Kind.APPOINTMENT, Kind.PERSONAL))
    stage.usual(victim, 2_000, "office")
    _strike(stage, victim, seconds=2 * HOUR, count=3_600)
    return stage.world(_begin(days))


def hacked_plugin(seed: int, bag: Bag, days: float = _DAYS) -> World:
    """One WordPress of forty sites on a shared server, each its own Unix user: four messages a second."""
    stage = Stage("hacked-plugin", seed, bag, days)
    sites = _shared_server(stage)
    _strike(stage, sites[seed % len(sites)], seconds=1_200, count=4_800)
    return stage.world(_begin(days))


def one_text(seed: int, bag: Bag, days: float = _DAYS) -> World:
    """A hacked WordPress as above, which sends one text and no other, whatever the model thinks of it."""
    stage = Stage("one-text", seed, bag, days)
    sites = _shared_server(stage)
    _strike(stage, sites[seed % len(sites)], seconds=1_200, count=4_800, variety=1)
    return stage.world(_begin(days))


def list_bomb(seed: int, bag: Bag, days: float = _DAYS) -> World:
    """A subscription form is fed with strangers' addresses: harmless confirmations, one a second, nobody asked for."""
    stage = Stage("list-bomb", seed, bag, days)
    sites = _shared_server(stage)
    form = sites[seed % len(sites)]
    texts = stage.bag.honest(stage.rng, replace(form, end=replace(form.end, kinds=(Kind.FORM,))), 2)
    habits = replace(_BOUGHT, complaints=0.01, dead_strangers=0.03, client_ip=form.client_ip)
    stage.add(Flow(form, spread(stage.rng, _begin(days), 2 * HOUR, 7_200), texts, None, habits))
    return stage.world(_begin(days))


def credential_test(seed: int, bag: Bag, days: float = _DAYS) -> World:
    """A thief tries a stolen login: ten mails to himself that carry it, one each six minutes."""
    stage = Stage("credential-test", seed, bag, days)
    sites = _shared_server(stage)
    victim = sites[seed % len(sites)]
    texts = stage.bag.credentials(stage.rng, victim, 10)
    habits = replace(_BOUGHT, complaints=0.0, dead_strangers=0.0)
    stage.add(Flow(victim, spread(stage.rng, _begin(days), HOUR, 10), texts, None, habits))
    return stage.world(_begin(days))


def snowshoe(seed: int, bag: Bag, days: float = 3.0) -> World:
    """Forty senders that nobody knew, of one account, each six spams an hour for a day."""
    stage = Stage("snowshoe", seed, bag, days)
    account = stage.account("sunhost", is_shared=True)
    for number in range(20):
        stage.usual(stage.actor(account, f"web{number:02d}", (Kind.FORM, Kind.ORDER)), 15, "flat")
    texts = stage.bag.abusive(stage.rng, stage.actors[0], 4 * _VARIETY)
    begin = _begin(days)
    for number in range(40):
        actor = stage.actor(account, f"x{number:02d}", (Kind.FORM,))
        stage.add(Flow(actor, rhythmic(stage.dice(), begin, 1.0, 144, "flat"), texts, None, _BOUGHT))
    return stage.world(begin)


def hijacked_crowd(seed: int, bag: Bag, days: float = _DAYS) -> World:
    """Forty known people of one account are hijacked at once, each sends six spams an hour for a day."""
    stage = Stage("hijacked-crowd", seed, bag, days)
    account = stage.account("waldstadt")
    people = [stage.actor(account, f"person{number}", (Kind.PERSONAL,)) for number in range(60)]
    for person in people:
        stage.usual(person, stage.rng.uniform(4, 15), "office")
    texts = stage.bag.abusive(stage.rng, people[0], 4 * _VARIETY)
    for person in people[:40]:
        stage.add(Flow(person, rhythmic(stage.dice(), _begin(days), 1.0, 144, "flat"), texts, None, _BOUGHT))
    return stage.world(_begin(days))


def slow_drip(seed: int, bag: Bag, days: float = 21.0) -> World:
    """A shop with two hundred honest messages a day and one spam an hour among them, for two weeks."""
    stage = Stage("slow-drip", seed, bag, days)
    shop = stage.actor(stage.account("shop"), "orders", (Kind.ORDER, Kind.SHIPMENT))
    stage.usual(shop, 200, "flat")
    texts = stage.bag.abusive(stage.rng, shop, 4 * _VARIETY)
    begin = _begin(days, 14.0)
    stage.add(Flow(shop, rhythmic(stage.dice(), begin, 13.5, 24, "flat"), texts, None, _BOUGHT))
    return stage.world(begin)


def pretty_phish(seed: int, bag: Bag, days: float = _DAYS) -> World:
    """Phish in good-looking HTML that the model takes for a shop's: only receivers can tell."""
    stage = Stage("pretty-phish", seed, bag, days)
    shop = stage.actor(stage.account("shop", hourly=500), "orders", (Kind.ORDER, Kind.SHIPMENT))
    stage.usual(shop, 200, "flat")
    texts = stage.bag.disguised(stage.rng, shop, 6)
    stage.add(Flow(shop, spread(stage.rng, _begin(days), 12 * HOUR, 4_800), texts, None, _BOUGHT))
    return stage.world(_begin(days))


def stolen_key(seed: int, bag: Bag, days: float = _DAYS) -> World:
    """The key of an application that sends five hundred a day is used from another network, two messages a second."""
    stage = Stage("stolen-key", seed, bag, days)
    for number in range(5):
        other = stage.actor(stage.account(f"app{number}"), "no-reply", (Kind.RESET, Kind.ORDER))
        stage.usual(other, 100, "flat")
    app = stage.actor(stage.account("saas", hourly=500), "no-reply", (Kind.RESET, Kind.INVOICE))
    stage.usual(app, 500, "flat")
    _strike(stage, app, seconds=1_800, count=3_600)
    return stage.world(_begin(days))


def complaints(seed: int, bag: Bag, days: float = 14.0) -> World:
    """A sender of clean texts to living people who have not asked for them: 2 % complain; 25 an hour."""
    stage = Stage("complaints", seed, bag, days)
    box = stage.actor(stage.account("offers", hourly=1_000), "news", (Kind.NEWSLETTER,))
    stage.usual(stage.actor(stage.account("app"), "no-reply", (Kind.RESET,)), 100, "flat")
    habits = Habits(complaints=0.02, is_abusive=True)
    people = Audience(stage.rng, 20_000)
    instants = rhythmic(stage.dice(), START + DAY, days - 1, 600, "flat")
    stage.add(Flow(box, instants, stage.bag.bulk(stage.rng, box, 5), people, habits))
    return stage.world(START + DAY)


def bought_list(seed: int, bag: Bag, days: float = 2.0) -> World:
    """A list of which 30 % bounces, clean texts, two hundred an hour."""
    stage = Stage("bought-list", seed, bag, days)
    box = stage.actor(stage.account("offers", hourly=1_000), "news", (Kind.NEWSLETTER,))
    stage.usual(stage.actor(stage.account("app"), "no-reply", (Kind.RESET,)), 100, "flat")
    habits = Habits(complaints=0.003, strangers=1.0, dead_strangers=0.3, is_abusive=True)
    begin = _begin(days)
    instants = spread(stage.rng, begin, 10 * HOUR, 2_000)
    stage.add(Flow(box, instants, stage.bag.bulk(stage.rng, box, 5), None, habits))
    return stage.world(begin)


def _shared_server(stage: Stage) -> list[Actor]:
    account = stage.account("sunhost", is_shared=True)
    sites = [stage.actor(account, f"web{number:02d}", (Kind.FORM, Kind.ORDER)) for number in range(40)]
    for site in sites:
        stage.usual(site, stage.rng.uniform(5, 30), "shop")
    return sites


def _begin(days: float, lasting_days: float = 2.0) -> float:
    return START + max(days - lasting_days, 0.0) * DAY + 10 * HOUR


def _strike(stage: Stage, victim: Actor, *, seconds: float, count: int, variety: int = _VARIETY) -> None:
    texts = stage.bag.abusive(stage.rng, victim, variety)
    stage.add(Flow(victim, spread(stage.rng, _begin(stage.days), seconds, count), texts, None, _BOUGHT))
