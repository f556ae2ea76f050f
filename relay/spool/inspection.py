"""The spool's files as an operator sees them: read directly, never written, with the relay running or not.

A running relay finishes, moves and adds mail meanwhile: short reads of the index by id, never one long transaction
(which would keep SQLite's log from shrinking), and a second look at a message whose bytes are not where they were.
"""

import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from relay.files import still_there
from relay.spool import index
from relay.spool.entry import CorruptEntry, SpooledMessage, message_of
from relay.spool.migrations import STEPS
from relay.spool.segments import Place, Segments

_PAGE = 200
_PIECE = 1024 * 1024
STATES = {index.QUEUED: "queued", index.HELD: "held", index.QUARANTINED: "quarantined"}


class SpoolUnreadable(Exception):
    """The files cannot be looked at; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages to list; None: all."""

    sender: str | None = None
    account: str | None = None
    destination: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class WaitingRecipient:
    """A recipient that a message still has. due_at None: fresh, or held."""

    address: str
    destination: str
    state: str
    attempts: int
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message with its envelope."""

    message_id: str
    account: str
    reseller: str
    sender: str
    mail_from: str
    received_at: datetime
    state: str
    size_bytes: int
    subject: str
    score: float | None
    rule: str
    flags: list[str]
    recipients: list[WaitingRecipient]


@dataclass(slots=True)
class Report:
    """What `check` found. Orphan bytes are the rest of what was delivered; they go with their file."""

    messages: int = 0
    recipients: int = 0
    held: int = 0
    alive_bytes: int = 0
    disk_bytes: int = 0
    orphan_bytes: int = 0
    segments: int = 0
    damaged: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    without_recipients: list[str] = field(default_factory=list)
    recipients_without_message: int = 0
    set_aside: list[str] = field(default_factory=list)
    index: str = "ok"

    @property
    def is_ok(self) -> bool:
        found = self.damaged or self.quarantined or self.without_recipients or self.recipients_without_message
        return not found and self.index == "ok"


class Inspection:
    """A spool folder, open for reading."""

    def __init__(self, folder: Path, node: str) -> None:
        """Raises SpoolUnreadable."""
        self._folder, self._node = folder, node
        path = folder / "index.sqlite"
        try:
            with path.open("rb"):
                self._segments = Segments(folder)
            # Without its log nobody has the index open: then SQLite must not make files beside it, of our user.
            mode = "mode=ro" if (folder / "index.sqlite-wal").exists() else "mode=ro&immutable=1"
            self._index = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
            version = int(self._index.execute("PRAGMA user_version").fetchone()[0])
        except FileNotFoundError:
            raise SpoolUnreadable(f"{path}: there is no spool; has the relay ever run on this `dir`?") from None
        except PermissionError:
            raise SpoolUnreadable(f"{path}: not yours to read; call this as the user that runs the relay") from None
        except (OSError, sqlite3.Error) as error:
            raise SpoolUnreadable(f"{path}: {error}") from error
        if version != len(STEPS):
            self._index.close()
            raise SpoolUnreadable(
                f"{path}: has version {version}, this program reads {len(STEPS)}; "
                + ("start the relay once, it brings it up to date" if version < len(STEPS) else "use the newer program")
            )

    def close(self) -> None:
        self._index.close()
        self._segments.close()

    def count(self) -> int:
        """How many messages there are."""
        return int(self._index.execute("SELECT count(*) FROM message").fetchone()[0])

    def messages(self, wanted: Wanted | None = None) -> Iterator[tuple[SpooledMessage | CorruptEntry, str]]:
        """Messages by age, with their state; CorruptEntry for a row that makes no sense."""
        wanted, last = wanted or Wanted(), -1
        states = [number for number, name in STATES.items() if wanted.state in (None, name)]
        while True:
            rows = self._index.execute(
                f"SELECT {index.MESSAGE_COLUMNS}, m.state FROM message m WHERE m.id > ?1"  # noqa: S608
                " AND (?2 IS NULL OR m.sender = ?2) AND (?3 IS NULL OR m.account = ?3)"
                " AND m.state >= ?4 AND m.state <= ?5 AND (?6 IS NULL OR EXISTS"
                "  (SELECT 1 FROM recipient r JOIN lane l ON l.id = r.lane"
                "   WHERE r.id >= m.id AND r.id < m.id + m.rcpts AND l.destination = ?6))"
                " ORDER BY m.id LIMIT ?7",
                (last, wanted.sender, wanted.account, min(states), max(states), wanted.destination, _PAGE),
            ).fetchall()
            for row in rows:
                try:
                    yield message_of(row[:-1], self._node), STATES.get(row[-1], "?")
                except CorruptEntry as error:
                    yield error, STATES.get(row[-1], "?")
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def message(self, message_id: str) -> tuple[SpooledMessage, str] | None:
        """One message and its state, None when the spool has none of this id. Raises CorruptEntry."""
        node, _, number = message_id.rpartition(".")
        if node != self._node or not (number.isascii() and number.isdigit()):
            return None
        row = self._index.execute(
            f"SELECT {index.MESSAGE_COLUMNS}, m.state FROM message m WHERE m.id = ?",  # noqa: S608
            (int(number),),
        ).fetchone()
        return None if row is None else (message_of(row[:-1], self._node), STATES.get(row[-1], "?"))

    def envelope(self, message: SpooledMessage, state: str) -> WaitingMessage:
        """The message as people and programs see it, with the recipients it still has."""
        rows = self._index.execute(
            "SELECT r.address, l.destination, r.state, r.attempts, r.due FROM recipient r JOIN lane l ON l.id = r.lane"
            " WHERE r.id >= ? AND r.id < ? ORDER BY r.id",
            (message.id, message.id + message.rcpts),
        )
        return WaitingMessage(
            message_id=message.message_id,
            account=message.account,
            reseller=message.reseller,
            sender=message.sender,
            mail_from=message.mail_from,
            received_at=message.received_at,
            state=state,
            size_bytes=message.size_bytes,
            subject=message.subject,
            score=message.score,
            rule=message.rule,
            flags=[flag.name or "" for flag in message.flags],
            recipients=[
                WaitingRecipient(
                    address,
                    destination,
                    STATES.get(number, "?"),
                    tries,
                    None if due is None else datetime.fromtimestamp(due, UTC),
                )
                for address, destination, number, tries, due in rows
            ],
        )

    def content(self, message: SpooledMessage) -> Iterator[bytes]:
        """The bytes below the prefix, in pieces. Raises CorruptEntry at the end when they are gone or altered."""
        crc, place = 0, message.place
        for offset in range(0, place.length, _PIECE):
            length = min(_PIECE, place.length - offset)
            piece = self._segments.read(Place(place.segment, place.offset + offset, length))
            if len(piece) < length:
                raise CorruptEntry(f"message {message.message_id}: its bytes in segment {place.segment} are gone")
            crc = zlib.crc32(piece, crc)
            yield piece
        if crc != message.crc:
            raise CorruptEntry(f"message {message.message_id}: its bytes in segment {place.segment} are altered")

    def head(self, message: SpooledMessage) -> list[str]:
        """Its header lines, ours first."""
        start = self._segments.read(
            Place(message.place.segment, message.place.offset, min(message.place.length, _PIECE))
        )
        head = message.prefix + start.partition(b"\r\n\r\n")[0]
        return head.decode("utf-8", "replace").split("\r\n")

    def is_readable(self, message: SpooledMessage) -> bool | None:
        """Read all of a message; None when it left the spool meanwhile."""
        for _ in range(3):  # it may move while we look
            try:
                for _piece in self.content(message):
                    pass
                return True
            except (CorruptEntry, OSError):
                found = index.place_of(self._index, message.id)
                if found is None:
                    return None
                if found[:2] == (message.place.segment, message.place.offset):
                    return False
                message.place = Place(found[0], found[1], message.place.length)
        return False

    def check(self) -> Iterator[Report]:
        """Read every byte that a message refers to; the same report again and again as it grows, once per message."""
        report = Report()
        try:
            for message, state in self.messages():
                self._look(report, message, state)
                yield report
            report.recipients = self._one("SELECT count(*) FROM recipient")
            report.recipients_without_message = self._one(
                "SELECT count(*) FROM recipient r WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.id = r.message)"
            )
            report.index = str(self._index.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as error:
            report.index = str(error)
        self._weigh(report)
        yield report

    def _look(self, report: Report, message: SpooledMessage | CorruptEntry, state: str) -> None:
        report.messages += 1
        report.held += state == "held"
        if isinstance(message, CorruptEntry):
            report.damaged.append(str(message))
            return
        if state == "quarantined":
            report.quarantined.append(message.message_id)
        report.alive_bytes += message.place.length + message.record_length
        readable = self.is_readable(message)
        if readable is False:
            report.damaged.append(message.message_id)
        if readable and not self._one(
            "SELECT EXISTS (SELECT 1 FROM recipient WHERE id >= ? AND id < ?)"
            " OR NOT EXISTS (SELECT 1 FROM message WHERE id = ?)",
            (message.id, message.id + message.rcpts, message.id),
        ):
            report.without_recipients.append(message.message_id)

    def _weigh(self, report: Report) -> None:
        files = [*map(self._segments.path, self._segments.numbers()), *self._folder.glob("*.large")]
        report.segments = len(files)
        report.disk_bytes = sum(state.st_size for _, state in still_there(files))
        report.orphan_bytes = max(report.disk_bytes - report.alive_bytes, 0)
        report.set_aside = sorted(
            path.name
            for pattern in ("index.damaged-*.sqlite", "index.lost.jsonl", "*.lost")
            for path in self._folder.glob(pattern)
        )

    def _one(self, sql: str, values: tuple[int, ...] = ()) -> int:
        return int(self._index.execute(sql, values).fetchone()[0])
