"""Who lives in the demo's world: customers with their end senders, and mailbox providers. One seed makes all of it.

Every domain ends in `.example` (RFC 2606), every provider listens on loopback. Pure values: nothing here sends mail.
"""

import math
import random
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from analytics.simulation.population import APPS, FIRST, LAST, PLUGINS, SITES, App, Kind
from analytics.simulation.providers import PROVIDERS, Provider


@dataclass(frozen=True, slots=True)
class EndSender:
    """One person, site or application behind a customer's credential. `key` is the identity the relay must find."""

    key: str
    name: str
    domain: str
    mail_from: str
    language: str
    kinds: tuple[Kind, ...]
    auth_user: str = ""
    site: str = ""
    script: str = ""
    uid: int = 0


@dataclass(frozen=True, slots=True)
class Customer:
    """An account of the relay. `share` is its part of all live mail, `weekly` its messages in a week of history."""

    account: str
    reseller: str
    title: str
    domains: tuple[str, ...]
    rhythm: str
    share: float
    weekly: int
    rcpts_per_hour: int
    senders: tuple[EndSender, ...]
    recipients: tuple[str, ...]
    shared_host: bool = False

    @property
    def contact(self) -> str:
        return f"postmaster@{self.domains[0]}"


class World(NamedTuple):
    """All of them, and the addresses on the list that the hacked plugin was given."""

    seed: int
    customers: tuple[Customer, ...]
    providers: tuple[Provider, ...]
    bought_list: tuple[str, ...]

    @property
    def victims(self) -> tuple[EndSender, ...]:
        """The WordPress sites of the shared server: each demo run hacks the next one."""
        return tuple(sender for one in self.customers if one.shared_host for sender in one.senders if sender.script)

    def provider_of(self, address: str) -> Provider | None:
        domain = address.rpartition("@")[2]
        return next((one for one in self.providers if domain in one.domains), None)

    def exists(self, address: str) -> bool:
        """Tell whether a provider knows this mailbox; always the same answer for the same seed."""
        provider = self.provider_of(address)
        return provider is None or _chance(f"{self.seed}|{address}") >= provider.unknown_share


_LIST_SIZE, _LIST_DEAD = 800, 64  # of 8 % of the spammer's addresses no mailbox exists any more


def make_world(seed: int = 1) -> World:
    """Make the world of one seed; the same each time."""
    rng = seeded("world", seed)
    customers = tuple(_customers(rng))
    world = World(seed, customers, PROVIDERS, ())
    return world._replace(bought_list=_bought_list(rng, world))


def seeded(*what: object) -> random.Random:
    """Give the dice for one purpose: the same for the same words."""
    return random.Random(" ".join(map(str, what)))  # noqa: S311 - a play, no secrets


def activity(rhythm: str, weekday: int, hour: int) -> float:
    """Tell how busy a customer of this rhythm is in an hour of the week (UTC), 1.0 being its busiest."""
    match rhythm:
        case "office":
            return (1.0, 1.0, 1.0, 0.95, 0.8, 0.06, 0.04)[weekday] * _hill(hour, 10, 2.8, 0.02)
        case "shop":
            days = (0.85, 0.8, 0.8, 0.85, 0.9, 0.9, 1.0)[weekday]
            return days * max(_hill(hour, 19, 3.0, 0.04), 0.6 * _hill(hour, 11, 3.0, 0.04))
        case "campaign":
            return (0.1, 1.0, 0.15, 0.9, 0.1, 0.02, 0.3)[weekday] * _hill(hour, 8, 1.2, 0.01)
        case _:
            return (1.0, 1.0, 1.0, 1.0, 0.95, 0.75, 0.75)[weekday] * (0.35 + 0.65 * _hill(hour, 14, 5.0, 0.05))


def _hill(hour: int, top: float, width: float, floor: float) -> float:
    return floor + (1 - floor) * math.exp(-0.5 * ((hour - top) / width) ** 2)


def _chance(text: str) -> float:
    return zlib.crc32(text.encode()) / 2**32


def _customers(rng: random.Random) -> list[Customer]:
    return [_shared_server(rng), *(_app(rng, plan) for plan in APPS), _forwarder(rng)]


def _app(rng: random.Random, plan: App) -> Customer:
    domain, name = f"{plan.account}.example", plan.title.split(",")[0]
    senders = tuple(
        EndSender(f"{plan.account}|mailfrom|{box}@{domain}", name, domain, f"{box}@{domain}", plan.language, kinds)
        for box, kinds in plan.mailboxes.items()
    )
    return Customer(
        account=plan.account,
        reseller=plan.reseller,
        title=plan.title,
        domains=(domain,),
        rhythm=plan.rhythm,
        share=plan.share,
        weekly=plan.weekly,
        rcpts_per_hour=20_000,
        senders=senders,
        recipients=_people(rng, max(200, plan.weekly // 4)),
    )


def _forwarder(rng: random.Random) -> Customer:
    domain = "forwardia.example"
    sender = EndSender("forwardia|forwarded|127.0.0.1", "Forwardia", domain, f"SRS0@{domain}", "en", (Kind.PERSONAL,))
    people = _people(rng, 240)
    title = "Forwardia, forwards mail for its members"
    return Customer("forwardia", "southmail", title, (domain,), "flat", 0.04, 1300, 20_000, (sender,), people)


def _shared_server(rng: random.Random) -> Customer:
    senders = tuple(_site(number, *site) for number, site in enumerate(SITES, 1))
    domains = ("sunhost.example", *(sender.domain for sender in senders))
    # 600 recipients an hour for each of the 40 sites: five times what they send at the demo's pace
    return Customer(
        "sunhost", "nordcloud", "Sunhost, one shared hosting server", domains, "flat", 0.2, 7200, 600, senders,
        _people(rng, 2600), shared_host=True,
    )  # fmt: skip


def _site(number: int, name: str, title: str, language: str) -> EndSender:
    """Two of three sites are WordPress, which mails as its Unix user; the others use a mailbox."""
    domain = f"{name}.example"
    if number % 3 == 2:
        user = f"info@{domain}"
        kinds = (Kind.PERSONAL, Kind.APPOINTMENT)
        return EndSender(f"sunhost|x-authuser|{user}", title, domain, user, language, kinds, auth_user=user)
    user = f"web{number:02d}@srv1.sunhost.example"
    plugin = PLUGINS[number % len(PLUGINS)]
    return EndSender(
        key=f"sunhost|x-authuser|{user}",
        name=title,
        domain=domain,
        mail_from=f"wordpress@{domain}",
        language=language,
        kinds=(Kind.FORM, Kind.FORM, Kind.ORDER) if number % 2 else (Kind.FORM, Kind.RESET),
        auth_user=user,
        site=domain,
        script=f"wp-content/plugins/{plugin}/mailer.php",
        uid=1000 + number,
    )


def _people(rng: random.Random, count: int) -> tuple[str, ...]:
    return tuple(_person(rng) for _ in range(count))


def _person(rng: random.Random) -> str:
    provider = rng.choices(PROVIDERS, [one.weight for one in PROVIDERS])[0]
    first, last = rng.choice(FIRST), rng.choice(LAST)
    shape = rng.randrange(4)
    local = (f"{first}.{last}", f"{first[0]}.{last}{rng.randrange(100)}", f"{first}{rng.randrange(1000)}", f"{last}")[
        shape
    ]
    return f"{local}@{rng.choice(provider.domains)}"


def _bought_list(rng: random.Random, world: World) -> tuple[str, ...]:
    """Addresses scraped and sold: more of them are dead than on any honest list."""
    people = dict.fromkeys(_person(rng).replace("@", f"{rng.randrange(100, 999)}@") for _ in range(8000))
    living = [address for address in people if world.exists(address)]
    dead = [address for address in people if not world.exists(address)]
    chosen = living[: _LIST_SIZE - _LIST_DEAD] + dead[:_LIST_DEAD]
    rng.shuffle(chosen)
    return tuple(chosen)
