"""A receiver for trying webhooks: shows each call that arrives and whether its signature holds. Listens on loopback."""

import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from analytics.webhooks.payload import signature
from analytics.webhooks.sending import SIGNATURE_HEADER

FRESH_SECONDS = 300  # docs/webhooks.md tells receivers the same
_BODY_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Heard:
    """One call. `fault`: what is wrong with it ("": nothing); `body` None: it was no JSON object."""

    path: str
    event_id: str
    attempt: str
    body: dict[str, Any] | None
    fault: str


def fault_of(secret: str, header: str, body: bytes, now_unix: float) -> str:
    """Say what is wrong with a call's signature; "" when it is ours and fresh.

    >>> fault_of("s", signature("s", 100, b"{}"), b"{}", 160.0), fault_of("s", "", b"{}", 160.0)
    ('', 'it is not signed')
    """
    if not header:
        return "it is not signed"
    parts = dict(part.strip().partition("=")[::2] for part in header.split(","))
    sent = parts.get("t", "")
    if not (sent.isascii() and sent.isdigit()) or "v1" not in parts:
        return f"{SIGNATURE_HEADER} is not t=SECONDS,v1=HEX"
    expected = signature(secret, int(sent), body).partition(",v1=")[2]
    if not hmac.compare_digest(expected.encode(), parts["v1"].encode("utf-8", "replace")):
        return "the signature is another one: another secret, or the body was changed on the way"
    if abs(now_unix - int(sent)) > FRESH_SECONDS:
        return f"it was signed {abs(now_unix - int(sent)):.0f} s away from now: an old call again, or a wrong clock"
    return ""


class Listener:
    """Answers `status` to every call, and hands it to `on_call`. `secret` "": signatures are not looked at."""

    def __init__(
        self, port: int, secret: str, on_call: Callable[[Heard], None], *, status: int = 204, most: int = 0
    ) -> None:
        """`most`: it ends after so many calls; 0: never by itself. Raises OSError when the port is taken."""
        self._secret, self._on_call, self._status, self._most = secret, on_call, status, most
        self._lock, self._count = threading.Lock(), 0
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def serve(self) -> None:
        """Return after `most` calls, or when interrupted."""
        try:
            self._server.serve_forever(poll_interval=0.1)
        finally:
            self._server.server_close()

    def _heard(self, handler: BaseHTTPRequestHandler, body: bytes) -> Heard:
        given = handler.headers
        fault = fault_of(self._secret, given.get(SIGNATURE_HEADER, ""), body, time.time()) if self._secret else ""
        try:
            decoded = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError as error:
            decoded, fault = None, fault or f"its body is no JSON object: {error}"
        event_id, attempt = given.get("X-Mailweir-Event", ""), given.get("X-Mailweir-Attempt", "")
        return Heard(handler.path, event_id, attempt, decoded, fault)

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        length = handler.headers.get("Content-Length", "0")
        body = handler.rfile.read(min(int(length) if length.isdigit() else 0, _BODY_BYTES))
        heard = self._heard(handler, body)
        handler.send_response(400 if heard.fault else self._status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        with self._lock:  # calls may come at once, and are shown one after the other
            self._on_call(heard)
            self._count += 1
            if self._count == self._most:
                threading.Thread(target=self._server.shutdown).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name http.server calls
                take(self)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
