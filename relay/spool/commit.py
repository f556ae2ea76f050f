"""The commit thread: one fsync for all transactions of the same few milliseconds.

It takes what has gathered while the last commit ran (no added wait: that commit is the window), and in this order
  1. appends contents and their Reception records to the segment, fdatasync;
  2. writes outcome records to the journal, fdatasync: a recipient leaves the spool only after its outcome is on disk;
  3. one SQLite transaction: new rows, finished and deferred recipients, the calls of people;
  4. hands the Reception records to the journal and wakes the waiting 250s.
A failure of the disk fails that batch's stores (SpoolFull) and keeps its outcomes for the next one. Any other
exception must stop the relay: no 250 without this thread.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from relay.spool import idempotency, index
from relay.spool.entry import SpooledMessage, SpooledRecipient, SpoolFull, message_row
from relay.spool.idempotency import Answered
from relay.spool.journal import Journal
from relay.spool.large import LARGE_FROM, LargeFile, LargeFiles
from relay.spool.segments import Segments

_log = logging.getLogger("mailweir.spool")

ID_BLOCK = 1 << 20
_RETRY_SECONDS = 0.5
_MAX_LANES = 200_000


@dataclass(slots=True)
class Storing:
    """A message on its way to the disk; `done` is resolved after fsync."""

    message: SpooledMessage
    content: bytes
    record: bytes
    recipients: list[SpooledRecipient]
    state: int
    done: asyncio.Future[None]
    answered: Answered | None = None
    large: LargeFile | None = None  # where the content is on disk already; then `content` is empty


@dataclass(slots=True)
class Call:
    """A function to run inside the transaction; its result goes to `done`."""

    function: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]


@dataclass(slots=True)
class Marks:
    """Outcomes: finished as (recipient id, message id), deferred as (due, attempts, recipient id), their records."""

    finished: list[tuple[int, int]] = field(default_factory=list)
    deferred: list[tuple[float, int, int]] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.finished or self.deferred or self.lines)

    def add(self, other: "Marks") -> None:
        self.finished += other.finished
        self.deferred += other.deferred
        self.lines += other.lines


@dataclass(slots=True)
class _Batch:
    storing: list[Storing] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    marks: Marks = field(default_factory=Marks)
    is_last: bool = False


class Committer:
    """Owns the thread, the writing connection and the segments' write side."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        segments: Segments,
        large_files: LargeFiles,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._connection, self._segments, self._journal = connection, segments, journal
        self._large_files = large_files
        self._large = index.large_messages(connection, LARGE_FROM)
        self._loop, self._on_failure = loop, on_failure
        self._queue: SimpleQueue[Storing | Call | Marks | None] = SimpleQueue()
        self._kept = Marks()
        self._lanes: dict[tuple[str, str], int] = {}
        self._last_reclaimed = 0
        self._is_journal_behind = self._is_failing = False
        self._handed_over = self._journaled = index.get_meta(connection, "journaled")
        self._reserved = index.get_meta(connection, "next_id")
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: Storing | Call | Marks) -> None:
        self._queue.put(item)

    def stop(self) -> None:
        """Commit what is queued and end the thread; blocks."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while not (batch := self._gather()).is_last:
                self._commit_or_fail(batch)
            self._commit_or_fail(batch)
        except BaseException as error:
            _log.critical("commit thread failed error=%r", error)
            self._loop.call_soon_threadsafe(self._on_failure, error)

    def _gather(self) -> _Batch:
        batch = _Batch()
        try:
            self._sort(batch, self._queue.get(timeout=_RETRY_SECONDS if self._kept else None))
            while True:
                self._sort(batch, self._queue.get_nowait())
        except Empty:
            pass
        batch.marks.add(self._kept)
        self._kept = Marks()
        return batch

    @staticmethod
    def _sort(batch: _Batch, item: Storing | Call | Marks | None) -> None:
        match item:
            case Storing():
                batch.storing.append(item)
            case Call():
                batch.calls.append(item)
            case Marks():
                batch.marks.add(item)
            case None:
                batch.is_last = True

    def _commit_or_fail(self, batch: _Batch) -> None:
        try:
            results = self._commit(batch)
        except (OSError, sqlite3.OperationalError) as error:
            if not self._is_failing:  # once, not for every message turned away
                outcomes = len(batch.marks.finished) + len(batch.marks.deferred)
                _log.error(
                    "commit failed, mail is put off stores=%d outcomes=%d: %s", len(batch.storing), outcomes, error
                )
            self._is_failing = True
            self._kept.add(batch.marks)
            waiting: list[asyncio.Future[Any]] = [item.done for item in batch.storing]
            waiting += [call.done for call in batch.calls]
            self._loop.call_soon_threadsafe(_fail, waiting, SpoolFull(str(error)))
            return
        if self._is_failing:
            _log.info("commits work again")
            self._is_failing = False
        for item in batch.storing:
            self._journal.append_encoded(item.record)
        self._note_places(batch.storing)
        self._loop.call_soon_threadsafe(_resolve, batch.storing, list(zip(batch.calls, results, strict=True)))
        self._remove_large(batch)
        self._reclaim()

    def _note_places(self, storing: list[Storing]) -> None:
        for item in storing:
            if item.large is None:
                self._handed_over = index.position(item.message.place.segment, item.message.place.offset)
            else:
                # not in the order of writing: the records of all that are in the spool are written again at a start
                self._large[item.message.id] = item.message.place.segment

    def _commit(self, batch: _Batch) -> list[Any]:
        self._write_contents(batch.storing)
        # The journal keeps the lines from here on, also while it cannot write: handed in again at each try, they would
        # grow without end.
        lines, batch.marks.lines = batch.marks.lines, []
        if lines or self._is_journal_behind:
            self._is_journal_behind = True
            self._journal.write_durably(lines)
            self._is_journal_behind = False
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._insert(batch.storing)
            if batch.marks.finished:
                index.finish(connection, batch.marks.finished)
            if batch.marks.deferred:
                index.defer(connection, batch.marks.deferred)
            self._advance_meta(batch)
            results = [call.function(connection) for call in batch.calls]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._lanes.clear()  # lanes made in the transaction are gone with it
            raise
        return results

    def _write_contents(self, storing: list[Storing]) -> None:
        if not storing:
            return
        small = [item for item in storing if item.large is None]
        if small:
            places = self._segments.append([piece for item in small for piece in (item.content, item.record)])
            for item, place in zip(small, places[::2], strict=True):
                item.message.place = place
        for item in storing:
            item.message.record_length = len(item.record)
            if item.large is not None:
                item.large.append_record(item.record)
                item.message.place = item.large.place

    def _insert(self, storing: list[Storing]) -> None:
        if not storing:
            return
        index.insert_messages(self._connection, [message_row(item.message) for item in storing])
        index.insert_recipients(
            self._connection,
            [
                (
                    recipient.id,
                    item.message.id,
                    self._lane(item.message.sender, recipient.destination),
                    recipient.address,
                    None if item.state == index.HELD else recipient.due_unix,
                    0,
                    item.state,
                )
                for item in storing
                for recipient in item.recipients
            ],
        )
        if answered := [item.answered for item in storing if item.answered]:
            # this thread has no clock; what arrives last is late enough to tell what has expired
            now_unix = max(item.message.received_at for item in storing).timestamp()
            idempotency.remember(self._connection, answered, now_unix)

    def _lane(self, sender: str, destination: str) -> int:
        found = self._lanes.get((sender, destination))
        if found is None:
            if len(self._lanes) >= _MAX_LANES:
                self._lanes.clear()
            found = self._lanes[(sender, destination)] = index.lane_id(self._connection, sender, destination)
        return found

    def _advance_meta(self, batch: _Batch) -> None:
        # write_durably put all that was appended before on disk, so the Reception records of earlier batches are safe
        if batch.marks.finished and self._journaled != self._handed_over:
            self._journaled = self._handed_over
            index.set_meta(self._connection, "journaled", self._journaled)
        highest = max((item.message.id + item.message.rcpts for item in batch.storing), default=0)
        if highest > self._reserved - ID_BLOCK // 2:
            self._reserved = highest + ID_BLOCK
            index.set_meta(self._connection, "next_id", self._reserved)

    def _remove_large(self, batch: _Batch) -> None:
        """Delete the segments of large messages whose row has gone in this batch."""
        if not self._large:
            return
        left = {message for _, message in batch.marks.finished} & self._large.keys()
        if batch.calls:  # of people: they may have dropped any
            left |= self._large.keys()
        for message in left:
            if not index.messages(self._connection, [message]):
                self._large_files.remove(self._large.pop(message))

    def _reclaim(self) -> None:
        """Delete segments that no row names; looked for when a segment has just been filled."""
        if self._segments.current == self._last_reclaimed:
            return
        self._last_reclaimed = self._segments.current
        in_use = index.segments_in_use(self._connection)
        for number in self._segments.numbers():
            if number < self._segments.current and number not in in_use:
                try:
                    self._segments.remove(number)
                except OSError as error:  # it costs room, nothing else; the next start tries again
                    _log.warning("segment not removed segment=%d: %s", number, error)


def _resolve(storing: list[Storing], calls: list[tuple[Call, Any]]) -> None:
    for item in storing:
        if not item.done.done():
            item.done.set_result(None)
    for call, result in calls:
        if not call.done.done():
            call.done.set_result(result)


def _fail(waiting: list[asyncio.Future[Any]], error: Exception) -> None:
    for done in waiting:
        if not done.done():
            done.set_exception(error)
