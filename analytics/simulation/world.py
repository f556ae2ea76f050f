"""Who lives in the demo's world: customers with their end senders, and mailbox providers. One seed makes all of it.

Every domain ends in `.example` (RFC 2606), every provider listens on loopback. Pure values: nothing here sends mail.
"""

import math
import random
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from analytics.simulation.providers import PROVIDERS, Provider


class Kind(StrEnum):
    """What a message is about; texts.toml has templates for each."""

    ORDER = "order"
    SHIPMENT = "shipment"
    INVOICE = "invoice"
    RESET = "reset"
    APPOINTMENT = "appointment"
    NEWSLETTER = "newsletter"
    FORM = "form"
    PERSONAL = "personal"


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

_FIRST = [
    "anna",
    "ben",
    "carla",
    "david",
    "elena",
    "felix",
    "greta",
    "hugo",
    "ines",
    "jonas",
    "karin",
    "luca",
    "marta",
    "nils",
    "olga",
    "paul",
    "rosa",
    "simon",
    "tina",
    "uwe",
    "vera",
    "walter",
    "yara",
    "zoe",
    "amelie",
    "bruno",
    "chloe",
    "diego",
    "emma",
    "fabio",
    "gloria",
    "henri",
    "irene",
    "jorge",
    "kevin",
    "laura",
    "manuel",
    "nora",
    "oscar",
    "pilar",
    "quentin",
    "raquel",
    "sofia",
    "theo",
    "ursula",
    "victor",
    "wanda",
    "xavier",
    "yves",
]
_LAST = [
    "huber",
    "weber",
    "moreau",
    "garcia",
    "rossi",
    "novak",
    "jensen",
    "keller",
    "martin",
    "lopez",
    "fischer",
    "bernard",
    "silva",
    "meyer",
    "dubois",
    "torres",
    "schmid",
    "laurent",
    "ortega",
    "braun",
    "petit",
    "vega",
    "wagner",
    "fontaine",
    "navarro",
    "becker",
    "mercier",
    "castro",
    "vogel",
    "girard",
]

_SITES = (
    ("bergblick-hotel", "Hotel Bergblick", "de"),
    ("baeckerei-lindner", "Bäckerei Lindner", "de"),
    ("casa-olivo", "Casa Olivo", "es"),
    ("atelier-verne", "Atelier Verne", "fr"),
    ("northside-cycles", "Northside Cycles", "en"),
    ("tischlerei-brandt", "Tischlerei Brandt", "de"),
    ("greenleaf-yoga", "Greenleaf Yoga", "en"),
    ("fahrschule-kempf", "Fahrschule Kempf", "de"),
    ("clinica-mirador", "Clínica Mirador", "es"),
    ("gite-des-pins", "Gîte des Pins", "fr"),
    ("harbour-dental", "Harbour Dental", "en"),
    ("blumen-seidel", "Blumen Seidel", "de"),
    ("sv-talheim", "SV Talheim", "de"),
    ("riverside-church", "Riverside Church", "en"),
    ("libreria-sol", "Librería Sol", "es"),
    ("garage-lemaire", "Garage Lemaire", "fr"),
    ("optik-wendt", "Optik Wendt", "de"),
    ("oakfield-school", "Oakfield School", "en"),
    ("weingut-harder", "Weingut Harder", "de"),
    ("musikschule-tal", "Musikschule Tal", "de"),
    ("boulangerie-paul-k", "Boulangerie Paul K", "fr"),
    ("academia-norte", "Academia Norte", "es"),
    ("keramik-ostermann", "Keramik Ostermann", "de"),
    ("elm-street-vets", "Elm Street Vets", "en"),
    ("zahnarzt-dr-ruf", "Zahnarzt Dr. Ruf", "de"),
    ("camping-des-dunes", "Camping des Dunes", "fr"),
    ("maler-kunze", "Maler Kunze", "de"),
    ("steinbach-foto", "Foto Steinbach", "de"),
    ("lakeview-rentals", "Lakeview Rentals", "en"),
    ("imkerei-sommer", "Imkerei Sommer", "de"),
    ("panaderia-rivas", "Panadería Rivas", "es"),
    ("physio-am-markt", "Physio am Markt", "de"),
    ("bright-smiles", "Bright Smiles", "en"),
    ("reisebuero-falk", "Reisebüro Falk", "de"),
    ("mairie-de-valbois", "Mairie de Valbois", "fr"),
    ("tc-rotweiss", "TC Rot-Weiß", "de"),
    ("miller-plumbing", "Miller Plumbing", "en"),
    ("hofladen-petersen", "Hofladen Petersen", "de"),
    ("notaria-campos", "Notaría Campos", "es"),
    ("kulturverein-ost", "Kulturverein Ost", "de"),
)
_PLUGINS = ("contact-form-lite", "quick-gallery", "easy-booking", "social-icons-plus")


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
    north, south = "nordcloud", "southmail"
    return [
        _shared_server(rng, north),
        _app(rng, "ledgerly", north, "Ledgerly, accounting as a service", "flat", 0.12, 4400, "en",
             {"billing": (Kind.INVOICE,), "no-reply": (Kind.RESET,), "help": (Kind.PERSONAL,)}),
        _app(rng, "parcelpilot", north, "ParcelPilot, shipment tracking", "flat", 0.14, 5400, "de",
             {"tracking": (Kind.SHIPMENT,), "konto": (Kind.RESET,)}),
        _app(rng, "briefwerk", north, "Briefwerk, newsletters for associations", "campaign", 0.1, 5600, "de",
             {"news": (Kind.NEWSLETTER,), "verein": (Kind.NEWSLETTER,), "museum": (Kind.NEWSLETTER,)}),
        _app(rng, "teeladen", north, "Teeladen, online shop", "shop", 0.06, 2300, "de",
             {"bestellung": (Kind.ORDER, Kind.SHIPMENT), "service": (Kind.PERSONAL,)}),
        _app(rng, "waldstadt", north, "Waldstadt university", "office", 0.1, 4000, "en", _campus()),
        _app(rng, "stadtwerke", north, "Stadtwerke, monthly invoices", "office", 0.04, 1500, "de",
             {"rechnung": (Kind.INVOICE,), "kundenservice": (Kind.PERSONAL, Kind.APPOINTMENT)}),
        _app(rng, "lettera", south, "Lettera, newsletters for shops", "campaign", 0.08, 4300, "fr",
             {"actu": (Kind.NEWSLETTER,), "lettre": (Kind.NEWSLETTER,)}),
        _app(rng, "lunazapatos", south, "Luna Zapatos, online shop", "shop", 0.05, 2100, "es",
             {"pedidos": (Kind.ORDER, Kind.SHIPMENT), "hola": (Kind.PERSONAL,)}),
        _app(rng, "mirador", south, "Mirador clinics, appointment reminders", "office", 0.05, 1900, "es",
             {"citas": (Kind.APPOINTMENT,), "recepcion": (Kind.PERSONAL,)}),
        _forwarder(rng, south),
        _app(rng, "tinyapps", south, "TinyApps, a new customer", "flat", 0.02, 260, "en",
             {"hello": (Kind.RESET, Kind.INVOICE)}),
    ]  # fmt: skip


def _campus() -> dict[str, tuple[Kind, ...]]:
    people = {f"{first}.{last}": (Kind.PERSONAL,) for first, last in zip(_FIRST[:9], _LAST[10:19], strict=True)}
    return {"library": (Kind.APPOINTMENT,), "accounts": (Kind.RESET,), **people}


def _app(
    rng: random.Random,
    account: str,
    reseller: str,
    title: str,
    rhythm: str,
    share: float,
    weekly: int,
    language: str,
    mailboxes: dict[str, tuple[Kind, ...]],
) -> Customer:
    domain = f"{account}.example"
    senders = tuple(
        EndSender(f"{account}|mailfrom|{box}@{domain}", title.split(",")[0], domain, f"{box}@{domain}", language, kinds)
        for box, kinds in mailboxes.items()
    )
    people = _people(rng, max(200, weekly // 4))
    return Customer(account, reseller, title, (domain,), rhythm, share, weekly, 20_000, senders, people)


def _forwarder(rng: random.Random, reseller: str) -> Customer:
    domain = "forwardia.example"
    sender = EndSender(
        "forwardia|mailfrom|srs@forwardia.example", "Forwardia", domain, f"SRS0@{domain}", "en", (Kind.PERSONAL,)
    )
    people = _people(rng, 240)
    title = "Forwardia, forwards mail for its members"
    return Customer("forwardia", reseller, title, (domain,), "flat", 0.04, 1300, 20_000, (sender,), people)


def _shared_server(rng: random.Random, reseller: str) -> Customer:
    senders = tuple(_site(number, *site) for number, site in enumerate(_SITES, 1))
    domains = ("sunhost.example", *(sender.domain for sender in senders))
    # 300 recipients an hour: the busiest of the 40 sites sends 40 or so when the demo runs for long
    return Customer(
        "sunhost", reseller, "Sunhost, one shared hosting server", domains, "flat", 0.2, 7200, 300, senders,
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
    plugin = _PLUGINS[number % len(_PLUGINS)]
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
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
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
