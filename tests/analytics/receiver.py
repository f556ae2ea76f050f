"""A receiver of webhooks: a real HTTP server in a thread, which keeps what it was sent and checks signatures."""

import hmac
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class Receiver:
    """`with Receiver() as receiver:`. `status` is what it answers; `gate`: it waits for it before."""

    status: int = 204
    calls: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        receiver = self
        self.gate.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name http.server calls
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.gate.wait(20)
                receiver.bodies.append(body)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                receiver.calls.append(json.loads(body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                if receiver.status in (301, 302):
                    self.send_header("Location", f"{receiver.url}moved")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook/"

    def is_signed(self, secret: str, number: int = -1) -> bool:
        """Check a call as a receiver would, from its own reading of docs/webhooks.md."""
        parts = dict(part.split("=", 1) for part in self.headers[number]["x-mailweir-signature"].split(","))
        expected = hmac.new(secret.encode(), f"{parts['t']}.".encode() + self.bodies[number], "sha256").hexdigest()
        return hmac.compare_digest(expected, parts["v1"])
