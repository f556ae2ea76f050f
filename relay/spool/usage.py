"""How much of each segment is alive, and how many recipients wait: counted as they come and go, never by scanning.

The commit thread gathers the changes of one transaction in a Change, writes them in that transaction, and only after
COMMIT takes them over, so that memory and index never differ.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NO_ID = 1 << 62


@dataclass(slots=True)
class Used:
    """One segment: its messages, their bytes with their records, the end of what was committed to it.

    Between the ids `first` and `last` lie all that were stored in it, those moved into it excepted.
    """

    messages: int = 0
    alive: int = 0
    written: int = 0
    first: int = NO_ID
    last: int = 0


@dataclass(slots=True)
class Change:
    """What one transaction adds to and takes from the segments."""

    segments: dict[int, Used] = field(default_factory=dict)
    recipients: int = 0

    def add(self, segment: int, messages: int, alive: int, end: int) -> Used:
        """Messages came to lie in `segment`, the last of them up to `end`."""
        used = self._used(segment)
        used.messages += messages
        used.alive += alive
        used.written = max(used.written, end)
        return used

    def store(self, segment: int, ids: Sequence[int], alive: int, end: int) -> None:
        """The same for new mail."""
        used = self.add(segment, len(ids), alive, end)
        used.first, used.last = min(used.first, *ids), max(used.last, *ids)

    def free(self, gone: Iterable[tuple[int, int]]) -> None:
        """Messages left: (segment, bytes) of each."""
        for segment, size in gone:
            used = self._used(segment)
            used.messages -= 1
            used.alive -= size

    def _used(self, segment: int) -> Used:
        return self.segments.get(segment) or self.segments.setdefault(segment, Used())


class Usage:
    """The table `segment` and the count of recipients, in memory."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT number, messages, alive, written, first, last FROM segment").fetchall()
        self.segments = {number: Used(*counts) for number, *counts in rows}
        found = connection.execute("SELECT value FROM meta WHERE name = 'recipients'").fetchone()
        self.recipients = int(found[0]) if found else 0
        self._deleted: list[tuple[int]] = []

    def write(self, connection: sqlite3.Connection, change: Change) -> None:
        """Write a change as part of the open transaction."""
        if change.segments:
            connection.executemany(
                "INSERT INTO segment VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE"
                " SET messages = messages + ?2, alive = alive + ?3, written = max(written, ?4),"
                " first = min(first, ?5), last = max(last, ?6)",
                [(number, u.messages, u.alive, u.written, u.first, u.last) for number, u in change.segments.items()],
            )
        if change.recipients:
            connection.execute(
                "INSERT INTO meta VALUES ('recipients', ?1) ON CONFLICT DO UPDATE SET value = value + ?1",
                (change.recipients,),
            )
        if self._deleted:
            connection.executemany("DELETE FROM segment WHERE number = ?", self._deleted)

    def apply(self, change: Change) -> None:
        """Take a written change over: its transaction is committed."""
        self._deleted.clear()
        self.recipients += change.recipients
        for number, delta in change.segments.items():
            used = self.segments.get(number)
            if used is None:
                self.segments[number] = delta
            else:
                used.messages += delta.messages
                used.alive += delta.alive
                used.written = max(used.written, delta.written)

    def forget(self, number: int) -> None:
        """Its file is deleted; the row goes with the next transaction."""
        del self.segments[number]
        self._deleted.append((number,))
