"""The dashboard's door: every request and every live connection belongs to somebody who may look, or goes to sign-in.

Sits in front of Streamlit, which knows nothing of it: what it lets through carries the session's token in a cookie that
no script can read. Must never say whether a name exists.
"""

import asyncio
import html
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboard.entry.keeper import COOKIE, Keeper
from dashboard.entry.provider import USER_COOKIE, WAY_COOKIE, is_own_path, way_cookie
from relay.control.client import ControlError, ControlUnreachable
from relay.front.web.login import client_address
from relay.resellers.brand import Brand, ink_on
from relay.users.views import SignIn

_log = logging.getLogger("mailweir.dashboard")

_Message = MutableMapping[str, Any]
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_FREE = ("/healthz", "/signin", "/signout", "/_stcore/health")
_FREE_BELOW = ("/static/", "/favicon")
_OF_LOGIN = ("/auth/", "/oauth2callback")  # Streamlit's own
_FORM_BYTES = 8_192
_POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1


class Door:
    """ASGI middleware."""

    def __init__(self, app: _App, keeper: Keeper) -> None:
        self._app, self._keeper = app, keeper

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] not in ("http", "websocket") or _is_free(scope["path"]):
            await self._app(scope, receive, send)
            return
        if self._keeper.is_oidc:  # the page asks the provider's word before it shows anything
            await self._remembering(scope, receive, send)
            return
        token = HTTPConnection(scope).cookies.get(COOKIE, "")
        if await asyncio.to_thread(self._keeper.reader_of, token) is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await _to_sign_in(scope)(scope, receive, send)

    async def _remembering(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Streamlit's login ends at /: remember the page somebody came for, and lead him there afterwards."""
        if scope["type"] != "http" or not _is_page(scope) or scope["path"].startswith(_OF_LOGIN):
            await self._app(scope, receive, send)
            return
        cookies, here = HTTPConnection(scope).cookies, _wanted(scope)
        way = unquote(cookies.get(WAY_COOKIE, ""))
        if USER_COOKIE not in cookies:

            async def send_and_remember(message: _Message) -> None:
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message).append("set-cookie", way_cookie(quote(here)))
                await send(message)

            await self._app(scope, receive, send_and_remember)
        elif here == "/" and way and is_own_path(way):
            answer = RedirectResponse(way, 303, headers={"set-cookie": way_cookie("/")})
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def sign_in_routes(keeper: Keeper) -> list[Route]:
    """The sign-in page, what its form sends, and the way out."""

    async def page(request: Request, target: str, name: str = "", trouble: str = "", status: int = 200) -> Response:
        brand = await asyncio.to_thread(keeper.brand_of, request.headers.get("host", ""))
        return HTMLResponse(sign_in_page(brand, target, name, trouble), status, _HEADERS)

    async def show(request: Request) -> Response:
        if keeper.is_oidc or await asyncio.to_thread(keeper.entry) == "open":
            return RedirectResponse("/", 303)
        return await page(request, request.query_params.get("next", "/"))

    async def come_in(request: Request) -> Response:
        if not _is_same_site(request):
            return PlainTextResponse("this form was sent from another site", 403)
        if keeper.is_oidc:
            return PlainTextResponse("the identity provider signs people in here", 403)
        given = await _form(request)
        name, target = given.get("name", "")[:64], given.get("next", "/")
        client = client_address(request, keeper.proxies)
        order = SignIn(name=name, password=given.get("password", ""), client=client)
        try:
            who = await asyncio.to_thread(keeper.sign_in, order)
        except ControlUnreachable:
            trouble = "The relay does not answer, so nobody can sign in. Is it running?"
            return await page(request, target, name, trouble, 503)
        except ControlError as error:
            _log.info("sign-in refused client=%s", client)
            return await page(request, target, name, f"{error.detail[:1].upper()}{error.detail[1:]}.", 401)
        answer = RedirectResponse(_own_path(target), 303)
        is_secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
        answer.set_cookie(
            COOKIE, who.token, expires=who.expires_at, httponly=True, samesite="lax", secure=is_secure, path="/"
        )
        return answer

    async def go_out(request: Request) -> Response:
        token = request.cookies.get(COOKIE, "")
        if token:
            await asyncio.to_thread(keeper.sign_out, token)
        answer = RedirectResponse("/signin", 303)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    return [
        Route("/signin", show, methods=["GET"]),
        Route("/signin", come_in, methods=["POST"]),
        Route("/signout", go_out, methods=["GET", "POST"]),
    ]


def sign_in_page(brand: Brand, target: str = "/", name: str = "", trouble: str = "") -> str:
    """The page as HTML, in a brand."""
    shown = f'<p class="trouble" role="alert">{html.escape(trouble)}</p>' if trouble else ""
    title = html.escape(brand.name or "Mailweir")
    logo = f'<img src="{brand.logo_uri}" alt="{title}">' if brand.logo else ""
    own = f"button {{ background: {brand.colour}; color: {ink_on(brand.colour)}; }}" if brand.colour else ""
    return _HTML.format(
        trouble=shown,
        name=html.escape(name),
        next=html.escape(_own_path(target)),
        title=title,
        head=logo or title,
        whom=_whom_to_ask(brand),
        own=own,
    )


def _whom_to_ask(brand: Brand) -> str:
    """A reseller's customers are not told of this program."""
    if not brand.name and not brand.logo:
        return "An admin adds one: <code>mailweir user add NAME</code>"
    whom = html.escape(brand.reply_to or brand.name or "your administrator")
    return f"Ask {whom}."


def _is_free(path: str) -> bool:
    return path in _FREE or path.startswith(_FREE_BELOW)


def _to_sign_in(scope: _Scope) -> Response:
    if _is_page(scope):
        return RedirectResponse(f"/signin?next={quote(_wanted(scope), safe='/')}", 303)
    return PlainTextResponse("sign in first", 401)


def _is_page(scope: _Scope) -> bool:
    return scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")


def _wanted(scope: _Scope) -> str:
    return str(scope["path"]) + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")


def _is_same_site(request: Request) -> bool:
    """A browser names the page a form was sent from; one of another site, or of a frame without a name ("null"), is
    nobody's sign-in."""
    origin = request.headers.get("origin", "")
    return not origin or urlsplit(origin).netloc == request.headers.get("host", "")


def _own_path(target: str) -> str:
    """Where to go afterwards: within this site only."""
    return target if is_own_path(target) else "/"


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES:
            return {}
    return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'",
    "X-Frame-Options": "DENY",
}


# The colours are those of .streamlit/config.toml.
_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: sign in</title>
<style>
:root {{ color-scheme: light dark; --ink: #1b2730; --back: #f3f6f8; --card: #fff; --line: #dce3e8; --do: #1f4a63;
  --red: #9c1c15; --redback: #fbe9e7; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e4ebf0; --back: #0f171d; --card: #18232b; --line: #2a3942;
  --do: #3c7ea3; --red: #f7a19b; --redback: #3b1b19; }} }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--back); color: var(--ink);
  font: 15px/1.5 "Source Sans", system-ui, sans-serif; }}
main {{ width: min(22rem, 88vw); padding: 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; }}
h1 {{ margin: 0 0 1.2rem; font-size: 1.35rem; font-weight: 650; }}
label {{ display: block; margin-top: .9rem; font-weight: 600; }}
input {{ box-sizing: border-box; width: 100%; margin-top: .25rem; padding: .55rem .7rem; font: inherit; color: inherit;
  background: var(--back); border: 1px solid var(--line); border-radius: .45rem; }}
button {{ width: 100%; margin-top: 1.4rem; padding: .6rem; font: inherit; font-weight: 600; color: #fff;
  background: var(--do); border: 0; border-radius: .45rem; cursor: pointer; }}
.trouble {{ padding: .6rem .8rem; color: var(--red); background: var(--redback); border-radius: .45rem; }}
h1 img {{ max-width: 100%; max-height: 64px; }}
small {{ display: block; margin-top: 1.2rem; opacity: .75; }}
{own}</style></head>
<body><main><h1>{head}</h1>{trouble}
<form method="post" action="/signin">
<input type="hidden" name="next" value="{next}">
<label>Name<input name="name" value="{name}" autocomplete="username" autofocus required></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in</button></form>
<small>No account? {whom}</small>
</main></body></html>
"""
