"""One HTTP connection: uvicorn's protocol, with an end to its patience and to the number of its kind.

uvicorn waits for ever for a request's header and for a client that does not read; and it tells the log of every request
that is none, which would let strangers fill it.
"""

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from relay.front.guard import client_key
from relay.front.proxied import plain_ip

_silent = logging.getLogger("mailweir.front.web.silent")
_silent.setLevel(logging.CRITICAL + 1)

_CONNECTIONS_MAX = 1_000


class Connections:
    """Counts the connections of one listener. `is_trusted` addresses (proxies) have no bound of their own."""

    def __init__(self, per_address: int, header_seconds: float, is_trusted: Callable[[str], bool]) -> None:
        self.header_seconds = header_seconds
        self._per_address, self._is_trusted = per_address, is_trusted
        self._open: Counter[str] = Counter()
        # A share of the open files only: those that SMTP sessions leave are for the spool and for deliveries
        self._capacity = min(_CONNECTIONS_MAX, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8)

    @property
    def count(self) -> int:
        return self._open.total()

    def take_up(self, per_address: int) -> None:
        self._per_address = per_address

    def enter(self, address: str) -> bool:
        """Note a connection, tell whether it is welcome."""
        key = client_key(plain_ip(address))
        self._open[key] += 1
        is_one_too_many = self._open[key] > self._per_address and not self._is_trusted(address)
        return self._open.total() <= self._capacity and not is_one_too_many

    def leave(self, address: str) -> None:
        key = client_key(plain_ip(address))
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]


class WebProtocol(H11Protocol):
    """One connection."""

    def __init__(self, connections: Connections, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.logger = self.access_logger = _silent
        self.access_log = False
        self._house = connections
        self._address = ""
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        if self._house.enter(self._address):
            self._wait_for_header()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.leave(self._address)
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # nonsense in the middle of a request: uvicorn cannot answer it twice
            self.transport.abort()
        if self._is_serving():
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_serving():
            self._wait_for_header()  # also for the client to read the answer, and to end a body nobody wants

    def _is_serving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_header(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(self._house.header_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
