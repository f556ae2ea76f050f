"""Worlds in which nobody abuses anything: whoever is stopped here is stopped wrongly."""

from analytics.simulation.population import Kind
from analytics.simulation.trial.bag import Bag
from analytics.simulation.trial.flows import Audience, Flow, Habits, rhythmic, spread
from analytics.simulation.trial.mail import DAY, HOUR, World
from analytics.simulation.trial.stage import START, Stage

_MONTH = 30.0
_GRANTED = 5_000  # recipients an hour for who has to send newsletters


def transactional(seed: int, bag: Bag, days: float = _MONTH) -> World:
    """Shops and services on their own machines, 20 to 700 messages a day each."""
    stage = Stage("transactional", seed, bag, days)
    for number, per_day in enumerate((20, 40, 80, 150, 300, 700)):
        account = stage.account(f"app{number}", hourly=500)
        box = stage.actor(account, "no-reply", (Kind.ORDER, Kind.SHIPMENT, Kind.RESET))
        stage.usual(box, per_day, "shop" if number % 2 else "flat")
    return stage.world()


def newsletter(seed: int, bag: Bag, days: float = _MONTH) -> World:
    """Two campaigns a week to 1,500 members, 0.5 % of them gone at first."""
    stage = Stage("newsletter", seed, bag, days)
    for number in range(4):
        box = stage.actor(stage.account(f"news{number}", hourly=_GRANTED), "news", (Kind.NEWSLETTER,))
        audience = Audience(stage.rng, 1_500, dead=0.005)
        for day in range(int(days)):
            if day % 7 in (1, 3):
                begin = START + day * DAY + (8 + number) * HOUR
                stage.campaign(box, spread(stage.rng, begin, HOUR, 1_500), audience)
    return stage.world()


def small_shop(seed: int, bag: Bag, days: float = _MONTH) -> World:
    """Sixty sites of one shared server, five to thirty messages a day each."""
    stage = Stage("small-shop", seed, bag, days)
    account = stage.account("sunhost", is_shared=True)
    for number in range(60):
        kinds = (Kind.FORM, Kind.ORDER) if number % 2 else (Kind.FORM, Kind.RESET, Kind.APPOINTMENT)
        stage.usual(stage.actor(account, f"web{number:02d}", kinds), stage.rng.uniform(5, 30), "shop")
    return stage.world()


def forwarder(seed: int, bag: Bag, days: float = _MONTH) -> World:
    """Passes on its members' mail: one in twelve is what strangers spam."""
    stage = Stage("forwarder", seed, bag, days)
    box = stage.actor(stage.account("forwardia", hourly=500), "srs", (Kind.PERSONAL, Kind.NEWSLETTER), forwards=True)
    members = Audience(stage.rng, 240)
    dice = stage.dice()
    stage.add(Flow(box, rhythmic(dice, START, days, 180, "flat"), stage.templates(box, 30), members))
    spam = stage.bag.abusive(stage.rng, box, 40)
    # nobody's abuse: the forwarder has not written it, and its members' other mail must go on
    stage.add(Flow(box, rhythmic(stage.dice(), START, days, 16, "flat"), spam, members, Habits(complaints=0.002)))
    return stage.world()


def university(seed: int, bag: Bag, days: float = _MONTH) -> World:
    """Eighty people, and a list of two thousand once a week."""
    stage = Stage("university", seed, bag, days)
    account = stage.account("waldstadt", hourly=_GRANTED)
    for number in range(80):
        stage.usual(stage.actor(account, f"person{number}", (Kind.PERSONAL,)), stage.rng.uniform(2, 12), "office")
    lists, members = stage.actor(account, "news", (Kind.NEWSLETTER,)), Audience(stage.rng, 2_000, dead=0.01)
    for day in range(2, int(days), 7):
        stage.campaign(lists, spread(stage.rng, START + day * DAY + 9 * HOUR, 2 * HOUR, 2_000), members)
    return stage.world()


def monthly_invoices(seed: int, bag: Bag, days: float = _MONTH) -> World:
    """Silent for weeks, then eight hundred invoices in two hours; 2 % of the addresses have gone meanwhile."""
    stage = Stage("monthly-invoices", seed, bag, days)
    for number in range(6):
        box = stage.actor(stage.account(f"utility{number}", hourly=1_000), "billing", (Kind.INVOICE,))
        clients = Audience(stage.rng, 800, dead=0.02)
        for day in range(1, int(days), 29):
            begin = START + day * DAY + 7 * HOUR
            instants = spread(stage.rng, begin, 2 * HOUR, 800)
            stage.add(Flow(box, instants, stage.templates(box, 3), clients, Habits(is_list=True)))
    return stage.world()


def new_customer(seed: int, bag: Bag, days: float = _MONTH) -> World:
    """Accounts that are opened in the first days; all their senders are new at once."""
    stage = Stage("new-customer", seed, bag, days)
    for number in range(6):
        begin = START + number * 0.3 * DAY
        account = stage.account(f"fresh{number}", age_days=-number * 0.3)
        for box in range(5):
            actor = stage.actor(account, f"box{box}", (Kind.RESET, Kind.ORDER, Kind.PERSONAL))
            stage.usual(actor, stage.rng.uniform(10, 60), "flat", begin=begin)
    return stage.world()


def seasonal_spike(seed: int, bag: Bag, days: float = _MONTH) -> World:
    """Shops that send twelve times as much for four days."""
    stage = Stage("seasonal-spike", seed, bag, days)
    for number in range(6):
        box = stage.actor(stage.account(f"shop{number}", hourly=500), "orders", (Kind.ORDER, Kind.SHIPMENT))
        stage.usual(box, 50, "shop")
        sale = rhythmic(stage.dice(), START + (days // 2) * DAY, min(4.0, days / 2), 550, "shop")
        people = Audience(stage.rng, 3_000, dead=0.01)
        stage.add(Flow(box, sale, stage.templates(box), people, Habits(strangers=0.4)))
    return stage.world()


def migration(seed: int, bag: Bag, days: float = _MONTH) -> World:
    """A list of four thousand moves in with 6 % dead addresses, and is written to for the first time in three days."""
    stage = Stage("migration", seed, bag, days)
    for number in range(3):
        box = stage.actor(stage.account(f"moved{number}", hourly=1_000), "news", (Kind.NEWSLETTER,))
        members = Audience(stage.rng, 4_000, dead=0.06)
        for day in range(3):
            begin = START + day * DAY + 9 * HOUR
            stage.campaign(box, spread(stage.rng, begin, 6 * HOUR, 1_333), members)
        for day in range(7, int(days), 7):
            stage.campaign(box, spread(stage.rng, START + day * DAY + 9 * HOUR, 6 * HOUR, 3_700), members)
    return stage.world()
