"""A real web server for MTA-STS policies, in a thread, on HTTPS."""

import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

POLICY = "version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {max_age}\r\n"


class PolicyServer:
    """`with PolicyServer(context) as web:`; what it answers may change while it runs."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self.status, self.content_type, self.body = 200, "text/plain", b""
        self.bodies: dict[str, bytes] = {}  # by Host; others get `body`
        self.headers: dict[str, str] = {}
        self.delay_seconds = 0.0
        self.asked: list[str] = []

    def say(self, mode: str = "enforce", mx: str = "mx.example", max_age: int = 604_800) -> None:
        """Serve a whole policy."""
        self.body = POLICY.format(mode=mode, mx=mx, max_age=max_age).encode()

    def serve_as(self, tls: ssl.SSLContext) -> None:
        """Use another certificate from the next connection on."""
        self._tls = tls

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(f"{self.headers['Host']}{self.path}")
                time.sleep(outer.delay_seconds)
                self.send_response(outer.status)
                for name, value in ({"Content-Type": outer.content_type} | outer.headers).items():
                    self.send_header(name, value)
                body = outer.bodies.get(self.headers["Host"].partition(":")[0], outer.body)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request: object, client_address: object) -> None:
                with outer._tls.wrap_socket(request, server_side=True) as wrapped:  # type: ignore[arg-type]
                    super().finish_request(wrapped, client_address)  # type: ignore[arg-type]

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # handshakes that fail are what some tests are about

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
