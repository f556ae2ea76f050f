"""Mail of our own making to learn from: the texts in mails/*.toml, varied and wrapped as real mail is.

Closes what old public corpora lack: transactional HTML, password resets, parcel notices, and today's lures, in several
languages. Both kinds get the same layouts, so that the layout decides nothing. The same seed gives the same mail, but
for MIME boundaries.
"""

import random
import re
import tomllib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cache, partial
from importlib.resources import files
from typing import Any, NamedTuple

from analytics.learning.blank import blank_mail
from analytics.learning.layouts import as_html, as_plain

_COPIES = {"ham": 12, "bad": 14}
_WITHOUT_NAME, _WITHOUT_SUBJECT = 0.2, 0.02  # in both kinds: devices, scripts and hurried people
_AS_PICTURE = {
    "newsletter": 0.25,
    "bad": 0.02,
}  # leaflets and menus are mailed as one linked picture, and so is some spam
_PARTS = 4  # whole texts, not copies, are left out together: copies of a known text say nothing about new ones
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_DOMAINS = {
    "mail": ["gmail.com", "outlook.com", "web.example", "posteo.example", "icloud.com"],
    "freemail": ["gmail.com", "outlook.com", "yahoo.com", "mail.ru", "hotmail.com", "proton.me"],
}
_NAMES = "north harbour kestrel oak alpine meridian river pine orchard castello bright tessera moor quay green ferro"
_WORDS = _NAMES.split()
_SUFFIXES = "shop.example firm.example co.example trade.example com.example de.example fr.example online.example"
_ENDINGS = _SUFFIXES.split()


@dataclass(frozen=True, slots=True)
class Text:
    """One entry of a file: what is not given is chosen by the kind."""

    id: str
    subject: str
    body: str
    sender: str = ""
    button: str = ""
    shape: str = ""
    style: str = ""
    trick: str = ""
    attachment: str = ""
    is_bad: bool = False


@dataclass(slots=True)
class Filled:
    """One variant of a text, without its wrapping."""

    subject: str
    paragraphs: list[str]
    sender: str
    link: str
    link_text: str
    button: str
    attachment: str
    extra: dict[str, str] = field(default_factory=dict)


class Draft(NamedTuple):
    """A message of our own that is written when it is asked for: writing all of them takes 20 seconds.

    The same seed writes the same. `part` is the quarter of all texts that its text belongs to: own-1 to own-4.
    """

    compose: Callable[[random.Random], bytes]
    seed: str
    is_bad: bool
    part: str

    def write(self) -> bytes:
        return self.compose(random.Random(self.seed))  # noqa: S311 - texts, not secrets


def own_drafts(seed: int = 1) -> Iterator[Draft]:
    """Yield all variants of all short texts."""
    for text in texts():
        for copy in range(_COPIES["bad" if text.is_bad else "ham"]):
            yield Draft(partial(compose, text), f"{seed}/{text.id}/{copy}", text.is_bad, part_of(text))


def part_of(text: Text) -> str:
    """The quarter of our own texts that it is left out with."""
    return f"own-{zlib.crc32(text.id.encode()) % _PARTS + 1}"


@cache
def texts(kinds: tuple[str, ...] = ("", "-europe", "-office", "-modern", "-machines")) -> tuple[Text, ...]:
    """Read the texts of some files, by what stands behind `ham` and `bad` in their names."""
    return tuple(
        Text(**{("sender" if key == "from" else key): value for key, value in entry.items()}, is_bad=name == "bad")
        for name in ("ham", "bad")
        for kind in kinds
        if (files("analytics.learning") / "mails" / f"{name}{kind}.toml").is_file()
        for entry in table_of(f"{name}{kind}.toml")["mail"]
    )


def compose(text: Text, rng: random.Random) -> bytes:
    """Return one variant of `text` as a message with CRLF line ends."""
    filled = fill(text, rng)
    mail = blank_mail()
    mail["From"] = filled.sender
    mail["To"] = f"{expand('{given}', rng).lower()}@customer{rng.randrange(99)}.example"
    if rng.random() > _WITHOUT_SUBJECT:
        mail["Subject"] = filled.subject
    mail["Date"] = "Mon, 02 Nov 2026 10:00:00 +0000"
    mail["Message-ID"] = f"<{rng.randrange(10**12):x}@{filled.sender.rpartition('@')[2].rstrip('>')}>"
    if text.is_bad and rng.random() < 0.1:
        mail["Reply-To"] = f"{expand('{given}', rng).lower()}{rng.randrange(999)}@{rng.choice(_DOMAINS['freemail'])}"
    style, shape = text.style, text.shape or rng.choices(("plain", "html", "both"), (2, 4, 4))[0]
    if rng.random() < _AS_PICTURE.get("bad" if text.is_bad else style, 0) and not text.shape:
        style, shape = "picture", "html"
    if shape != "html":
        mail.set_content(as_plain(filled.paragraphs, filled.link if filled.button else "", rng))
    if shape != "plain":
        markup = as_html(filled.paragraphs, filled.link, filled.link_text or filled.button, style, rng)
        mail.set_content(markup, subtype="html") if shape == "html" else mail.add_alternative(markup, subtype="html")
        if rng.random() < 0.2:
            _sign_with_logo(mail, rng)
    if filled.attachment:
        mail.add_attachment(rng.randbytes(600), "application", "octet-stream", filename=filled.attachment)
    return mail.as_bytes()


def _sign_with_logo(mail: EmailMessage, rng: random.Random) -> None:
    """Put a picture that travels along below the HTML, as business signatures and image spam have it."""
    part = mail.get_body(("html",))
    assert isinstance(part, EmailMessage)
    cid = f"logo{rng.randrange(10**6)}@mail"
    markup = part.get_content().replace("</body>", f'<p><img src="cid:{cid}" alt="logo"></p></body>')
    part.set_content(markup.replace("</BODY>", f'<IMG src="cid:{cid}"></BODY>'), subtype="html")
    part.add_related(rng.randbytes(300), "image", rng.choice(("png", "jpeg", "gif")), cid=f"<{cid}>")


def fill(text: Text, rng: random.Random, **known: str) -> Filled:
    """Choose the variant: one person, firm and brand all the way through, everything else anew at each place."""
    same = {name: rng.choice(_slots()[name]) for name in ("firm", "brand", "bank", "topic", "city")} | known
    if text.is_bad and rng.random() < 0.12:
        same["firm"] = same["brand"]
    link = _link(text, rng)
    body = expand(text.body, rng, same).replace("urllink", link).replace("mailx", f"{same['city'].lower()}@web.example")
    paragraphs = [part.strip() for part in body.strip().split("\n\n") if part.strip()]
    if len(paragraphs) > 2 and rng.random() < 0.15:
        paragraphs.pop(0)  # no greeting
    if text.is_bad and rng.random() < 0.06:
        paragraphs = [part.upper() for part in paragraphs]
    sender = expand(text.sender or "{given} {family} <{given}{n2}@[freemail|hacked|site]>", rng, same)
    named = text.trick == "named" and rng.random() < 0.35
    return Filled(
        subject=" ".join(expand(text.subject, rng, same).split()),
        paragraphs=paragraphs,
        sender=_with_domain(sender, rng),
        link=link,
        link_text=f"https://www.{same['brand'].split()[0].lower()}.com/{rng.choice(('login', 'verify', 'account'))}"
        if named
        else "",
        button=expand(text.button, rng, same),
        attachment=expand(text.attachment, rng, same) if not text.is_bad or rng.random() < 0.8 else "",
    )


def _link(text: Text, rng: random.Random) -> str:
    path = f"{rng.choice(('a', 'p', 'u', 'order', 'view', 'account', 'wp-content/plugins'))}/{rng.randrange(10**6)}"
    if text.is_bad and text.trick == "short" and rng.random() < 0.4:
        return f"https://{rng.choice(('bit.ly', 'tinyurl.com', 'cutt.ly'))}/{rng.randrange(16**6):x}"
    if text.is_bad and rng.random() < 0.04:
        return f"http://203.0.113.{rng.randrange(255)}/{path}"
    return f"https://www.{_domain(rng)}/{path}"


def _with_domain(sender: str, rng: random.Random) -> str:
    """Put a domain in place of the kind named after the @, and make name and address fit for a header."""
    name, _, address = sender.rpartition("<")
    local, _, kind = address.rstrip(">").partition("@")
    domain = rng.choice(_DOMAINS[kind]) if kind in _DOMAINS else _domain(rng)
    name = re.sub(r"[\"<>@]", "", name).strip()
    prefix = "" if rng.random() < _WITHOUT_NAME or not name else f'"{name}" '
    return f"{prefix}<{re.sub(r'[^a-z0-9.-]', '', local.lower()) or 'info'}@{domain}>"


def _domain(rng: random.Random) -> str:
    return (
        f"{rng.choice(_WORDS)}{rng.choice(_WORDS)}{rng.choice(('', '', str(rng.randrange(99))))}.{rng.choice(_ENDINGS)}"
    )


def expand(pattern: str, rng: random.Random, same: dict[str, str] | None = None) -> str:
    """Resolve choices from the inside out, then slots."""
    while (match := _CHOICE.search(pattern)) is not None:
        pattern = pattern[: match.start()] + rng.choice(match[1].split("|")) + pattern[match.end() :]
    return _SLOT.sub(lambda slot: _value(slot[1], rng, same or {}), pattern)


def _value(name: str, rng: random.Random, same: dict[str, str]) -> str:
    if name in same:
        return same[name]
    if name == "money":
        amount = rng.choice((rng.uniform(3, 99), rng.uniform(100, 999), rng.randrange(1, 90) * 100.0))
        number = f"{amount:,.2f}" if amount < 1000 or rng.random() < 0.5 else f"{amount:,.0f}"
        return rng.choice(("${}", "{} EUR", "€{}", "£{}", "{} €", "USD {}", "{} USD")).format(number)
    if name == "hex":
        return f"{rng.randrange(16**8, 16**12):x}"
    if re.fullmatch(r"n\d", name):
        digits = int(name[1])
        return str(rng.randrange(10 ** (digits - 1), 10**digits))
    return str(rng.choice(_slots()[name]))


@cache
def _slots() -> dict[str, Any]:
    return table_of("slots.toml")


@cache
def table_of(name: str) -> dict[str, Any]:
    return tomllib.loads((files("analytics.learning") / "mails" / name).read_text("utf-8"))
