"""Makes a restored spool agree with the journals: what was delivered, bounced or dropped by then is not sent again.

Journals that outlived the old machine tell also what happened after the backup was cut: what the backup still has and
was delivered meanwhile, and what was accepted meanwhile and is lost. Ids go on far above all that the old machine can
have given out, so that none ever names two messages.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from relay.spool import index
from relay.spool.usage import Change, Usage

ID_GAP = 1 << 32  # a thousand recipients a second for fifty days; ids have 63 bits
_LATE = timedelta(hours=1)  # an outcome reaches the journal before the index: by milliseconds, on a full disk by more
_FINAL = ("Delivery", "Bounce", "Expiration")
_AT_ONCE = 5_000


class _Line(msgspec.Struct, gc=False):
    """What matters here of a record."""

    kind: str
    node: str
    message_id: str = ""
    recipient_id: int = 0
    recipients: list["_Rcpt"] = []
    received_at: datetime | None = None


class _Rcpt(msgspec.Struct, gc=False):
    id: int


@dataclass(frozen=True, slots=True)
class Settled:
    """`finished`: recipients that the spool had, and the journal says had left. `lost`: message ids that were accepted
    after the cut and, as far as the journals tell, not delivered to all."""

    finished: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Told:
    """What journals tell of one node's mail."""

    done: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    accepted: dict[int, str] = field(default_factory=dict)


def settle(spool: Path, journals: Iterable[Path], node: str, cut_at: datetime) -> Settled:
    """Settle the index of a spool that no relay runs on. Raises sqlite3.Error, OSError."""
    told = _told(journals, node, cut_at)
    with closing(index.connect(spool / "index.sqlite")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        finished = _finish(connection, told)
        index.set_meta(connection, "next_id", index.get_meta(connection, "next_id") + ID_GAP)
        there = {number for number in told.accepted if _has(connection, number)}
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    lost = {name for number, name in told.accepted.items() if number not in there | told.done | told.dropped}
    return Settled(finished, sorted(lost))


def recent(archive: Sequence[Path], cut_at: datetime) -> list[Path]:
    """The archived files that may tell of outcomes around the cut."""
    since = (cut_at - _LATE).timestamp()
    return [path for path in archive if path.stat().st_mtime >= since]


def _told(journals: Iterable[Path], node: str, cut_at: datetime) -> _Told:
    told = _Told()
    for path in journals:
        for line in _lines(path):
            if line.node != node:
                continue
            if line.kind in _FINAL:
                told.done.add(line.recipient_id)
            elif line.kind == "Dropped":
                told.dropped.add(int(line.message_id.rpartition(".")[2]))
            elif line.kind == "Reception" and line.received_at is not None and line.received_at > cut_at:
                told.accepted |= {recipient.id: line.message_id for recipient in line.recipients}
    told.accepted = {
        number: name for number, name in told.accepted.items() if int(name.rpartition(".")[2]) not in told.dropped
    }
    return told


def _lines(path: Path) -> Iterator[_Line]:
    decode = msgspec.json.Decoder(_Line).decode
    with path.open("rb") as file:
        for line in file:
            try:
                yield decode(line)
            except msgspec.DecodeError:  # a torn end, or a damaged line: ingestion sets it aside, and says so
                continue


def _finish(connection: sqlite3.Connection, told: _Told) -> int:
    """Take out recipients as the relay does at an outcome: the counts of their segments go with them."""
    usage, change, finished = Usage(connection), Change(), 0
    rows = [*_rows(connection, "r.id", sorted(told.done)), *_rows(connection, "m.id", sorted(told.dropped))]
    alone = [number for number, _, rcpts in rows if rcpts == 1]
    shared = [(number, message) for number, message, rcpts in rows if rcpts > 1]
    finished, gone = index.finish(connection, alone, shared)
    change.recipients -= finished
    change.free(gone)
    usage.write(connection, change)
    return finished


def _rows(connection: sqlite3.Connection, column: str, numbers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(recipient, message, recipients of the message) of those that are there."""
    for start in range(0, len(numbers), _AT_ONCE):
        wanted = numbers[start : start + _AT_ONCE]
        yield from connection.execute(
            "SELECT r.id, m.id, m.rcpts FROM recipient r JOIN message m ON m.id = r.message"  # noqa: S608
            f" WHERE {column} IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(wanted).decode(),),
        ).fetchall()


def _has(connection: sqlite3.Connection, number: int) -> bool:
    return connection.execute("SELECT 1 FROM recipient WHERE id = ?", (number,)).fetchone() is not None
