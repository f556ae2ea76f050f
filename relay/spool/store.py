"""The spool: what was accepted stays until it is delivered, bounced, expired or dropped.

The legal states of one recipient, and the single step between two (each one SQLite transaction, see commit.py):

  (none)  --store-->    QUEUED fresh (due NULL; lives in the courier's memory)
  (none)  --store-->    QUEUED due   (taken over a limit: not before its due time)
  (none)  --store-->    HELD         (the verdict held the message)
  QUEUED  --defer-->    QUEUED due   (due time and attempts on disk)
  QUEUED  --hold_sender--> HELD      (a decision parked the sender's undelivered mail)
  HELD    --parked.release--> QUEUED due (now, or when its sender's pace has room)
  HELD    --parked.drop--> (none)    after its Dropped record
  QUEUED  --finish-->   (none)       after its Delivery, Bounce or Expiration record is fsynced
  QUEUED  --quarantine--> QUARANTINED  (the start found its segment short or lost, or it could not be copied)
  QUARANTINED --requeue--> QUEUED due  (a start finds the file whole again)
  QUARANTINED --finish-->  (none)    a day later it comes due, is read once more, and bounces to its sender

and of one message's bytes:

  young segment  --move-->  old segment    (copied and fsynced, then the index names the new place; its record stays
                                            behind, having reached the journal)
  segment, no row left  --remove-->  (none)   after the COMMIT that took the last row
  segment no row names  --sweep-->   (none)   at start: what a crash left between append and COMMIT

Damage found at delivery needs no state: the recipient bounces at once (554 5.3.0), because its bytes were there and are
wrong. An index row that makes no sense is put off for a day at a time and stays, for `mailweir spool check`.

After a crash every QUEUED row without a due time becomes due now, and the Reception records that may not have reached
the journal are written again from the segment. This module must never interpret a message.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from relay.clock import Clock, SystemClock
from relay.events import Record, encode
from relay.spool import census, digests, idempotency, index, parking, salvage
from relay.spool.answers import FEW, Answers
from relay.spool.backlog import Backlog
from relay.spool.checkpoint import Checkpointer
from relay.spool.commit import Call, Committer, Storing
from relay.spool.contents import Contents
from relay.spool.cut import Cuts
from relay.spool.digests import DigestLine, Due, Gathered
from relay.spool.entry import (
    RECIPIENT_COLUMNS,
    CommitTimes,
    CorruptEntry,
    DestinationCount,
    Flags,
    HeldMessage,
    Lane,
    SpoolCounts,
    SpooledMessage,
    SpooledRecipient,
    SpoolFull,
    crc_of,
    domain_of,
    message_of,
    recipient_of,
)
from relay.spool.held import Held
from relay.spool.idempotency import Answered
from relay.spool.journal import Journal
from relay.spool.large import LargeFile, LargeFiles
from relay.spool.marks import Marks
from relay.spool.notices import NoticeRows
from relay.spool.origins import Origins
from relay.spool.recovery import ID_BLOCK, QUARANTINE_SECONDS, recovered_index, rejournal
from relay.spool.segments import Segments
from relay.spool.stored import StoredContent
from relay.spool.survey import Survey
from relay.spool.traces import Traces
from relay.spool.usage import Change

__all__ = [
    "CommitTimes",
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
_T = TypeVar("_T")

# Outcomes wait this long for a store to ride with; then they get a commit of their own.
_MARK_SECONDS = 0.05
_MOST_UNWRITTEN = 100  # outcomes; what a kill sends twice is bounded by them


class Spool(Answers):
    """One folder of segments and an index. All of it runs on the event loop; the disk work in the commit thread."""

    def __init__(
        self,
        folder: Path,
        node: str,
        journal: Journal,
        on_failure: Callable[[BaseException], None],
        *,
        clock: Clock | None = None,
        longest_wait_seconds: float | None = None,
    ) -> None:
        """Open or make the spool and recover it. Raises OSError or sqlite3.Error when the folder cannot be used.

        `longest_wait_seconds`: no retry is further off; if one is, the clock ran ahead when it was put there.
        """
        self._folder, self._node, self._journal = folder, node, journal
        self._on_failure, self._clock = on_failure, clock or SystemClock()
        self._loop = asyncio.get_running_loop()
        self._segments = Segments(folder)
        self._writer = recovered_index(folder, self._segments, self._clock.unix(), longest_wait_seconds)
        self._next_id = index.get_meta(self._writer, "next_id") - ID_BLOCK
        path = folder / "index.sqlite"
        self._reader = sqlite3.connect(path, isolation_level=None)
        self._reader.execute("PRAGMA query_only = 1")
        self._large_files = LargeFiles(folder, index.large_segments(self._writer))
        self._committer = Committer(
            self._writer, self._segments, self._large_files, journal, self._clock, self._fail, Checkpointer(path)
        )
        self._committer.longest_wait_seconds = longest_wait_seconds
        self._contents = Contents(self._segments, self._large_files, self._reader)
        self._survey = Survey(path)
        self.backlog = Backlog(path, node, self._call)
        self.parked = Held(path, node, self._call, self._hand_over)
        self.origins = Origins(self._reader, self._call)
        self.traces = Traces(path, self._call)
        self.cuts = Cuts(folder, journal, self._call)
        self.notices = NoticeRows(self._reader, self._call)
        self._marks = Marks()
        self._ended = 0
        self._flush_scheduled = False

    def start(self) -> None:
        """Write again what the journal may miss, and begin to commit."""
        self._committer.start(rejournal(self._reader, self._segments, self._journal, self._node))
        if index.get_meta(self._reader, "recipients") > FEW:
            self._survey.latest()

    async def stop(self) -> None:
        """Return when everything handed in is committed."""
        self._flush()
        await asyncio.to_thread(self._committer.stop)
        await asyncio.to_thread(self._survey.close)
        await asyncio.to_thread(self._large_files.close)
        self._segments.close()
        self._reader.close()
        self._writer.close()

    def on_commit(self, listen: Callable[[CommitTimes], None]) -> None:
        """Have `listen` called, on the event loop, after each commit that stored mail."""
        self._committer.on_commit = listen

    def on_rescheduled(self, listen: Callable[[], None]) -> None:
        """Have `listen` called when due times were drawn nearer, because the clock was set back."""
        self._committer.on_rescheduled = listen

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
        dsns: Sequence[str] = (),
        prefixes: Sequence[bytes] = (),
    ) -> list[SpooledRecipient]:
        """Put a message on disk with `record`, its Reception; return its recipients after fsync.

        message.id comes from `reserve`, a large file is sealed. `answered` is kept with it, both or none. `due_unix`:
        not to be delivered before; the courier hears of it by `expect`. `dsns` and `prefixes`: one an address, or none
        at all. Raises SpoolFull: nothing was stored, a retry may help.
        """
        large = content if isinstance(content, LargeFile) else None
        data = content if isinstance(content, bytes) else b""
        message.crc = large.crc if large else crc_of(data)
        message.size_bytes = len(message.prefix) + (large.place.length if large else len(data))
        recipients = [
            SpooledRecipient(message.id + number, message, address, domain_of(address), due_unix=due_unix)
            for number, address in enumerate(addresses)
        ]
        for recipient, dsn in zip(recipients, dsns, strict=False):
            recipient.dsn = dsn
        for recipient, prefix in zip(recipients, prefixes, strict=False):
            recipient.own_prefix = prefix
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
        return self._contents.whole(message)

    async def open(self, message: SpooledMessage) -> StoredContent:
        """Return a large message's bytes below its prefix, to be read in pieces and closed by the caller.

        They have been read once, in a thread. Raises CorruptEntry when they are gone or altered, OSError.
        """
        return await self._contents.open(message)

    def beginning(self, message: SpooledMessage, count: int) -> bytes:
        """Return up to `count` bytes of a message below its prefix, unchecked; b"" when they are gone."""
        return self._contents.beginning(message, count)

    def finish(self, recipient: SpooledRecipient, record: Record, line: DigestLine | None = None) -> None:
        """Take a recipient out of the spool, after `record` is fsynced; its digest's line comes in as it goes."""
        if line is not None:
            self._marks.digest.append(line)
        if recipient.message.rcpts == 1:
            self._marks.alone.append(recipient.id)
        else:
            self._marks.finished.append((recipient.id, recipient.message.id))
        self._marks.lines.append(encode(record) + b"\n")
        self._ended += 1
        if self._marks.ended >= _MOST_UNWRITTEN // 2:
            self._flush()
        else:
            self._schedule_flush()

    @property
    def is_behind(self) -> bool:
        """Tell whether so many outcomes are not on disk yet that none should be added: a kill would repeat them."""
        return self._ended - self._committer.ended >= _MOST_UNWRITTEN

    def defer(self, recipient: SpooledRecipient, due_unix: float, record: Record | None) -> None:
        """Note the next try of a recipient. Without a record: only moved out of memory."""
        recipient.attempts += record is not None
        recipient.due_unix = due_unix
        self._marks.deferred.append((due_unix, recipient.attempts, recipient.id))
        if record is not None:
            self._marks.lines.append(encode(record) + b"\n")
        self._schedule_flush()

    def note_late(self, recipients: Sequence[SpooledRecipient]) -> list[SpooledRecipient]:
        """Note that the senders of these are told of the delay; return those of which they were not told before."""
        found = [one for one in recipients if not index.is_delay_told(self._reader, one.id)]
        self._marks.late += [one.id for one in found]
        self._schedule_flush()
        return found

    def waiting(self) -> list[Lane]:
        """Every lane with mail that has a due time. At start that is all mail that is not held."""
        return [Lane(*row) for row in self._asked(lambda: index.lanes_waiting(self._reader))]

    def page(self, lane: int, now_unix: float, limit: int = 50) -> list[SpooledRecipient]:
        """The recipients of one lane due by now, oldest due first. Some may be in memory already."""
        messages: dict[int, SpooledMessage] = {}
        found, senseless = [], set()
        for row in self._asked(lambda: index.page(self._reader, lane, now_unix, limit)):
            number, owner = row[:2]
            assert isinstance(owner, int)
            try:
                message = messages.get(owner) or messages.setdefault(
                    owner, message_of(row[RECIPIENT_COLUMNS:], self._node)
                )
                found.append(recipient_of(row, message))
            except (CorruptEntry, ValueError) as error:
                _log.error("row put off for a day recipient=%s error=%s", number, error)
                senseless.add(owner)
        if senseless:
            self._put_off(sorted(senseless))
        return found

    async def hold_sender(self, sender: str) -> list[HeldMessage]:
        """Park every undelivered recipient of a sender; return the messages after the commit."""
        return await self._park(lambda connection: parking.hold_sender(connection, sender, self._clock.unix()))

    async def hold_group(self, senders: Sequence[str], rule: str) -> list[HeldMessage]:
        """Park every undelivered recipient of an account's newcomers; a release of the group's key frees them."""
        return await self._park(lambda connection: parking.hold_group(connection, senders, rule, self._clock.unix()))

    async def hold_account(self, account: str) -> list[HeldMessage]:
        """Park every undelivered recipient of an account, under the key of tree.all_of."""
        return await self._park(lambda connection: parking.hold_account(connection, account, self._clock.unix()))

    async def forget_digest(self, due: Due, told: Gathered, now_unix: float, *, is_sent: bool) -> None:
        """An account was told that much; or, with nobody to tell, it was given up."""
        await self._call(lambda connection, _change: digests.forget(connection, due, told, now_unix, is_sent=is_sent))

    async def settle(self) -> None:
        """Return after the commit of everything handed in so far."""
        await self._call(lambda connection, change: None)

    async def _park(self, park: Callable[[sqlite3.Connection], list[int]]) -> list[HeldMessage]:
        def parked(connection: sqlite3.Connection, _change: Change) -> list[HeldMessage]:
            return census.as_held(connection, census.messages(connection, park(connection)), self._node)

        return await self._call(parked)

    def _hand_over(self, records: Sequence[Record]) -> None:
        self._marks.lines += [encode(record) + b"\n" for record in records]

    async def _call(self, function: Callable[[sqlite3.Connection, Change], _T]) -> _T:
        done: asyncio.Future[_T] = self._loop.create_future()
        self._flush()
        self._committer.put(Call(function, done))
        return await done

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_later(_MARK_SECONDS, self._flush_as_scheduled)

    def _flush_as_scheduled(self) -> None:
        self._flush_scheduled = False
        self._flush()

    def _flush(self) -> None:
        if self._marks:
            self._committer.put(self._marks)
            self._marks = Marks()

    def _put_off(self, messages: list[int]) -> None:
        due_unix = self._clock.unix() + QUARANTINE_SECONDS

        def quarantine(connection: sqlite3.Connection, _change: Change) -> None:
            index.quarantine(connection, messages, due_unix)

        done: asyncio.Future[None] = self._loop.create_future()
        done.add_done_callback(lambda done: done.exception())  # a full disk: the next page tries again
        self._committer.put(Call(quarantine, done))

    def _asked(self, ask: Callable[[], list[Any]]) -> list[Any]:
        """Rows of the index. When it turns out broken the relay stops, and its next start salvages."""
        try:
            return ask()
        except sqlite3.DatabaseError as error:
            if salvage.is_damage(error):
                self._fail(error)
            raise

    def _fail(self, error: BaseException) -> None:
        if salvage.is_damage(error):
            salvage.suspect(self._folder, error)
        self._on_failure(error)
