"""Whole mails of many trades, good and bad, as the pages that are sent today (mails/ham-shops.toml and others).

texts.py has short mails in few layouts; these are as long and as varied as what shops, services and those who copy them
send. Both kinds get pages of the same making; only where the links of a bad one go is its own. Written for Mailweir.
"""

import random
from collections.abc import Iterator
from functools import partial

from analytics.learning.blank import blank_mail
from analytics.learning.clothes import Page
from analytics.learning.layouts import as_html, as_plain
from analytics.learning.texts import Draft, Filled, Text, fill, part_of, texts

_COPIES = {"ham": 4, "bad": 5}
_KINDS = (
    "-shops", "-software", "-life", "-languages", "-letters", "-campaigns",
    "-lures", "-fraud", "-spam", "-accounts",
)  # fmt: skip


def trade_drafts(seed: int = 1) -> Iterator[Draft]:
    """Yield all variants of all texts of the trades."""
    for text in texts(_KINDS):
        for copy in range(_COPIES["bad" if text.is_bad else "ham"]):
            yield Draft(partial(trade_mail, text), f"{seed}/trade/{text.id}/{copy}", text.is_bad, part_of(text))


def trade_mail(text: Text, rng: random.Random) -> bytes:
    """Return one variant with CRLF line ends."""
    page = Page(rng)
    filled = fill(text, rng) if text.is_bad else fill(text, rng, firm=page.firm)
    mail = blank_mail()
    mail["From"] = filled.sender if text.is_bad or rng.random() < 0.1 else _at_home(filled.sender, page)
    mail["Subject"] = filled.subject
    shape = text.shape or rng.choice(("html", "html", "both", "both", "both", "plain"))
    link = filled.link if text.is_bad else page.link()
    if shape != "html":
        mail.set_content(as_plain(filled.paragraphs, link if filled.button else "", rng))
    if shape != "plain":
        markup = _markup(filled, link, page, rng)
        mail.set_content(markup, subtype="html") if shape == "html" else mail.add_alternative(markup, subtype="html")
    if filled.attachment:
        mail.add_attachment(rng.randbytes(600), "application", "octet-stream", filename=filled.attachment)
    return mail.as_bytes()


def _at_home(sender: str, page: Page) -> str:
    """The same name and local part at the domain that the page's links go to."""
    name, _, address = sender.rpartition("<")
    return f"{name}<{page.address(address.partition('@')[0])}>"


def _markup(filled: Filled, link: str, page: Page, rng: random.Random) -> str:
    action = filled.link_text or filled.button
    if rng.random() < 0.8:
        return page.markup(filled.paragraphs, [link] if action else [], action)
    return as_html(filled.paragraphs, link, action, "", rng)
