"""Paragraphs to the plain text and the HTML that shops, banks and fraudsters send: the same for all of them."""

import html
import random

_FONTS = ("Arial, sans-serif", "Helvetica, Arial, sans-serif", "Georgia, serif", "'Segoe UI', Tahoma, sans-serif")
_COLOURS = ("#0a62c2", "#1a7f37", "#b3261e", "#333333", "#6750a4", "#e07b00")
_STYLE = (
    "<style>body{margin:0;padding:0}.wrap{max-width:600px;margin:auto}.btn{border-radius:4px;padding:12px 24px}"
    "@media only screen and (max-width:600px){.wrap{width:100%!important}.col{display:block!important}}</style>"
)
_FOOTERS = (
    "",
    "This is an automatic message, please do not reply.",
    "© 2026. All rights reserved.",
    "You receive this email because of your relationship with us. Privacy policy. Terms.",
    "If you no longer want these emails, unsubscribe here.",
    "This message is confidential. If you are not the intended recipient, please delete it.",
    "Sent from my phone",
)
_PREVIEWS = (
    "Open this message to see the details.",
    "",
    "Here is what you need to know.",
    "One click and you are done.",
)
_SOCIAL = ("facebook", "instagram", "linkedin", "twitter", "youtube")
_SMALL_LINKS = (
    ("Unsubscribe", "unsubscribe?u=8f3a"), ("Manage preferences", "preferences"), ("Privacy policy", "privacy"),
    ("View in browser", "view?id=77"), ("Help center", "help"), ("Terms", "terms"),
)  # fmt: skip
_ADDRESSES = (
    "© 2026 All rights reserved.",
    "1234 Street Rd., Suite 1234, Denver CO",
    "You are receiving this email because you signed up for our service.",
    "Sent with care from Utrecht. This mailbox is not monitored.",
)


def as_plain(paragraphs: list[str], link: str, rng: random.Random) -> str:
    """Return plain text; the link stands below the text."""
    parts = [part.replace("| ", "  ").replace("|", " ") for part in paragraphs]
    if link:
        parts.insert(max(1, len(parts) - 1), link)
    footer = rng.choice(_FOOTERS)
    return "\n\n".join([*parts, *([f"-- \n{footer}"] if footer else [])]) + "\n"


def as_html(paragraphs: list[str], link: str, link_text: str, style: str, rng: random.Random) -> str:
    """Return a whole page in one of five layouts."""
    blocks = [as_block(part) for part in paragraphs]
    colour, font, footer = rng.choice(_COLOURS), rng.choice(_FONTS), rng.choice(_FOOTERS)
    if link_text:
        anchor = html.escape(link_text)
        button = (
            f'<table role="presentation"><tr><td bgcolor="{colour}" style="border-radius:4px">'
            f'<a class="btn" href="{link}" style="color:#ffffff;background:{colour}">{anchor}</a></td></tr></table>'
            if rng.random() < 0.7
            else f'<p><a href="{link}">{anchor}</a></p>'
        )
        blocks.insert(max(1, len(blocks) - 1), button)
    small = f'<p style="font-size:12px;color:#888888">{footer}</p>' if footer else ""
    if style == "picture":
        picture = f'<a href="{link}"><img src="https://cdn.example/f{rng.randrange(999)}.jpg" width="600" alt=""></a>'
        return f"<html><body>{picture * rng.randrange(1, 4)}{small if rng.random() < 0.4 else ''}</body></html>\n"
    match style or rng.choice(("simple", "card", "card", "modern", "old")):
        case "simple":
            return f'<html><body style="font-family:{font}">{"".join(blocks)}{small}</body></html>\n'
        case "old":
            return f"<HTML><BODY bgcolor=white><FONT face=Arial size=2>{''.join(blocks)}{small}</FONT></BODY></HTML>\n"
        case "newsletter":
            return _card(_with_pictures(blocks, link, rng), small, font, colour, rng)
        case "modern":
            return _modern(_with_pictures(blocks, link, rng) if rng.random() < 0.3 else blocks, link, font, colour, rng)
        case _:
            return _card(blocks, small, font, colour, rng)


def _card(blocks: list[str], small: str, font: str, colour: str, rng: random.Random) -> str:
    logo = (
        f'<img src="https://cdn.example/logo{rng.randrange(99)}.png" width="120" alt="logo">'
        if rng.random() < 0.6
        else ""
    )
    preview = (
        '<div style="display:none;max-height:0;overflow:hidden">Open this message to see the details.</div>'
        if rng.random() < 0.4
        else ""
    )
    rows = "".join(f'<tr><td style="padding:12px 24px;font-family:{font}">{block}</td></tr>' for block in blocks)
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">{_STYLE}</head><body style="background:#f4f4f4">{preview}'
        f'<table width="100%" cellpadding="0" cellspacing="0"><tr><td align="center"><table class="wrap" width="600" '
        f'bgcolor="#ffffff"><tr><td style="border-top:4px solid {colour};padding:16px 24px">{logo}</td></tr>{rows}'
        f'<tr><td style="padding:24px">{small}</td></tr></table></td></tr></table></body></html>\n'
    )


def _modern(blocks: list[str], link: str, font: str, colour: str, rng: random.Random) -> str:
    """What today's templates make: a hidden preview padded with invisible characters, conditional comments for
    Outlook, web fonts, one column of blocks, and below it an address and small links, perhaps to social media."""
    site = link.split("/")[2] if "://" in link else "www.shop.example"
    preview = rng.choice(_PREVIEWS) + rng.choice(("", "&#847;&zwnj;&nbsp;" * rng.randrange(5, 40)))
    outlook = (
        "<!--[if mso]><noscript><xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch>"
        "</o:OfficeDocumentSettings></xml></noscript><![endif]-->"
    )
    logo = f'<a href="https://{site}/"><img src="https://{site}/i/{rng.randrange(999)}.png" width="140" alt="Logo"></a>'
    cell = f"padding:0 0 16px;font-family:{font};font-size:16px;line-height:24px;color:#51545e"
    rows = "".join(f'<tr><td style="{cell}">{one}</td></tr>' for one in blocks)
    social = "".join(
        f'<a href="https://{name}.com/{site.split(".")[1]}"><img src="https://{site}/i/{name}.png" alt=""></a> '
        for name in rng.sample(_SOCIAL, rng.choice((0, 0, 2, 3)))
    )
    small = " | ".join(
        f'<a href="https://{site}/{where}" style="color:#a8aaaf">{text}</a>'
        for text, where in rng.sample(_SMALL_LINKS, rng.randrange(0, 4))
    )
    return (
        f'<!DOCTYPE html><html lang="en" xmlns="http://www.w3.org/1999/xhtml"><head><meta charset="utf-8">{outlook}'
        f'<meta name="x-apple-disable-message-reformatting"><style>@import url("https://fonts.example/css?f=Inter");'
        "body{width:100%!important;margin:0}.content{width:570px}@media (prefers-color-scheme:dark){body{color:#fff}}"
        f'</style></head><body bgcolor="#f2f4f6"><span style="display:none;font-size:1px;opacity:0">{preview}</span>'
        f'<table role="presentation" width="100%"><tr><td align="center"><table class="content" role="presentation" '
        f'style="border-top:3px solid {colour}"><tr><td align="center" style="padding:25px 0">{logo}</td></tr>{rows}'
        '</table><table class="footer" role="presentation"><tr><td align="center" style="font-size:12px">'
        f"{social}<p>{rng.choice(_ADDRESSES)}</p><p>{small}</p></td></tr></table></td></tr></table></body></html>\n"
    )


def _with_pictures(blocks: list[str], link: str, rng: random.Random) -> list[str]:
    return [
        f'<a href="{link}"><img src="https://cdn.example/p{rng.randrange(999)}.jpg" width="552" alt=""></a>{block}'
        if rng.random() < 0.5
        else block
        for block in blocks
    ]


def as_block(paragraph: str) -> str:
    """A paragraph, a list ("* " lines) or a table ("| " lines)."""
    rows = paragraph.split("\n")
    if all(row.startswith("|") for row in rows):
        cells = ([html.escape(cell.strip()) for cell in row.strip("| ").split("|")] for row in rows)
        return f"<table>{''.join('<tr><td>' + '</td><td>'.join(row) + '</td></tr>' for row in cells)}</table>"
    if all(row.startswith("* ") for row in rows):
        return f"<ul>{''.join(f'<li>{html.escape(row[2:])}</li>' for row in rows)}</ul>"
    return f"<p>{html.escape(paragraph).replace(chr(10), '<br>')}</p>"
