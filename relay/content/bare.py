"""The content stage of a relay that neither scores nor signs: header fields are read and repaired, in main, at once.

No processes, no body is looked at. A loop is still seen, and Date and Message-ID are still added where missing. The
first key of a customer ends this: from then on a pool of workers stands behind it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from relay.content.additions import additions
from relay.content.head import split_head
from relay.content.protocol import ContentRequest, ContentResult, CustomerKey, KeyChange
from relay.content.text import decode_header
from relay.content.workers import ContentPool, PoolStats
from relay.events import Features

_CHARACTERS = 300


_log = logging.getLogger("mailweir.content")


class BareContent:
    """Stands where a ContentPool would."""

    def __init__(self, make_pool: Callable[[Sequence[CustomerKey]], ContentPool]) -> None:
        """`make_pool` makes the one to change over to, when there is something to sign with."""
        self._make_pool = make_pool
        self._keys: dict[tuple[str, str, str], CustomerKey] = {}
        self._pool: ContentPool | None = None
        self._is_ready = False
        self._starting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """End the workers, where there are any."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._pool is not None:
            await self._pool.stop()

    async def reload(self, model: str, rules: str | None = None) -> None:
        """Nothing to take up: content.model = "none" is read at start only."""

    def change_keys(self, change: KeyChange) -> None:
        """Take up customers' keys; the first one starts the workers, and mail is signed as soon as they are ready."""
        for key_id in change.drop:
            self._keys.pop(key_id, None)
        self._keys |= {put.id: put for put in change.put}
        if self._pool is not None:
            self._pool.change_keys(change)
        elif self._keys:
            self._pool = self._make_pool([*self._keys.values()])
            self._starting = asyncio.get_running_loop().create_task(self._change_over(self._pool))

    def stats(self) -> PoolStats:
        return self._pool.stats() if self._pool else PoolStats(workers=0, queued=0, restarts=0, scored=0)

    async def _change_over(self, pool: ContentPool) -> None:
        try:
            await pool.start()
            self._is_ready = True
        except Exception as error:  # mail goes on unsigned, as it did; the next change tries again
            _log.error("no content worker, mail is not signed: %s", error)
            self._pool = None
            await pool.stop()

    async def assess(self, request: ContentRequest) -> ContentResult:
        """Return header fields and repairs, without a score."""
        if self._is_ready and self._pool is not None:
            return await self._pool.assess(request)
        head = split_head(request.content)
        names = {name for name, _ in head.fields}
        added = additions(request, head)
        first = {name.lower(): value for name, value in reversed([*added.repairs, *head.fields])}
        return ContentResult(
            score=None,
            model="none",
            reasons=[],
            features=Features(
                received_headers=sum(name == b"received" for name, _ in head.fields),
                headers=len(head.fields),
                has_date=b"date" in names,
                has_message_id=b"message-id" in names,
            ),
            prefix=added.lines(),
            prefixes=[added.lines(own) for own in added.own],
            subject=_text(first, b"subject"),
            header_from=_text(first, b"from"),
            header_message_id=_text(first, b"message-id"),
        )


def _text(fields: dict[bytes, bytes], name: bytes) -> str:
    return decode_header(fields.get(name, b"")[:2000]).strip()[:_CHARACTERS]
