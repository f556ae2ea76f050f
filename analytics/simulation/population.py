"""Who plays in the demo's world: the customers' plans, the sites of the shared server, and people's names."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


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
class App:
    """A customer with one domain; `mailboxes` says what is sent from which address."""

    account: str
    reseller: str
    title: str
    rhythm: str
    share: float
    weekly: int
    language: str
    mailboxes: Mapping[str, tuple[Kind, ...]]


FIRST = [
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
LAST = [
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

SITES = (
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
PLUGINS = ("contact-form-lite", "quick-gallery", "easy-booking", "social-icons-plus")
_CAMPUS: dict[str, tuple[Kind, ...]] = {
    "library": (Kind.APPOINTMENT,),
    "accounts": (Kind.RESET,),
    **{f"{first}.{last}": (Kind.PERSONAL,) for first, last in zip(FIRST[:9], LAST[10:19], strict=True)},
}
APPS = (
    App(
        "ledgerly",
        "nordcloud",
        "Ledgerly, accounting as a service",
        "flat",
        0.12,
        4400,
        "en",
        {"billing": (Kind.INVOICE,), "no-reply": (Kind.RESET,), "help": (Kind.PERSONAL,)},
    ),
    App(
        "parcelpilot",
        "nordcloud",
        "ParcelPilot, shipment tracking",
        "flat",
        0.14,
        5400,
        "de",
        {"tracking": (Kind.SHIPMENT,), "konto": (Kind.RESET,)},
    ),
    App(
        "briefwerk",
        "nordcloud",
        "Briefwerk, newsletters for associations",
        "campaign",
        0.1,
        5600,
        "de",
        {"news": (Kind.NEWSLETTER,), "verein": (Kind.NEWSLETTER,), "museum": (Kind.NEWSLETTER,)},
    ),
    App(
        "teeladen",
        "nordcloud",
        "Teeladen, online shop",
        "shop",
        0.06,
        2300,
        "de",
        {"bestellung": (Kind.ORDER, Kind.SHIPMENT), "service": (Kind.PERSONAL,)},
    ),
    App("waldstadt", "nordcloud", "Waldstadt university", "office", 0.1, 4000, "en", _CAMPUS),
    App(
        "stadtwerke",
        "nordcloud",
        "Stadtwerke, monthly invoices",
        "office",
        0.04,
        1500,
        "de",
        {"rechnung": (Kind.INVOICE,), "kundenservice": (Kind.PERSONAL, Kind.APPOINTMENT)},
    ),
    App(
        "lettera",
        "southmail",
        "Lettera, newsletters for shops",
        "campaign",
        0.08,
        4300,
        "fr",
        {"actu": (Kind.NEWSLETTER,), "lettre": (Kind.NEWSLETTER,)},
    ),
    App(
        "lunazapatos",
        "southmail",
        "Luna Zapatos, online shop",
        "shop",
        0.05,
        2100,
        "es",
        {"pedidos": (Kind.ORDER, Kind.SHIPMENT), "hola": (Kind.PERSONAL,)},
    ),
    App(
        "mirador",
        "southmail",
        "Mirador clinics, appointment reminders",
        "office",
        0.05,
        1900,
        "es",
        {"citas": (Kind.APPOINTMENT,), "recepcion": (Kind.PERSONAL,)},
    ),
    App(
        "tinyapps",
        "southmail",
        "TinyApps, a new customer",
        "flat",
        0.02,
        260,
        "en",
        {"hello": (Kind.RESET, Kind.INVOICE)},
    ),
)
