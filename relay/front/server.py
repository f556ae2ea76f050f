"""The listeners, and who is inside."""

import asyncio
import logging
import resource
from collections import Counter

from relay.front.session import CLOSING, Door, Doorway
from relay.reply import Reply

_log = logging.getLogger("mailweir.front")

# Open files that sessions must leave to the spool and to deliveries: without one of those no mail gets on disk
_KEPT_FILES = 512
_BUSY = Reply(421, "4.7.0", "too many connections from your address")
_FULL = Reply(421, "4.3.2", "too many connections, try again later")


class Doors:
    """All listeners, and who is inside."""

    def __init__(self, way: Doorway) -> None:
        self._way = way
        self._servers: list[asyncio.Server] = []
        self._inside: set[Door] = set()
        self._per_address: Counter[str] = Counter()
        self._capacity = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _KEPT_FILES, _KEPT_FILES)
        self.is_closing = False
        self.accepted = 0

    @property
    def sessions(self) -> int:
        return len(self._inside)

    @property
    def ports(self) -> list[int]:
        """The ports listened on, in the order of opening."""
        return [server.sockets[0].getsockname()[1] for server in self._servers if server.sockets]

    async def open(self, addresses: list[tuple[str, int]]) -> None:
        """Listen. Raises OSError that names the address."""
        loop = asyncio.get_running_loop()
        template = self._template(loop)
        for host, port in addresses:
            # proto=IPPROTO_TCP is set by create_server's own getaddrinfo, else asyncio leaves Nagle on
            self._servers.append(await loop.create_server(template.cloned, host, port, backlog=512))
            _log.info("listening door=smtp address=%s port=%d", host, port)

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

    def enter(self, door: Door) -> Reply | None:
        """Note a session; return why it is not welcome, if so."""
        if self.is_closing:
            return CLOSING
        if len(self._inside) >= self._capacity:
            return _FULL
        if self._per_address[door.ip] >= self._way.settings.max_connections_per_address:
            return _BUSY
        self._per_address[door.ip] += 1
        self._inside.add(door)
        self.accepted += 1
        return None

    def leave(self, door: Door) -> None:
        if door in self._inside:
            self._inside.discard(door)
            self._per_address[door.ip] -= 1
            if not self._per_address[door.ip]:
                del self._per_address[door.ip]

    def _template(self, loop: asyncio.AbstractEventLoop) -> Door:
        template = Door(
            None,
            hostname=self._way.hostname,
            ident="ESMTP",
            data_size_limit=self._way.settings.max_size_bytes,
            enable_SMTPUTF8=True,
            tls_context=self._way.tls,
            timeout=self._way.settings.timeout_seconds,
            loop=loop,
        )
        template.serve(self._way, self)
        return template
