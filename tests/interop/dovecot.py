"""A server of Dovecot's authentication protocol, which Postfix asks about its own users. One password for everybody."""

import base64
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_HELLO = "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0123456789abcdef0123456789abcdef\nDONE\n"


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(_HELLO.encode())
        for line in self.rfile:
            words = line.decode().rstrip("\n").split("\t")
            if words[0] == "AUTH":
                self.wfile.write(_answer(words).encode())


def _answer(words: list[str]) -> str:
    response = next(word.removeprefix("resp=") for word in words if word.startswith("resp="))
    _, user, password = base64.b64decode(response).decode().split("\0")
    return f"OK\t{words[1]}\tuser={user}\n" if password == "secret" else f"FAIL\t{words[1]}\tuser={user}\n"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def dovecot() -> Iterator[int]:
    """Serve on a port of loopback until the block ends."""
    with _Server(("127.0.0.1", 0), _Session) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
