"""Product mail put together at random from mails/product.toml: the words of lures, in mail that is none.

Phishing copies the words of services ("your account", "click the button below"); old good mail has none of them, so a
model learns that they are bad by themselves. Each mail mixes sentences anew, in clothes of its own. All of it is
legitimate. Written for Mailweir.
"""

import random
from collections.abc import Iterator
from functools import partial

from analytics.learning.blank import blank_mail
from analytics.learning.clothes import LOCAL_PARTS, Page
from analytics.learning.layouts import as_html
from analytics.learning.texts import Draft, expand, table_of

_COUNT = 800
_PARTS = 4  # as texts.own_examples; whole kinds of mail are left out together


def product_drafts(seed: int = 1) -> Iterator[Draft]:
    """Yield all of them; none is bad."""
    kinds = [kind for kind in table_of("product.toml") if kind != "shared"]
    for number in range(_COUNT):
        at = number % len(kinds)
        seeded = f"{seed}/product/{number}"
        yield Draft(partial(product_mail, kinds[at]), seeded, is_bad=False, part=f"own-{at % _PARTS + 1}")


def product_mail(kind: str, rng: random.Random) -> bytes:
    """Return one message with CRLF line ends."""
    page = Page(rng)
    texts, button = _texts(kind, page, rng)
    mail = blank_mail()
    local = rng.choice(LOCAL_PARTS)
    name = "" if rng.random() < 0.1 else f'"{page.firm}" '
    mail["From"] = f"{name}<{page.address(local)}>"
    mail["Subject"] = _said(rng.choice(table_of("product.toml")[kind]["subjects"]), page, rng)
    shape = rng.choice(("html", "html", "both", "both", "both", "plain"))
    if shape != "html":
        mail.set_content("\n\n".join([*texts, page.link()]) + "\n")
    if shape != "plain":
        markup = page.markup(texts, [], button) if rng.random() < 0.75 else as_html(texts, page.link(), button, "", rng)
        mail.set_content(markup, subtype="html") if shape == "html" else mail.add_alternative(markup, subtype="html")
    return mail.as_bytes()


def _texts(kind: str, page: Page, rng: random.Random) -> tuple[list[str], str]:
    """Return paragraphs and the button's text."""
    table = table_of("product.toml")
    own, shared = table[kind], table["shared"]
    middles = rng.sample(own["middles"], rng.randrange(min(5, len(own["middles"]))))
    parts = [
        rng.choice(shared["greetings"]),
        *rng.sample(own["openings"], rng.choice((1, 1, 2))),
        *middles,
        *rng.sample(shared["middles"], rng.choice((0, 1, 1, 2))),
        *([rng.choice(table[rng.choice(sorted(set(table) - {"shared"}))]["middles"])] if rng.random() < 0.3 else []),
        rng.choice(shared["closings"]),
        *rng.sample(shared["footers"], rng.choice((0, 1, 1, 2, 3))),
    ]
    return [text for part in parts if (text := _said(part, page, rng))], expand(rng.choice(own["buttons"]), rng)


def _said(pattern: str, page: Page, rng: random.Random) -> str:
    return expand(pattern, rng, {"firm": page.firm}).replace("urllink", page.link())
