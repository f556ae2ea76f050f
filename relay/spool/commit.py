"""The commit thread: one fsync for all transactions of the same few milliseconds.

It takes what has gathered while the last commit ran (no added wait: that commit is the window), and in this order
  1. appends contents and their Reception records to the segment, fdatasync; beside them now and then a slice of what
     outlived its segment (reclaim.py);
  2. writes outcome records to the journal, fdatasync: a recipient leaves the spool only after its outcome is on disk;
  3. one SQLite transaction: new rows, moved, finished and deferred ones, the calls of people, the counts;
  4. hands the Reception records to the journal and wakes the waiting 250s;
  5. deletes the segments that nothing names any more.
A failure of the disk fails that batch's stores (SpoolFull) and keeps its outcomes for the next one. Any other
exception must stop the relay: no 250 without this thread.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from relay.clock import Clock
from relay.spool import clusters, idempotency, index, origins
from relay.spool.checkpoint import Checkpointer
from relay.spool.entry import CommitTimes, SpooledMessage, SpooledRecipient, SpoolFull, message_row
from relay.spool.idempotency import Answered
from relay.spool.journal import Journal
from relay.spool.large import LargeFile, LargeFiles
from relay.spool.marks import Marks
from relay.spool.reclaim import Reclaimer, Slice
from relay.spool.recovery import ID_BLOCK, QUARANTINE_SECONDS
from relay.spool.segments import LARGE_FROM, Segments
from relay.spool.usage import Change, Usage

_log = logging.getLogger("mailweir.spool")

_RETRY_SECONDS = 0.5
_MAX_LANES = 200_000
_TICK_SECONDS = 30.0
_SET_BACK_SECONDS = 60.0


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
    put_at: float = field(default_factory=time.perf_counter)


@dataclass(slots=True)
class Call:
    """A function to run inside the transaction; its result goes to `done`. What it deletes it adds to the Change."""

    function: Callable[[sqlite3.Connection, Change], Any]
    done: asyncio.Future[Any]


@dataclass(slots=True)
class _Batch:
    storing: list[Storing] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    marks: Marks = field(default_factory=Marks)
    is_last: bool = False

    def __bool__(self) -> bool:
        return bool(self.storing or self.calls or self.marks)


class Committer:
    """Owns the thread, the writing connection and the segments' write side. `on_commit` runs on the event loop."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        segments: Segments,
        large_files: LargeFiles,
        journal: Journal,
        clock: Clock,
        on_failure: Callable[[BaseException], None],
        checkpointer: Checkpointer,
    ) -> None:
        self._connection, self._segments, self._large_files = connection, segments, large_files
        self._journal = journal
        self._loop, self._on_failure, self._clock = asyncio.get_running_loop(), on_failure, clock
        self.on_commit: Callable[[CommitTimes], None] | None = None
        self.on_rescheduled: Callable[[], None] | None = None
        self.longest_wait_seconds: float | None = None
        self._clock_runs = clock.unix() - time.monotonic()
        self._queue: SimpleQueue[Storing | Call | Marks | None] = SimpleQueue()
        self._kept = Marks()
        self.ended = 0  # recipients that left the spool; written by the thread alone
        self._lanes: dict[tuple[str, str], int] = {}
        self._is_journal_behind, self.failed_at = False, 0.0  # monotonic; 0: the last commit worked
        self._meta = {name: index.get_meta(connection, name) for name in ("journaled", "next_id", "fresh_from")}
        self._handed_over = self._meta["journaled"]
        self._has_unjournaled = connection.execute("SELECT 1 FROM unjournaled LIMIT 1").fetchone() is not None
        self._usage = Usage(connection)
        self._reclaimer = Reclaimer(segments, self._usage, clock, self._remove)
        self._next_tick = time.monotonic() + _TICK_SECONDS
        self._checkpointer = checkpointer
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)

    def start(self, handed_over: int) -> None:
        """Begin to commit; every record up to the position `handed_over` was given to the journal."""
        self._handed_over = max(self._handed_over, handed_over)
        self._reclaimer.sweep()
        self._checkpointer.start()
        self._thread.start()

    def put(self, item: Storing | Call | Marks) -> None:
        self._queue.put(item)

    def stop(self) -> None:
        """Commit what is queued and end the thread; blocks."""
        self._queue.put(None)
        self._thread.join()
        self._checkpointer.stop()

    def _run(self) -> None:
        try:
            while not (batch := self._gather()).is_last:
                self._commit_or_fail(batch)
            self._commit_or_fail(batch)
        except BaseException as error:
            _log.critical("commit thread failed error=%r", error)
            self._tell(self._on_failure, error)

    def _gather(self) -> _Batch:
        batch = _Batch()
        try:
            self._sort(batch, self._queue.get(timeout=self._patience()))
            while True:
                self._sort(batch, self._queue.get_nowait())
        except Empty:
            pass
        batch.marks.add(self._kept)
        self._kept = Marks()
        return batch

    def _patience(self) -> float:
        if self._kept:
            return _RETRY_SECONDS
        slice_due = self._reclaimer.wait_seconds()
        return _TICK_SECONDS if slice_due is None else min(slice_due, _TICK_SECONDS)

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
        began = time.perf_counter()
        try:
            moving = Slice() if self.failed_at else self._copied()
            is_tick = batch.is_last or time.monotonic() >= self._next_tick
            if not (batch or moving or is_tick):
                return
            results = self._commit(batch, moving, is_tick=is_tick)
        except (OSError, sqlite3.OperationalError) as error:
            self._fail(batch, error)
            return
        self._checkpointer.note()
        self.ended += batch.marks.ended
        if self.failed_at:
            _log.info("commits work again")
            self.failed_at = 0.0
        for item in batch.storing:
            self._journal.append_encoded(item.record)
            if item.large is None:
                place = item.message.place
                self._handed_over = index.position(place.segment, place.offset)
        times = None
        if batch.storing and self.on_commit is not None:
            times = CommitTimes(
                seconds=time.perf_counter() - began,
                fsync_seconds=self._segments.sync_seconds,
                waited_seconds=began - batch.storing[0].put_at,
                stores=len(batch.storing),
            )
        self._tell(self._resolve, batch.storing, list(zip(batch.calls, results, strict=True)), times)

    def _fail(self, batch: _Batch, error: Exception) -> None:
        if not self.failed_at:  # once, not for every message turned away
            outcomes = len(batch.marks.alone) + len(batch.marks.finished) + len(batch.marks.deferred)
            _log.error("commit failed, mail is put off stores=%d outcomes=%d: %s", len(batch.storing), outcomes, error)
        self.failed_at = time.monotonic()
        self._reclaimer.pause()
        self._kept.add(batch.marks)
        waiting: list[asyncio.Future[Any]] = [item.done for item in batch.storing]
        waiting += [call.done for call in batch.calls]
        self._tell(_refuse, waiting, SpoolFull(str(error)))

    def _commit(self, batch: _Batch, moving: Slice, *, is_tick: bool) -> list[Any]:
        change = Change()
        self._write_contents(batch.storing, change)
        is_journaled = self._write_outcomes(batch.marks, is_wanted=is_tick and self._is_unjournaled())
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._insert(batch.storing, change)
            if moving:  # before rows are deleted: what goes now goes from its new place
                self._reclaimer.move(connection, moving, change, self._clock.unix() + QUARANTINE_SECONDS)
            batch.marks.write(connection, change)
            meta = self._advance_meta(batch, is_journaled=is_journaled, is_tick=is_tick)
            nearer = self._follow_clock() if is_tick else 0
            results = [call.function(connection, change) for call in batch.calls]
            self._usage.write(connection, change)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._lanes.clear()  # lanes made in the transaction are gone with it
            self._has_unjournaled = True  # what was deleted there is back
            raise
        self._meta.update(meta)
        self._usage.apply(change)
        self._reclaimer.note(change.segments)
        if is_tick:
            self._next_tick = time.monotonic() + _TICK_SECONDS
        if nearer and self.on_rescheduled is not None:
            self._tell(self.on_rescheduled)
        return results

    def _copied(self) -> Slice:
        """What is to move, with its bytes on disk in the old generation; nothing when the disk refuses."""
        moving = self._reclaimer.take(self._connection, self._meta["journaled"])
        if moving.contents:
            try:
                moving.places = self._segments.append_old(moving.contents)
            except OSError as error:
                _log.warning("nothing is moved between segments for now: %s", error)
                self._reclaimer.pause()
                return Slice()
        return moving

    def _write_contents(self, storing: list[Storing], change: Change) -> None:
        small = [item for item in storing if item.large is None]
        if small:
            places = self._segments.append([piece for item in small for piece in (item.content, item.record)])
            for item, place in zip(small, places[::2], strict=True):
                item.message.place = place
            begin, end = places[0].offset, places[-1].offset + places[-1].length
            change.store(places[0].segment, [item.message.id for item in small], end - begin, end)
        for item in storing:
            item.message.record_length = len(item.record)
            if item.large is not None:
                item.large.append_record(item.record)
                place = item.message.place = item.large.place
                size = place.length + len(item.record)
                change.store(place.segment, [item.message.id], size, place.offset + size)

    def _write_outcomes(self, marks: Marks, *, is_wanted: bool) -> bool:
        """Have the journal on disk; tell whether it was written, and all that was handed over before with it."""
        # The journal keeps the lines from here on, also while it cannot write: handed in again at each try, they would
        # grow without end.
        lines, marks.lines = marks.lines, []
        if not (lines or self._is_journal_behind or is_wanted):
            return False
        self._is_journal_behind = True
        self._journal.write_durably(lines)
        self._is_journal_behind = False
        return True

    def _insert(self, storing: list[Storing], change: Change) -> None:
        if not storing:
            return
        lane, rows = self._lane, []
        for item in storing:
            message, state = item.message, item.state
            number, sender = message.id, message.sender
            for recipient in item.recipients:
                due = None if state == index.HELD else recipient.due_unix
                to = lane(sender, recipient.destination)
                rows.append(
                    (recipient.id, number, to, recipient.address, due, 0, state, recipient.dsn, recipient.own_prefix)
                )
        index.insert_messages(self._connection, [message_row(item.message, item.state) for item in storing])
        index.insert_recipients(self._connection, rows)
        change.recipients += len(rows)
        if held := [item.message.id for item in storing if item.state == index.HELD]:
            clusters.note(self._connection, held, self._clock.unix())
        if answered := [item.answered for item in storing if item.answered]:
            idempotency.remember(self._connection, answered, self._clock.unix())
        if traced := [item for item in storing if item.message.return_domain]:
            pairs = [(item.message, [recipient.address for recipient in item.recipients]) for item in traced]
            origins.remember(self._connection, pairs)
        if large := [(item.message.id,) for item in storing if item.large is not None]:
            # the numbers of their segments say nothing about the order of writing, nor about the journal
            self._connection.executemany("INSERT INTO unjournaled VALUES (?)", large)
            self._has_unjournaled = True

    def _lane(self, sender: str, destination: str) -> int:
        found = self._lanes.get((sender, destination))
        if found is None:
            if len(self._lanes) >= _MAX_LANES:
                self._lanes.clear()
            found = self._lanes[(sender, destination)] = index.lane_id(self._connection, sender, destination)
        return found

    def _is_unjournaled(self) -> bool:
        return self._has_unjournaled or self._handed_over != self._meta["journaled"]

    def _advance_meta(self, batch: _Batch, *, is_journaled: bool, is_tick: bool) -> dict[str, int]:
        """Write the marks that moved; the caller takes them over after COMMIT."""
        known, moved = self._meta, {}
        if is_journaled:
            # write_durably put all that was appended before on disk: the Reception records of earlier batches are safe
            if known["journaled"] != self._handed_over:
                moved["journaled"] = self._handed_over
            if self._has_unjournaled:
                large = [item.message.id for item in batch.storing if item.large is not None]
                self._has_unjournaled = index.forget_unjournaled(self._connection, large)
        if batch.storing:
            highest = max(item.message.id + item.message.rcpts for item in batch.storing)
            if highest > known["next_id"] - ID_BLOCK // 2:
                moved["next_id"] = highest + ID_BLOCK
            lowest = min(item.message.id for item in batch.storing)
            if lowest < known["fresh_from"]:
                moved["fresh_from"] = lowest
        if is_tick:
            mark = moved.get("fresh_from", known["fresh_from"])
            moved["fresh_from"] = index.first_fresh(self._connection, mark)
        for name, value in moved.items():
            if value != known[name]:
                index.set_meta(self._connection, name, value)
        return moved

    def _follow_clock(self) -> int:
        """Draw due times nearer after the clock was set back; return how many."""
        runs = self._clock.unix() - time.monotonic()
        is_set_back, self._clock_runs = runs < self._clock_runs - _SET_BACK_SECONDS, runs
        if not is_set_back or self.longest_wait_seconds is None:
            return 0
        _log.warning("the clock was set back, retries are drawn nearer")
        return index.draw_nearer(self._connection, self._clock.unix() + self.longest_wait_seconds)

    def _remove(self, segment: int) -> None:
        if segment >= LARGE_FROM:
            self._large_files.remove(segment)
        else:
            self._segments.remove(segment)
        self._tell(self._segments.forget, segment)

    def _tell(self, callback: Callable[..., None], *values: object) -> None:
        """Have the event loop call back. A loop that was closed without a stop has nobody left who waits."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *values)

    def _resolve(self, storing: list[Storing], calls: list[tuple[Call, Any]], times: CommitTimes | None) -> None:
        for item in storing:
            if not item.done.done():
                item.done.set_result(None)
        for call, result in calls:
            if not call.done.done():
                call.done.set_result(result)
        if times is not None and self.on_commit is not None:
            self.on_commit(times)


def _refuse(waiting: list[asyncio.Future[Any]], error: Exception) -> None:
    for done in waiting:
        if not done.done():
            done.set_exception(error)
