"""The listeners, and who is inside."""

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace

from relay.front.doorway import CLOSING, Doorway
from relay.front.entrances import Entrance
from relay.front.guard import BUSY, ERRONEOUS, HASTY, Guard, client_key
from relay.front.session import Door
from relay.front.visit import Visit
from relay.reply import Reply
from relay.settings import Smtp, split_listen

_log = logging.getLogger("mailweir.front")

# Open files that sessions must leave to the spool and to deliveries: without one of those no mail gets on disk
_KEPT_FILES = 512
_FULL = Reply(421, "4.3.2", "too many connections, try again later")
_REASONS = {BUSY: "at_once", HASTY: "per_minute", ERRONEOUS: "errors", _FULL: "open_files", CLOSING: "stopping"}


class Doors:
    """All listeners, and who is inside."""

    def __init__(self, way: Doorway, kind: type[Door] = Door) -> None:
        self._way, self._kind = way, kind
        self._servers: list[asyncio.Server] = []
        self._templates: list[Door] = []
        self._inside: dict[Visit, str] = {}
        self._guard = Guard(way.settings)
        self._capacity = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _KEPT_FILES, _KEPT_FILES)
        self.is_closing = False
        self.accepted = 0
        self.on_unwelcome: Callable[[str], None] = lambda _reason: None

    @property
    def tls(self) -> ssl.SSLContext:
        """The context of all handshakes."""
        return self._way.tls

    @property
    def sessions(self) -> int:
        return len(self._inside)

    @property
    def ports(self) -> list[int]:
        """The ports listened on, in the order of opening."""
        return [server.sockets[0].getsockname()[1] for server in self._servers if server.sockets]

    async def open(self, entrance: Entrance, inherited: socket.socket | None = None) -> None:
        """Listen at the entrance's address, or on a socket that systemd has opened. Raises OSError."""
        loop = asyncio.get_running_loop()
        template = self._template(loop, entrance)
        self._templates.append(template)
        if inherited is not None:
            server = await loop.create_server(template.cloned, sock=inherited, backlog=512)
        else:
            host, port = split_listen(entrance.address)
            # proto=IPPROTO_TCP is set by create_server's own getaddrinfo, else asyncio leaves Nagle on
            server = await loop.create_server(template.cloned, host, port, backlog=512)
        self._servers.append(server)
        kind = "inbox" if entrance.is_inbox else "smtps" if entrance.is_implicit_tls else "smtp"
        _log.info("listening door=%s address=%s port=%d", kind, entrance.address, self.ports[-1])

    def take_up(self, settings: Smtp) -> None:
        """Give sessions that begin from now on these numbers; those inside keep theirs until they end."""
        self._way = replace(self._way, settings=settings)
        self._guard.take_up(settings)
        for template in self._templates:
            template.way = self._way
            template.data_size_limit = settings.max_size_bytes
            template._timeout_duration = settings.timeout_seconds

    async def close(self, seconds: float) -> None:
        """Take no new session, let running transactions finish within `seconds`, say 421 to the rest."""
        self.is_closing = True
        for server in self._servers:
            server.close()
        deadline = asyncio.get_running_loop().time() + seconds
        while self._inside and asyncio.get_running_loop().time() < deadline:
            for door in [door for door in self._inside if not door.is_in_transaction]:
                door.close_with(CLOSING)
            await asyncio.sleep(0.02)
        for door in list(self._inside):
            door.close_with(CLOSING)

    def enter(self, door: Visit) -> Reply | None:
        """Note a session; return why it is not welcome, if so."""
        key = client_key(door.ip)
        if unwelcome := self._unwelcome(key):
            self.on_unwelcome(_REASONS[unwelcome])
            return unwelcome
        self._inside[door] = key
        self.accepted += 1
        return None

    def _unwelcome(self, key: str) -> Reply | None:
        if self.is_closing:
            return CLOSING
        if len(self._inside) >= self._capacity:
            return _FULL
        return self._guard.enter(key, self._now())

    def leave(self, door: Visit) -> None:
        key = self._inside.pop(door, None)
        if key is not None:
            self._guard.leave(key)

    def erred(self, door: Visit) -> bool:
        """Count an error of a session; tell whether its address has made too many."""
        return self._guard.erred(self._inside.get(door, door.ip), self._now())

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _template(self, loop: asyncio.AbstractEventLoop, entrance: Entrance) -> Door:
        template = self._kind(
            None,
            hostname=self._way.hostname,
            ident="ESMTP",
            data_size_limit=self._way.settings.max_size_bytes,
            enable_SMTPUTF8=True,
            tls_context=self._way.tls,
            timeout=self._way.settings.timeout_seconds,
            loop=loop,
        )
        template.serve(self._way, self, entrance)
        return template
