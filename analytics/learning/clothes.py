"""The same mail in other clothes: any text as a page of today, with buttons, tracked links, pictures and footers.

Old good mail is plain and today's bad mail is HTML, so a model learns that HTML is bad, whatever it says. Copies in
exchanged clothes keep their label: the page decides nothing then, the words do. The clothes are invented
(mails/clothes.toml); only words and links of a message are taken over.
"""

import html
import random
import re
from collections.abc import Callable
from email.message import EmailMessage

from analytics.learning.blank import blank_mail
from analytics.learning.layouts import as_block
from analytics.learning.texts import table_of
from relay.content.message import Reading, read

_MOST_CHARACTERS, _MOST_LINKS = 9_000, 4
_BLANK = re.compile(r"\n[ \t>]*\n")
_SLOT = re.compile(r"\{(\w)\}")
_LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789-_"
_DOCUMENTS = ("<!DOCTYPE html>", '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN">', "")
LOCAL_PARTS = ("info", "hello", "news", "no-reply", "support", "billing", "team", "service")
_OUTLOOK = "<!--[if mso]><table><tr><td width=600><![endif]-->"

_Cell = Callable[[str], str]


def dressed(raw: bytes, rng: random.Random) -> bytes:
    """Return the message as a page of today, perhaps with its plain text beside it. CRLF line ends."""
    reading = read(raw)
    texts, page = _paragraphs(reading), Page(rng)
    mail = _started(reading, rng, page)
    markup = page.markup(texts, [link.url for link in reading.links[:_MOST_LINKS]])
    if rng.random() < 0.6:
        plain = "\n\n".join(texts)
        mail.set_content(f"{plain}\n\n{page.link()}\n" if rng.random() < 0.5 else f"{plain}\n")
        mail.add_alternative(markup, subtype="html")
    else:
        mail.set_content(markup, subtype="html")
    return mail.as_bytes()


class Page:
    """One sender's page: where its links go, what stands around the text."""

    def __init__(self, rng: random.Random) -> None:
        self.firm, self._rng = " ".join(_word(rng).capitalize() for _ in range(rng.choice((1, 1, 2)))), rng
        self.domain = domain = f"{self.firm.lower().replace(' ', '')}.{rng.choice(_of('endings'))}"
        carriers = (
            f"{rng.choice(_of('hosts'))}.{domain}",
            domain,
            f"u{rng.randrange(10**7)}.{rng.choice(_of('carriers'))}",
            f"{rng.choice(_of('hosts'))}.{_word(rng)}{_word(rng)}.com",
        )
        self._carrier = rng.choice(carriers)
        stores = (
            f"cdn.{domain}",
            domain,
            f"d{_token(rng, 13)}.cloudfront.net",
            f"images.{_word(rng)}.net",
            "s3.amazonaws.com",
        )
        self._pictures = rng.choice(stores)
        self._scheme = "http" if rng.random() < 0.15 else "https"

    def address(self, local: str) -> str:
        return f"{local}@{self._rng.choice(('', 'mail.', 'e.'))}{self.domain}"

    def link(self) -> str:
        rng = self._rng
        host = self._carrier if rng.random() < 0.7 else f"{rng.choice(_of('hosts'))}.{self.domain}"
        return f"{self._scheme}://{host}/{self._one('paths')}"

    def markup(self, texts: list[str], links: list[str], action: str = "") -> str:
        """Return the page: `links` behind buttons of their own, and others; all say `action` where it is given."""
        rng = self._rng
        cell: _Cell = rng.choice((self._row, self._row, self._section, self._plain))
        blocks = [cell(self._text(part)) for part in texts]
        for url in links:
            blocks.insert(rng.randrange(len(blocks) + 1), cell(self._button(url, action)))
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            blocks.insert(rng.randrange(len(blocks) + 1), cell(self._button(self.link(), action)))
        for _ in range(rng.choice((0, 0, 0, 1, 2, 5))):
            blocks.insert(rng.randrange(len(blocks) + 1), cell(self._picture(linked=rng.random() < 0.7)))
        body = "".join([cell(self._logo()), cell(self._navigation()), *blocks, cell(self._footer())])
        return self._document(self._nested(body) if cell == self._row else body)

    def _nested(self, rows: str) -> str:
        body = f'<table class="c" width="600" align="center" cellpadding="0" cellspacing="0">{rows}</table>'
        for _ in range(self._rng.randrange(3)):
            cell = f'<td align="center">{body}</td>'
            body = f'<table role="presentation" width="100%" border="0"><tbody><tr>{cell}</tr></tbody></table>'
        return body

    def _document(self, body: str) -> str:
        rng = self._rng
        style = "".join(f"<style>{one}</style>" for one in rng.sample(_of("styles"), rng.randrange(4)))
        outlook = _OUTLOOK if rng.random() < 0.4 else ""
        kind, title, font = rng.choice(_DOCUMENTS), self._one("preheaders"), rng.choice(_of("fonts"))
        return (
            f'{kind}<html><head><meta charset="utf-8"><title>{title}</title>{style}</head>'
            f'<body style="font-family:{font}">{self._preheader()}{outlook}{body}{self._pixel()}</body></html>\n'
        )

    def _row(self, inner: str) -> str:
        style = f"padding:{self._rng.randrange(4, 40)}px;font-size:16px;color:#333" if inner else ""
        return f'<tr><td style="{style}">{inner}</td></tr>' if inner else ""

    def _section(self, inner: str) -> str:
        table = f'<table width="100%"><tr><td>{inner}</td></tr></table>'
        return f'<div style="max-width:600px;margin:0 auto">{table}</div>' if inner else ""

    def _plain(self, inner: str) -> str:
        return f"<div>{inner}</div>" if inner else ""

    def _text(self, part: str) -> str:
        if part.startswith(("* ", "| ")):
            return as_block(part)
        tag = "h2" if len(part) < 60 and self._rng.random() < 0.4 else "p"
        return f"<{tag}>{html.escape(part).replace(chr(10), '<br>')}</{tag}>"

    def _button(self, url: str, action: str = "") -> str:
        text = action or self._rng.choice(_of("actions"))
        anchor = f'<a class="button" href="{html.escape(url)}" target="_blank" style="color:#fff">{text}</a>'
        return f"<table><tr><td bgcolor=#3869d4>{anchor}</td></tr></table>" if self._rng.random() < 0.5 else anchor

    def _picture(self, *, linked: bool) -> str:
        picture = f'<img src="https://{self._pictures}/{self._one("pictures")}" width="600" alt="">'
        return f'<a href="{self.link()}">{picture}</a>' if linked else picture

    def _logo(self) -> str:
        return self._picture(linked=self._rng.random() < 0.6) if self._rng.random() < 0.7 else ""

    def _navigation(self) -> str:
        names = self._rng.sample(_of("navigation"), self._rng.choice((0, 0, 0, 3, 4, 5)))
        return " ".join(f'<a href="{self.link()}">{name}</a>' for name in names)

    def _footer(self) -> str:
        rng = self._rng
        lines = [f"<p>{self._filled(one)}</p>" for one in rng.sample(_of("footers"), rng.randrange(5))]
        small = " | ".join(f'<a href="{self.link()}">{one}</a>' for one in rng.sample(_of("small"), rng.randrange(5)))
        name = self.domain.partition(".")[0]
        social = "".join(
            f'<a href="https://www.{site}/{name}"><img src="https://{self._pictures}/{site}.png"></a>'
            for site in rng.sample(_of("social"), rng.choice((0, 0, 2, 3, 4)))
        )
        parts = [*lines, f"<p>{small}</p>", social]
        rng.shuffle(parts)
        return "".join(parts)

    def _preheader(self) -> str:
        rng = self._rng
        text = self._one("preheaders") + rng.choice(("", "", "&#847;&zwnj;&nbsp;" * rng.randrange(1, 60)))
        hidden = f'<div class="preheader" style="display:none;max-height:0;overflow:hidden">{text}</div>'
        return hidden if rng.random() < 0.5 else ""

    def _pixel(self) -> str:
        return f'<img src="{self.link()}" width="1" height="1">' if self._rng.random() < 0.5 else ""

    def _one(self, table: str) -> str:
        return self._filled(self._rng.choice(_of(table)))

    def _filled(self, pattern: str) -> str:
        return _SLOT.sub(lambda slot: self._value(slot[1]), pattern)

    def _value(self, slot: str) -> str:
        rng = self._rng
        match slot:
            case "h":
                return _token(rng, rng.randrange(16, 60))
            case "s":
                return _token(rng, rng.randrange(4, 12))
            case "n":
                return str(rng.randrange(10 ** rng.randrange(2, 9)))
            case "w":
                return _word(rng)
            case _:
                return self.firm


def _started(reading: Reading, rng: random.Random, page: Page) -> EmailMessage:
    """Headers: the subject and the name stay; the address is the page's own most of the time."""
    mail = blank_mail()
    name = re.sub(r"[^\w .&'-]", "", reading.author.name)[:60].strip() or (page.firm if rng.random() < 0.8 else "")
    local = rng.choice(LOCAL_PARTS)
    address = page.address(local) if rng.random() < 0.8 else f"{local}@{_word(rng)}.com"
    mail["From"] = f'"{name}" <{address}>' if name else address
    if reading.reply_to.domain and rng.random() < 0.3:
        mail["Reply-To"] = f"{local}@{_word(rng)}.com"
    mail["Subject"] = " ".join(reading.subject.split())[:300]
    return mail


def _paragraphs(reading: Reading) -> list[str]:
    text = (reading.visible or reading.plain)[:_MOST_CHARACTERS]
    return [part.strip() for part in _BLANK.split(text) if part.strip()]


def _word(rng: random.Random) -> str:
    return "".join(rng.choices(_of("syllables"), k=rng.choice((2, 2, 3))))


def _token(rng: random.Random, length: int) -> str:
    return "".join(rng.choices(_LETTERS, k=length))


def _of(name: str) -> list[str]:
    found: list[str] = table_of("clothes.toml")[name]
    return found
