"""A page for people who followed a link in a mail, and what they posted. No script; loads nothing from anywhere."""

import base64
import functools
import hashlib
import html
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from relay.resellers.brand import NO_BRAND, Brand, ink_on

_BODY_BYTES = 8192
_COLOUR = "#0b57d0"
_STYLE = (
    "body{font:18px/1.5 sans-serif;max-width:34em;margin:4em auto;padding:0 1em;color:#222;background:#fff;"
    "overflow-wrap:anywhere}"
    "button{font:inherit;padding:.5em 1.2em;border:0;border-radius:.3em;cursor:pointer;background:%s;color:%s}"
    "header{margin-bottom:2em;color:#555}header img{max-height:64px;max-width:100%%}"
)
_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}


async def posted(request: Request) -> bytes | None:
    """What was posted; None: too much."""
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > _BODY_BYTES:
            return None
    return body


def page(status: HTTPStatus, title: str, text: str, brand: Brand = NO_BRAND) -> Response:
    """Answer with a page in a brand. `text` is HTML, in a paragraph; escape what others wrote."""
    style, policy = _style_of(brand.colour or _COLOUR)
    content = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head>'
        f"<body>{_header(brand)}<h1>{title}</h1><p>{text}</p></body></html>"
    )
    headers = {"Content-Security-Policy": policy, **_HEADERS}
    return Response(content.encode("utf-8", "replace"), status, headers, media_type="text/html")


@functools.lru_cache(maxsize=64)
def _style_of(colour: str) -> tuple[str, str]:
    """The style, and the policy that allows it and pictures that stand in the page itself."""
    style = _STYLE % (colour, ink_on(colour))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return style, (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


def _header(brand: Brand) -> str:
    name = html.escape(brand.name)
    if brand.logo:
        return f'<header><img src="{brand.logo_uri}" alt="{name or "logo"}"></header>'
    return f"<header>{name}</header>" if name else ""
