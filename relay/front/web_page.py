"""A page for people who followed a link in a mail, and what they posted. No script; loads nothing from anywhere."""

import base64
import hashlib
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

_BODY_BYTES = 8192
_STYLE = (
    "body{font:18px/1.5 sans-serif;max-width:34em;margin:4em auto;padding:0 1em;color:#222;background:#fff}"
    "button{font:inherit;padding:.5em 1.2em;border:0;border-radius:.3em;background:#0b57d0;color:#fff;cursor:pointer}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
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


def page(status: HTTPStatus, title: str, text: str) -> Response:
    """Answer with a page. `text` is HTML, in a paragraph; escape what others wrote."""
    content = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1><p>{text}</p></body></html>"
    )
    return Response(content.encode("utf-8", "replace"), status, _HEADERS, media_type="text/html")
