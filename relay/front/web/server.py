"""The public web listener: apart from the control API, for applications and, by links in mails, for everybody.

What it serves is given to it as routes. Errors are RFC 9457 problem documents. Never logs a request: its header holds a
password.
"""

import contextlib
import functools
import ssl
from collections.abc import Sequence
from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from relay.control.serving import serve
from relay.front.doorway import CLOSING
from relay.front.web.answers import WebRefusal, json_answer, problem
from relay.front.web.login import is_within
from relay.front.web.protocol import Connections, WebProtocol
from relay.reply import RelayError, Reply, TransientError
from relay.settings import Settings, Smtp, split_listen

_NOTHING_THERE = Reply(502, "5.5.1", "there is nothing here")
_WRONG_METHOD = Reply(502, "5.5.1", "method not allowed here")


class PublicWeb:
    """One listener and its routes; `tls` when it speaks HTTPS itself."""

    def __init__(self, settings: Settings, routes: Sequence[BaseRoute], tls: ssl.SSLContext | None = None) -> None:
        web = settings.web
        self._settings, self._tls = settings, tls
        self._connections = Connections(
            settings.smtp.max_connections_per_address,
            web.timeout_seconds,
            lambda address: is_within(address, web.trusted_proxies),
        )
        self._serving = contextlib.AsyncExitStack()
        self.is_closing = False
        self._app = Starlette(
            routes=[Route("/healthz", _healthz), Route("/openapi.json", _openapi), *routes],
            middleware=[Middleware(_Gate, web=self)],
            exception_handlers={HTTPException: _http_error},
        )
        self._app.router.redirect_slashes = False  # it would build a URL of whatever the client calls our host

    @property
    def connections(self) -> int:
        return self._connections.count

    def take_up(self, settings: Smtp) -> None:
        """Hold to another number of connections per address."""
        self._connections.take_up(settings.max_connections_per_address)

    async def open(self) -> int:
        """Listen; return the port. Raises OSError."""
        host, port = split_listen(self._settings.web.listen)
        protocol = functools.partial(WebProtocol, self._connections)
        stop_seconds = self._settings.smtp.stop_seconds
        serving = serve(self._app, host, port, protocol=protocol, stop_seconds=stop_seconds, tls=self._tls)
        return await self._serving.enter_async_context(serving)

    async def close(self) -> None:
        """Take no new request; return when the running ones are answered, at the latest after smtp.stop_seconds."""
        self.is_closing = True
        await self._serving.aclose()


class _Gate:
    """Lets nothing new in while the listener closes."""

    def __init__(self, app: ASGIApp, web: PublicWeb) -> None:
        self._app, self._web = app, web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._web.is_closing:
            await problem(TransientError(CLOSING))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _healthz(_request: Request) -> Response:
    return json_answer(b'{"status":"ok"}')


async def _openapi(_request: Request) -> Response:
    return json_answer(_document())


@functools.cache  # anybody may ask, as often as he likes
def _document() -> bytes:
    from relay.openapi.submission import submission_document  # seldom asked for

    return msgspec.json.encode(submission_document())


async def _http_error(_request: Request, error: Exception) -> Response:
    """What Starlette refuses itself: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)
    reply = _WRONG_METHOD if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else _NOTHING_THERE
    refusal: RelayError = WebRefusal(HTTPStatus(error.status_code), reply, error.headers)
    return problem(refusal)
