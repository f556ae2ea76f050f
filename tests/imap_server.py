"""A small IMAP server in a thread: one mailbox, one user; what it was told to do stands in `flags` and `log`."""

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Mailbox(socketserver.ThreadingTCPServer):
    """`mails` by UID; `flags` as they stand; `refuses`: the commands it answers with NO."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, mails: dict[int, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails, self.log = dict(mails), list[str]()
        self.flags: dict[int, set[str]] = {uid: set() for uid in mails}
        self.refuses: set[str] = set()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Session(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._say("* OK ready")
        for line in self.rfile:
            tag, _, command = line.decode().strip().partition(" ")
            name = command.upper().removeprefix("UID ").split(" ")[0]
            self.server.log.append(command)
            if name in self.server.refuses:
                self._say(f"{tag} NO not today")
                continue
            self._answer(name, command)
            self._say(f"{tag} OK done")
            if name == "LOGOUT":
                return

    def _answer(self, name: str, command: str) -> None:
        box = self.server
        match name:
            case "CAPABILITY":
                self._say("* CAPABILITY IMAP4rev1")
            case "SELECT":
                self._say(f"* {len(box.mails)} EXISTS")
            case "SEARCH":
                unseen = [str(uid) for uid in sorted(box.mails) if "\\Seen" not in box.flags[uid]]
                self._say(f"* SEARCH {' '.join(unseen)}".rstrip())
            case "FETCH":
                uid = int(command.split()[2])
                if "RFC822.SIZE" in command:
                    self._say(f"* 1 FETCH (UID {uid} RFC822.SIZE {len(box.mails[uid])})")
                else:
                    raw = box.mails[uid]
                    self.wfile.write(f"* 1 FETCH (UID {uid} BODY[] {{{len(raw)}}}\r\n".encode() + raw + b")\r\n")
            case "STORE":
                box.flags[int(command.split()[2])] |= set(re.findall(r"\\\w+", command))
            case "EXPUNGE":
                for uid in [uid for uid, flags in box.flags.items() if "\\Deleted" in flags]:
                    del box.mails[uid], box.flags[uid]

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


@contextmanager
def imap_mailbox(mails: dict[int, bytes]) -> Iterator[Mailbox]:
    """Serve until the block ends."""
    with Mailbox(mails) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
