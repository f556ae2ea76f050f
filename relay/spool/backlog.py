"""What waits for delivery, for operators: found beside the event loop, and changed by id in the commit thread.

A selection may fit a million recipients, so it is read on a connection of its own in a thread, lane by lane, up to a
limit.
"""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from relay.spool import census, index
from relay.spool.census import Selection, Waiting
from relay.spool.entry import CorruptEntry, SpooledMessage, SpooledRecipient, message_of
from relay.spool.usage import Change

_SLICE = 5_000  # ids of one transaction, some 20 ms: the commit thread waits for it

_Call = Callable[[Callable[[sqlite3.Connection, Change], object]], Awaitable[object]]


class Backlog:
    """`call` runs a function in a transaction of the commit thread, after everything handed in so far."""

    def __init__(self, path: Path, node: str, call: "_Call") -> None:
        self._path, self._node, self._call = path, node, call

    async def choose(self, selection: Selection, limit: int) -> list[Waiting]:
        """Return up to `limit` queued recipients of a selection, each lane's oldest due first."""
        return await asyncio.to_thread(self._choose, selection, limit)

    async def make_due(self, ids: Sequence[int], now_unix: float) -> int:
        """Have these tried now; return how many would have waited longer. The courier must look again."""
        count = 0
        for start in range(0, len(ids), _SLICE):
            chosen = json.dumps(ids[start : start + _SLICE])
            changed = await self._call(_making_due(chosen, now_unix))
            assert isinstance(changed, int)
            count += changed
        return count

    async def still_queued(self, ids: Iterable[int]) -> list[SpooledRecipient]:
        """Return those of the recipients that have neither left nor been held meanwhile."""
        wanted = json.dumps(sorted(ids))
        rows = await self._call(lambda connection, _change: _still_queued(connection, wanted))
        assert isinstance(rows, list)
        found, messages = [], dict[int, SpooledMessage]()
        for number, owner, address, due, attempts, destination, dsn, *row in rows:
            try:
                message = messages.get(owner) or messages.setdefault(owner, message_of(tuple(row), self._node))
            except CorruptEntry:
                continue  # the pager puts it off, and says so
            found.append(SpooledRecipient(number, message, address, destination, attempts, due, dsn))
        return found

    def _choose(self, selection: Selection, limit: int) -> list[Waiting]:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only = 1")
            return census.queued(connection, self._node, selection, limit)
        finally:
            connection.close()


def _making_due(ids: str, now_unix: float) -> Callable[[sqlite3.Connection, Change], object]:
    def make(connection: sqlite3.Connection, _change: Change) -> int:
        return connection.execute(
            "UPDATE recipient SET due = ?1 WHERE id IN (SELECT value FROM json_each(?2)) AND state = 0 AND due > ?1",
            (now_unix, ids),
        ).rowcount

    return make


def _still_queued(connection: sqlite3.Connection, ids: str) -> list[tuple[object, ...]]:
    return connection.execute(
        "SELECT r.id, r.message, r.address, r.due, r.attempts, l.destination, r.dsn,"  # noqa: S608
        f" {index.MESSAGE_COLUMNS} FROM recipient r JOIN lane l ON l.id = r.lane JOIN message m ON m.id = r.message"
        " WHERE r.id IN (SELECT value FROM json_each(?)) AND r.state = 0",
        (ids,),
    ).fetchall()
