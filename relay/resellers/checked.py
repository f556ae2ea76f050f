"""What may stand in a brand. Pure; raises Invalid, naming the part and the fix."""

import re
from dataclasses import replace
from typing import Any

from relay.control.checks import checked_domain
from relay.control.errors import Invalid
from relay.resellers.brand import Brand
from relay.resellers.logo import checked_logo

_NAME_LENGTH, _TEXT_LENGTH, _REPLY_LENGTH = 60, 1500, 254
_COLOUR = re.compile(r"#[0-9a-f]{6}")
# What ends a display name or a header, and what makes markup
_NOT_IN_NAME = frozenset('<>"\\@:;,&')
_REPLY = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,189}")
HOSTS = ("web_host", "release_host", "bounce_host", "dashboard_host")


def checked_brand(brand: Brand) -> Brand:
    """Return it in the form it is kept in. Raises Invalid."""
    name = " ".join(brand.name.split())
    if len(name) > _NAME_LENGTH or not name.isprintable() or _NOT_IN_NAME & {*name}:
        raise Invalid(f'name {name[:80]!r}: at most {_NAME_LENGTH} printable characters, without < > " \\ @ : ; , &')
    colour = brand.colour.strip().lower()
    if colour and not _COLOUR.fullmatch(colour):
        raise Invalid(f"colour {brand.colour[:20]!r}: write it like #0b57d0")
    if brand.reply_to and (len(brand.reply_to) > _REPLY_LENGTH or not _REPLY.fullmatch(brand.reply_to)):
        raise Invalid(f"reply_to {brand.reply_to[:80]!r}: write an address like help@host.example")
    text = "\n".join(line.rstrip() for line in brand.notice_text.strip().splitlines())
    if len(text) > _TEXT_LENGTH or not text.replace("\n", "").isprintable():
        raise Invalid(f"notice_text: at most {_TEXT_LENGTH} printable characters and line ends")
    hosts: dict[str, Any] = {part: checked_domain(host) for part in HOSTS if (host := getattr(brand, part))}
    logo_type = checked_logo(brand.logo) if brand.logo else ""
    return replace(brand, name=name, colour=colour, notice_text=text, logo_type=logo_type, **hosts)
