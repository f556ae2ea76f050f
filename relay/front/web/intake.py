"""Reads request bodies, and bounds how many and how large ones are inside at once.

What a body may grow to is taken from one store of bytes before it is read, and given back when its request is answered;
a request for which there is nothing left is refused, not made to wait with its bytes in hand. A client that stalls is
given up. Only accounts come here: strangers are turned away by their header.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from http import HTTPStatus

from starlette.requests import Request

from relay.front.web.answers import WebRefusal
from relay.reply import Reply

REQUESTS_MAX = 256
_PER_ACCOUNT = 64
_LARGEST_BODIES = 4  # so many bodies of the largest size fit in memory at once
_BLOCK = 65_536

_TOO_BIG = Reply(552, "5.3.4", "message too big")
_BUSY = Reply(452, "4.3.1", "too many requests at once, try again later")
_BUSY_ACCOUNT = Reply(452, "4.3.2", "too many requests of your account at once, try again later")
_TIMED_OUT = Reply(451, "4.4.2", "timeout")


class Intake:
    """Who is inside, and how many bytes of theirs."""

    def __init__(self, largest_bytes: int) -> None:
        self._largest_bytes = largest_bytes
        self._free_bytes = _LARGEST_BODIES * largest_bytes
        self._inside: Counter[str] = Counter()

    def take_up(self, largest_bytes: int) -> None:
        """Let bodies grow to another size; less room than is taken now means none until some is given back."""
        self._free_bytes += _LARGEST_BODIES * (largest_bytes - self._largest_bytes)
        self._largest_bytes = largest_bytes

    @contextlib.contextmanager
    def admitted(self, account: str) -> Iterator["Place"]:
        """Give a request of this account a place until it is answered. Raises WebRefusal."""
        if self._inside.total() >= REQUESTS_MAX:
            raise WebRefusal(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY)
        if self._inside[account] >= _PER_ACCOUNT:
            raise WebRefusal(HTTPStatus.TOO_MANY_REQUESTS, _BUSY_ACCOUNT, {"Retry-After": "1"})
        place = Place(self)
        self._inside[account] += 1
        try:
            yield place
        finally:
            self._free_bytes += place.held_bytes
            self._inside[account] -= 1
            if not self._inside[account]:
                del self._inside[account]

    def take(self, size_bytes: int) -> None:
        """Take room for so many bytes. Raises WebRefusal when it is not there."""
        if size_bytes > self._free_bytes:
            raise WebRefusal(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY, {"Retry-After": "5"})
        self._free_bytes -= size_bytes


class Place:
    """One request's share of the memory."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.held_bytes = 0

    async def read(
        self, request: Request, limit: int, patience_seconds: float, on_block: Callable[[bytes], object]
    ) -> bytearray:
        """Return the whole body.

        Raises WebRefusal: 413 beyond `limit`, at once where the header says so, 408 for a client that needs longer
        than patience_seconds for 64 KiB, 503 without room; ClientDisconnect for one that left before the end.
        """
        declared = request.headers.get("content-length", "0")  # the protocol has seen that it is a number
        self._grow_to(int(declared), limit)
        body, loop, next_mark = bytearray(), asyncio.get_running_loop(), _BLOCK
        try:
            async with asyncio.timeout(patience_seconds) as patience:
                async for block in request.stream():
                    self._grow_to(len(body) + len(block), limit)
                    body += block
                    on_block(block)
                    if len(body) >= next_mark:
                        next_mark = len(body) + _BLOCK
                        patience.reschedule(loop.time() + patience_seconds)
        except TimeoutError:
            raise WebRefusal(HTTPStatus.REQUEST_TIMEOUT, _TIMED_OUT, {"Connection": "close"}) from None
        return body

    def _grow_to(self, size_bytes: int, limit: int) -> None:
        if size_bytes > limit:
            raise WebRefusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_BIG)
        if size_bytes > self.held_bytes:
            self._intake.take(size_bytes - self.held_bytes)
            self.held_bytes = size_bytes
