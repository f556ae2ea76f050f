"""Write the mail of the simulated world: honest letters in four languages, and what a hacked plugin sends.

The same random.Random gives the same message, to the byte. The texts are in texts.toml; none is taken from real mail.
"""

import functools
import html
import quopri
import random
import re
import tomllib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.header import Header
from email.utils import format_datetime
from importlib.resources import files
from typing import Any

from analytics.simulation.population import Kind
from analytics.simulation.world import EndSender

_CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
_PEOPLE = """Anna Keller|Ben Novak|Clara Weber|David Moreau|Elena García|Felix Jensen|Greta Lindqvist|Hugo Bernard
Inés Ortega|Jonas Brandt|Karin Seidel|Luca Rossi|Marta Silva|Nils Petersen|Olga Braun|Paul Vogel""".replace("\n", "|")
_PLACES = "Talheim|Valbois|Steinbach|Northside|Mirador|Oakfield|Neukirch|Saint-Aubin|Harbour Road|Ostertal"
_ITEMS = {
    "en": "oak shelf, 80 cm|garden hose set|wool blanket|starter plan|desk lamp|tea sampler|hiking map",
    "de": "Eichenregal, 80 cm|Grüner Tee, 250 g|Wolldecke|Schreibtischlampe|Wanderkarte|Teekanne|Gartenschlauch",
    "es": "sandalias Luna, 38|manta de lana|lámpara de mesa|botas de cuero, 41|taza de cerámica|mapa de senderos",
    "fr": "thé vert, 250 g|couverture en laine|lampe de bureau|carnet relié|étagère en chêne|carte de randonnée",
}
_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
_DATES = {"en": "%-d %B %Y", "de": "%d.%m.%Y", "es": "%d/%m/%Y", "fr": "%d/%m/%Y"}
_SPAM_HOSTS = "rx-deal|best-offer|secure-login|claim-prize|btc-bonus|fast-track|vip-club|web-support"


@dataclass(frozen=True, slots=True)
class _Draft:
    """What differs from letter to letter. `shown_from` is the address in From:, `page` the HTML, "" for none."""

    mail_from: str
    shown_from: str
    recipient: str
    from_name: str
    subject: str
    extra: list[str]
    plain: str
    page: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: the envelope, and the content with CRLF line ends. `subject` and `header_id` are as inside."""

    mail_from: str
    recipient: str
    subject: str
    header_id: str
    content: bytes


def honest_letter(rng: random.Random, sender: EndSender, recipient: str, now: datetime) -> Letter:
    """Write something this end sender would send to this recipient."""
    kind = rng.choice(sender.kinds)
    template = rng.choice(_honest(kind, sender.language))
    slots = _slots(rng, sender, recipient, now, sender.domain)
    from_name = slots["person"] if kind is Kind.PERSONAL else sender.name
    unsubscribe = _fill(rng, template.get("unsubscribe", ""), slots)
    extra = [f"List-Unsubscribe: <{slots['unsubscribe']}>"] if unsubscribe else []
    plain, page = _parts(_fill(rng, template["body"], slots), template.get("button", ""), slots["link"], unsubscribe)
    subject = _fill(rng, rng.choice(template["subjects"]), slots)
    mail_from = _return_path(rng, sender)
    draft = _Draft(mail_from, _author(mail_from), recipient, from_name, subject, extra, plain, page)
    return _letter(rng, sender, draft, now)


def abusive_letter(rng: random.Random, sender: EndSender, recipient: str, now: datetime) -> Letter:
    """Write what the spammer has his script send, over the site of `sender`."""
    template = rng.choice(_templates()["abuse"])
    host = f"{rng.choice(_SPAM_HOSTS.split('|'))}-{rng.randrange(1000)}.example"
    slots = _slots(rng, replace(sender, language="en"), recipient, now, host)
    slots |= {
        "local": recipient.split("@")[0],
        "to": recipient,
        "percent": str(rng.choice((50, 60, 70, 75, 80, 85, 90))),
        "price": f"{rng.randrange(1, 9)}.{rng.choice(('49', '79', '95', '99'))}",
        "money": str(rng.choice((500, 850, 1200, 2500, 4700, 9600))),
    }
    button = _fill(rng, template.get("button", ""), slots) if rng.random() < 0.6 else ""
    plain, page = _parts(_fill(rng, template["body"], slots), button, slots["link"], "")
    subject = _fill(rng, rng.choice(template["subjects"]), slots)
    from_name = _fill(rng, rng.choice(template["from_names"]), slots)
    extra = ["X-Priority: 1 (Highest)"] if rng.random() < 0.3 else []
    shown_from = f"{rng.choice(('info', 'support', 'office'))}@{sender.domain}"
    draft = _Draft(sender.mail_from, shown_from, recipient, from_name, subject, extra, plain, page)
    return _letter(rng, sender, draft, now)


@functools.cache
def _templates() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads(files("analytics.simulation").joinpath("texts.toml").read_text("utf-8"))


@functools.cache
def _honest(kind: Kind, language: str) -> list[dict[str, Any]]:
    return [one for one in _templates()["honest"] if one["kind"] == kind.value and one["language"] == language]


def _slots(rng: random.Random, sender: EndSender, recipient: str, now: datetime, domain: str) -> dict[str, str]:
    language = sender.language
    day = now + timedelta(days=rng.randrange(1, 12))
    hour = rng.randrange(9, 18)
    amount = f"{rng.randrange(9, 400)}.{rng.randrange(100):02d}"
    items = _ITEMS[language].split("|")
    return {
        "name": recipient.split("@")[0].split(".")[-1].rstrip("0123456789").title() or "Alex",
        "brand": sender.name,
        "site": f"https://{domain}/",
        "person": rng.choice(_PEOPLE.split("|")),
        "place": rng.choice(_PLACES.split("|")),
        "item": rng.choice(items),
        "item2": rng.choice(items),
        "order": f"{rng.choice('ABCDEFGHK')}{rng.randrange(10**5, 10**6)}",
        "number": str(rng.randrange(10**5, 10**6)),
        "kilos": str(rng.randrange(1, 9)),
        "hour": str(hour),
        "hour2": str(hour + 3),
        "date": f"{day:%-d %B %Y}"
        if language == "en"
        else f"{day:%d.%m.%Y}"
        if language == "de"
        else f"{day:%d/%m/%Y}",
        "month": _MONTHS[language].split()[now.month - 1],
        "amount": f"EUR {amount}" if language == "en" else f"{amount.replace('.', ',')} €",
        "link": f"https://{domain}/{rng.choice('abcdefgh')}/{rng.getrandbits(48):012x}",
        "unsubscribe": f"https://{domain}/u/{rng.getrandbits(48):012x}",
    }


def _fill(rng: random.Random, text: str, slots: dict[str, str]) -> str:
    chosen = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), text)
    return chosen.strip().format_map(slots)


def _return_path(rng: random.Random, sender: EndSender) -> str:
    local, _, domain = sender.mail_from.partition("@")
    if local != "SRS0":
        return sender.mail_from
    return f"SRS0={rng.getrandbits(16):04x}=7K={_origin(rng)}=member{rng.randrange(400)}@{domain}"


def _author(mail_from: str) -> str:
    """Give the address behind a forwarder's (SRS0=hash=time=domain=local@forwarder), else the address itself."""
    local, _, _ = mail_from.partition("@")
    parts = local.split("=")
    return f"{parts[4]}@{parts[3]}" if parts[0] == "SRS0" else mail_from


def _origin(rng: random.Random) -> str:
    return rng.choice(("gmail.example", "webpost.example", "orange.example"))


def _parts(body: str, button: str, link: str, unsubscribe: str) -> tuple[str, str]:
    """Give the plain text, and the HTML where the message has a button."""
    plain = "\n".join(line.removeprefix("# ") for line in body.split("\n"))
    if not button:
        return plain, ""
    known = plain if link in plain else f"{plain}\n\n{button}: {link}"
    return f"{known}\n\n{unsubscribe}".strip(), _as_html(body, button, link, unsubscribe)


def _as_html(body: str, button: str, link: str, unsubscribe: str) -> str:
    blocks = []
    for paragraph in body.split("\n\n"):
        heading, lines = "", paragraph.split("\n")
        if lines[0].startswith("# "):
            heading, lines = f"<h2 style='font-size:17px'>{html.escape(lines[0][2:])}</h2>", lines[1:]
        listed = [f"<tr><td>{html.escape(line[2:])}</td></tr>" for line in lines if line.startswith("- ")]
        table = f"<table width='100%'>{''.join(listed)}</table>" if listed else ""
        text = "<br>".join(html.escape(line) for line in lines if not line.startswith("- "))
        blocks.append(heading + (f"<p>{text}</p>" if text else "") + table)
    return (
        "<!doctype html><html><body style='font-family:sans-serif;color:#222'>"
        f"<table width='600' align='center'><tr><td>{''.join(blocks)}"
        f"<p><a href='{link}' style='background:#2a6;color:#fff;padding:10px 18px'>{html.escape(button)}</a></p>"
        f"<p style='font-size:11px;color:#888'>{html.escape(unsubscribe)}</p></td></tr></table></body></html>"
    )


def _letter(rng: random.Random, sender: EndSender, draft: _Draft, now: datetime) -> Letter:
    header_id = f"{rng.getrandbits(64):016x}@{sender.domain}"
    head = [
        f"From: {_encoded(draft.from_name)} <{draft.shown_from}>",
        f"To: <{draft.recipient}>",
        f"Subject: {_encoded(draft.subject)}",
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{header_id}>",
        "MIME-Version: 1.0",
        *draft.extra,
        *_identity(rng, sender),
    ]
    content = "\r\n".join([*head, *_body(rng, draft.plain, draft.page)]) + "\r\n"
    return Letter(draft.mail_from, draft.recipient, draft.subject, header_id, content.encode("ascii"))


def _identity(rng: random.Random, sender: EndSender) -> list[str]:
    """What the shared server adds: who was logged in, and which script called mail()."""
    lines = [f"X-AuthUser: {sender.auth_user}"] if sender.auth_user else []
    if not sender.script:
        return lines
    client = f"198.51.100.{rng.randrange(1, 255)}"
    return [
        *lines,
        f"X-PHP-Script: {sender.site}/{sender.script} for {client}",
        f"X-PHP-Originating-Script: {sender.uid}:{sender.script.rsplit('/', 1)[-1]}",
    ]


def _body(rng: random.Random, plain: str, page: str) -> list[str]:
    if not page:
        return [*_text_part("plain", plain)]
    boundary = f"=_{rng.getrandbits(96):024x}"
    return [
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
        "",
        f"--{boundary}",
        *_text_part("plain", plain),
        f"--{boundary}",
        *_text_part("html", page),
        f"--{boundary}--",
    ]


def _text_part(subtype: str, text: str) -> list[str]:
    coded = quopri.encodestring(text.encode()).decode("ascii")
    head = [f"Content-Type: text/{subtype}; charset=utf-8", "Content-Transfer-Encoding: quoted-printable", ""]
    return [*head, *coded.split("\n")]


def _encoded(text: str) -> str:
    return text if text.isascii() else Header(text, "utf-8", maxlinelen=900).encode(linesep="")
