"""Outcomes on their way to the disk, and how they change the index. Runs in the commit thread's transaction."""

import sqlite3
from dataclasses import dataclass, field

from relay.spool import digests, index
from relay.spool.digests import DigestLine
from relay.spool.usage import Change


@dataclass(slots=True)
class Marks:
    """Recipients that finished alone (the only one of a message) or as (recipient id, message id), deferred as
    (due, attempts, recipient id), and their records. `digest` comes in as its recipients go out; `late` are the ids of
    those whose sender is told of the delay."""

    alone: list[int] = field(default_factory=list)
    finished: list[tuple[int, int]] = field(default_factory=list)
    deferred: list[tuple[float, int, int]] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    digest: list[DigestLine] = field(default_factory=list)
    late: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.alone or self.finished or self.deferred or self.lines or self.digest or self.late)

    @property
    def ended(self) -> int:
        """How many recipients leave the spool."""
        return len(self.alone) + len(self.finished)

    def add(self, other: "Marks") -> None:
        self.alone += other.alone
        self.finished += other.finished
        self.deferred += other.deferred
        self.lines += other.lines
        self.digest += other.digest
        self.late += other.late

    def write(self, connection: sqlite3.Connection, change: Change) -> None:
        """All but the records, which are in the journal by now."""
        if self.alone or self.finished:
            deleted, gone = index.finish(connection, self.alone, self.finished)
            change.recipients -= deleted
            change.free(gone)
        if self.deferred:
            index.defer(connection, self.deferred)
        if self.digest:
            digests.add(connection, self.digest)
        if self.late:
            index.note_late(connection, self.late)
