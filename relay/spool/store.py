"""The spool: what was accepted stays until it is delivered, bounced, expired or dropped.

The legal states of one recipient, and the single step between two (each one SQLite transaction, see commit.py):

  (none)  --store-->    QUEUED fresh (due NULL; lives in the courier's memory)
  (none)  --store-->    QUEUED due   (taken over a limit: not before its due time)
  (none)  --store-->    HELD         (the verdict held the message)
  QUEUED  --defer-->    QUEUED due   (due time and attempts on disk)
  QUEUED  --hold_sender--> HELD      (a decision parked the sender's undelivered mail)
  HELD    --release-->  QUEUED due   (due now)
  HELD    --drop-->     (none)       after its Dropped record
  QUEUED  --finish-->   (none)       after its Delivery, Bounce or Expiration record is fsynced

After a crash every QUEUED row without a due time becomes due now, and the Reception records that may not have reached
the journal are written again from the segment. This module must never interpret a message.
"""

import asyncio
import logging
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from relay.events import Record, encode
from relay.spool import idempotency, index
from relay.spool.commit import ID_BLOCK, Call, Committer, Marks, Storing
from relay.spool.entry import (
    CorruptEntry,
    DestinationCount,
    Flags,
    HeldMessage,
    Lane,
    SpoolCounts,
    SpooledMessage,
    SpooledRecipient,
    SpoolFull,
    message_of,
)
from relay.spool.idempotency import Answered
from relay.spool.journal import Journal
from relay.spool.large import LARGE_FROM, LargeFile, LargeFiles
from relay.spool.segments import Place, Segments
from relay.spool.stored import StoredContent

__all__ = [
    "CorruptEntry",
    "DestinationCount",
    "Flags",
    "HeldMessage",
    "Lane",
    "Spool",
    "SpoolCounts",
    "SpoolFull",
    "SpooledMessage",
    "SpooledRecipient",
]

_log = logging.getLogger("mailweir.spool")

# Outcomes wait this long for a store to ride with; then they get a commit of their own.
_MARK_SECONDS = 0.05


class Spool:
    """One folder of segments and an index. All of it runs on the event loop; the disk work in the commit thread."""

    def __init__(self, folder: Path, node: str, journal: Journal, on_failure: Callable[[BaseException], None]) -> None:
        """Open or make the spool and recover it. Raises OSError or sqlite3.Error when the folder cannot be used."""
        self._node, self._journal = node, journal
        self._loop = asyncio.get_running_loop()
        self._segments = Segments(folder)
        path = folder / "index.sqlite"
        self._writer = index.connect(path)
        index.recover(self._writer)
        self._next_id = max(index.get_meta(self._writer, "next_id"), 1)
        index.set_meta(self._writer, "next_id", self._next_id + ID_BLOCK)
        self._reader = sqlite3.connect(path, isolation_level=None)
        self._reader.execute("PRAGMA query_only = 1")
        in_use = index.large_messages(self._writer, LARGE_FROM).values()
        self._large_files = LargeFiles(folder, in_use)
        self._committer = Committer(self._writer, self._segments, self._large_files, journal, self._loop, on_failure)
        self._marks = Marks()
        self._flush_scheduled = False

    def start(self) -> None:
        """Write again what the journal may miss, report what is broken, and begin to commit."""
        self._rejournal()
        self._audit()
        self._committer.start()

    async def stop(self) -> None:
        """Return when everything handed in is committed."""
        self._flush()
        await asyncio.to_thread(self._committer.stop)
        await asyncio.to_thread(self._large_files.close)
        self._segments.close()
        self._reader.close()
        self._writer.close()

    def reserve(self, rcpts: int) -> int:
        """Take `rcpts` recipient ids; the first is the message's. Never given out again."""
        first = self._next_id
        self._next_id += max(rcpts, 1)
        return first

    def message_id(self, number: int) -> str:
        return f"{self._node}.{number}"

    async def open_large(self, hole: int) -> LargeFile:
        """Begin the segment of a large message whose header block will have up to `hole` bytes. Raises SpoolFull."""
        return await self._large_files.open(hole)

    async def store(
        self,
        message: SpooledMessage,
        content: bytes | LargeFile,
        addresses: Sequence[str],
        record: Record,
        *,
        is_held: bool,
        answered: Answered | None = None,
        due_unix: float | None = None,
    ) -> list[SpooledRecipient]:
        """Put a message on disk with `record`, its Reception; return its recipients after fsync.

        message.id comes from `reserve`, a large file is sealed. `answered` is kept with it, both or none. `due_unix`:
        not to be delivered before; the courier hears of it by `expect`. Raises SpoolFull: nothing was stored, a retry
        may help.
        """
        large = content if isinstance(content, LargeFile) else None
        data = content if isinstance(content, bytes) else b""
        message.crc = large.crc if large else zlib.crc32(data)
        message.size_bytes = len(message.prefix) + (large.place.length if large else len(data))
        recipients = [
            SpooledRecipient(message.id + number, message, address, _domain(address), due_unix=due_unix)
            for number, address in enumerate(addresses)
        ]
        done = self._loop.create_future()
        state = index.HELD if is_held else index.QUEUED
        self._flush()
        if large:
            large.hand_over()
        self._committer.put(Storing(message, data, encode(record) + b"\n", recipients, state, done, answered, large))
        try:
            await done
        except SpoolFull:
            if large:
                large.take_back()
            raise
        return recipients

    def answered(self, account: str, key: str, now_unix: float) -> Answered | None:
        """Return what was answered under a client's Idempotency-Key."""
        return idempotency.find(self._reader, account, key, now_unix)

    def content(self, message: SpooledMessage) -> bytes:
        """Return a message's bytes below its prefix. Raises CorruptEntry when they are gone or altered."""
        content = self._read(message.place)
        if len(content) != message.place.length or zlib.crc32(content) != message.crc:
            raise CorruptEntry(
                f"message {message.message_id}: its bytes in segment {message.place.segment} are damaged"
            )
        return content

    async def open(self, message: SpooledMessage) -> StoredContent:
        """Return a large message's bytes below its prefix, to be read in pieces and closed by the caller.

        They have been read once, in a thread. Raises CorruptEntry when they are gone or altered, OSError.
        """
        damaged = CorruptEntry(f"message {message.message_id}: its segment {message.place.segment} is damaged")
        try:
            content = self._opened(message.place)
        except FileNotFoundError:
            raise damaged from None
        try:
            if not await self._large_files.checked(content, message.crc):
                raise damaged
        except BaseException:
            content.close()
            raise
        return content

    def beginning(self, message: SpooledMessage, count: int) -> bytes:
        """Return up to `count` bytes of a message below its prefix, unchecked; b"" when they are gone."""
        place = message.place
        return self._read(Place(place.segment, place.offset, min(count, place.length)))

    def finish(self, recipient: SpooledRecipient, record: Record) -> None:
        """Take a recipient out of the spool, after `record` is fsynced."""
        self._marks.finished.append((recipient.id, recipient.message.id))
        self._marks.lines.append(encode(record) + b"\n")
        self._schedule_flush()

    def defer(self, recipient: SpooledRecipient, due_unix: float, record: Record | None) -> None:
        """Note the next try of a recipient. Without a record: only moved out of memory."""
        recipient.attempts += record is not None
        recipient.due_unix = due_unix
        self._marks.deferred.append((due_unix, recipient.attempts, recipient.id))
        if record is not None:
            self._marks.lines.append(encode(record) + b"\n")
        self._schedule_flush()

    def waiting(self) -> list[Lane]:
        """Every lane with mail that has a due time. At start that is all mail that is not held."""
        return [Lane(*row) for row in index.lanes_waiting(self._reader)]

    def lane(self, sender: str, destination: str) -> int | None:
        """The number of a lane, None while nothing of it was ever committed."""
        row = self._reader.execute(
            "SELECT id FROM lane WHERE sender = ? AND destination = ?", (sender, destination)
        ).fetchone()
        return int(row[0]) if row else None

    def page(self, lane: int, now_unix: float, limit: int = 50) -> list[SpooledRecipient]:
        """The recipients of one lane due by now, oldest due first. Some may be in memory already."""
        messages: dict[int, SpooledMessage] = {}
        found = []
        for number, owner, address, due, attempts, destination, *row in index.page(self._reader, lane, now_unix, limit):
            assert isinstance(owner, int)
            message = messages.get(owner) or messages.setdefault(owner, message_of(tuple(row), self._node))
            found.append(
                SpooledRecipient(
                    int(str(number)), message, str(address), str(destination), int(str(attempts)), float(str(due))
                )
            )
        return found

    async def hold_sender(self, sender: str) -> list[HeldMessage]:
        """Park every undelivered recipient of a sender; return the messages after the commit."""

        def park(connection: sqlite3.Connection) -> list[HeldMessage]:
            return self._as_held(connection, index.messages(connection, index.hold_sender(connection, sender)))

        return await self._call(park)

    async def hold_group(self, senders: Sequence[str], rule: str) -> list[HeldMessage]:
        """Park every undelivered recipient of an account's newcomers; a release of the group's key frees them."""

        def park(connection: sqlite3.Connection) -> list[HeldMessage]:
            return self._as_held(connection, index.messages(connection, index.hold_group(connection, senders, rule)))

        return await self._call(park)

    def held(self, sender: str | None = None, account: str | None = None, limit: int = 500) -> list[HeldMessage]:
        """Parked messages, newest first; with the key of an account's newcomers, those parked under it."""
        return self._as_held(self._reader, index.held(self._reader, sender, account, limit))

    def messages_of(self, account: str) -> int:
        """How many messages of an account are in the spool, waiting or held. Looks at all of it: for rare questions."""
        return index.messages_of(self._reader, account)

    def held_counts(self) -> dict[str, int]:
        """How many parked messages each sender has; senders without any are absent."""
        return index.held_counts(self._reader)

    async def release(self, sender: str | None = None, message_ids: Sequence[str] | None = None) -> list[HeldMessage]:
        """Make held messages due now: all of a sender, or those named. Returns after the commit."""
        return await self._on_held(sender, message_ids, index.release)

    async def drop(self, message_ids: Sequence[str]) -> list[HeldMessage]:
        """Delete held messages; the caller journals Dropped before."""
        return await self._on_held(None, message_ids, index.drop)

    async def settle(self) -> None:
        """Return after the commit of everything handed in so far."""
        await self._call(lambda connection: [])

    def counts(self) -> SpoolCounts:
        messages, recipients, parked, oldest, size = index.counts(self._reader)
        return SpoolCounts(
            messages, recipients, parked, None if oldest is None else datetime.fromtimestamp(oldest, UTC), size
        )

    def by_destination(self) -> list[DestinationCount]:
        return [DestinationCount(*row) for row in index.by_destination(self._reader)]

    async def _on_held(
        self,
        sender: str | None,
        message_ids: Sequence[str] | None,
        change: Callable[[sqlite3.Connection, list[int]], None],
    ) -> list[HeldMessage]:
        wanted = None if message_ids is None else {self._number(message_id) for message_id in message_ids}

        def apply(connection: sqlite3.Connection) -> list[HeldMessage]:
            rows = index.held(connection, sender, None, -1)
            chosen = [row for row in rows if wanted is None or row[0] in wanted]
            found = self._as_held(connection, chosen)
            change(connection, [int(str(row[0])) for row in chosen])
            return found

        return await self._call(apply)

    def _number(self, message_id: str) -> int:
        node, _, number = message_id.rpartition(".")
        return int(number) if node == self._node and number.isascii() and number.isdigit() else -1

    async def _call(self, function: Callable[[sqlite3.Connection], list[HeldMessage]]) -> list[HeldMessage]:
        done: asyncio.Future[list[HeldMessage]] = self._loop.create_future()
        self._flush()
        self._committer.put(Call(function, done))
        return await done

    def _as_held(self, connection: sqlite3.Connection, rows: list[index.Row]) -> list[HeldMessage]:
        found = []
        for row in rows:
            message = message_of(row, self._node)
            addresses = index.addresses(connection, message.id, message.rcpts)
            found.append(
                HeldMessage(
                    message_id=message.message_id,
                    account=message.account,
                    reseller=message.reseller,
                    sender=message.sender,
                    mail_from=message.mail_from,
                    subject=message.subject,
                    score=message.score,
                    rule=message.rule,
                    received_at=message.received_at,
                    recipients=[address for address, state in addresses if state == index.HELD],
                    size_bytes=message.size_bytes,
                )
            )
        return found

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_later(_MARK_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._marks:
            self._committer.put(self._marks)
            self._marks = Marks()

    def _rejournal(self) -> None:
        """Write again the Reception records that a crash may have kept from the journal; ingestion drops repeats."""
        rows = index.messages_after(self._reader, index.get_meta(self._reader, "journaled"))
        for row in rows:
            message = message_of(row, self._node)
            place = message.place
            try:
                record = self._read(Place(place.segment, place.offset + place.length, message.record_length))
            except OSError as error:  # owned by somebody else, say: the rest must start
                _log.error("reception record not read message=%s: %s", message.message_id, error)
                continue
            if record.endswith(b"\n"):
                self._journal.append_encoded(record)
        if rows:
            _log.info("reception records written again count=%d", len(rows))

    def _read(self, place: Place) -> bytes:
        if place.segment < LARGE_FROM:
            return self._segments.read(place)
        # opened for this once: the descriptors of thousands of segments would not go away with them
        try:
            with self._opened(place) as content:
                return content.piece(0, place.length)
        except FileNotFoundError:
            return b""

    def _opened(self, place: Place) -> StoredContent:
        files = self._segments if place.segment < LARGE_FROM else self._large_files
        return StoredContent(files.path(place.segment), place.offset, place.length)

    def _audit(self) -> None:
        """Report segments that are shorter than their committed end; delivery will find their messages corrupt."""
        for number, (count, end) in index.segments_in_use(self._reader).items():
            size = self._segments.size_of(number) if number < LARGE_FROM else self._large_files.size_of(number)
            if size < end:
                _log.error("segment damaged segment=%d bytes=%d expected=%d messages=%d", number, size, end, count)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()
