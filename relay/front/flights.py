"""One request under one Idempotency-Key: who comes again gets the first answer, who comes meanwhile waits for it.

What is accepted is remembered by the spool, with the message; what is refused is not: nothing was done, and a retry is
judged anew. A flight goes on when its client leaves, or the message it makes would have no key that knows of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request

from relay.front.web.answers import WebRefusal
from relay.reply import Reply
from relay.spool.idempotency import Answered

KEY_MAX = 255
KEEP_HOURS = 24

_BAD_KEY = Reply(501, "5.5.4", f"Idempotency-Key: from 1 to {KEY_MAX} printable ASCII characters")
_OTHER_REQUEST = Reply(554, "5.5.4", "Idempotency-Key: another request was made under this key")


@dataclass(frozen=True, slots=True)
class _Flight:
    digest: bytes
    task: asyncio.Task[bytes]


class Flights:
    """The requests with a key that are under way. `answered` looks up account, key and now among those that were."""

    def __init__(self, answered: Callable[[str, str, float], Answered | None]) -> None:
        self._answered = answered
        self._under_way: dict[tuple[str, str], _Flight] = {}

    async def once(
        self, name: tuple[str, str], digest: bytes, now_unix: float, work: Callable[[], Awaitable[bytes]]
    ) -> tuple[bytes, bool]:
        """Return the answer under this name (account, key) and whether it is a repeated one.

        Raises what `work` raises, and WebRefusal 409 when the name is another request's.
        """
        flight = self._under_way.get(name)
        if flight is not None:
            _require_same(flight.digest, digest)
            return await asyncio.shield(flight.task), True
        if known := self._answered(*name, now_unix):
            _require_same(known.digest, digest)
            return known.answer, True
        task = asyncio.ensure_future(_run(work))
        self._under_way[name] = _Flight(digest, task)
        task.add_done_callback(lambda _: self._under_way.pop(name))
        return await asyncio.shield(task), False

    async def end(self) -> None:
        """End what goes on without its client; what the relay has begun to store, it stores."""
        tasks = [flight.task for flight in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def key_of(request: Request) -> str | None:
    """Return the key a request came with, None for none. Raises WebRefusal for one that cannot be used."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not key or len(key) > KEY_MAX or not (key.isascii() and key.isprintable()):
        raise WebRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, _BAD_KEY)
    return key


async def _run(work: Callable[[], Awaitable[bytes]]) -> bytes:
    return await work()


def _require_same(known: bytes, digest: bytes) -> None:
    if known != digest:
        raise WebRefusal(HTTPStatus.CONFLICT, _OTHER_REQUEST)
