"""Gives room on the disk back: deletes empty segments, and copies what little lives in thin ones away.

Deleting alone does not do: a few messages that wait for days keep every segment of their time (97 % done in 3 s, 2 %
in hours, 1 % staying: 81 times the disk of what is alive). So what outlived its segment is copied, through the same
append and commit as new mail, into an old-generation segment: 2.0 times the disk, 1.04 times the bytes written
(`python -m bench.reclaim`). Runs in the commit thread, a bounded slice beside a commit.

Whoever remembers the former place finds the file gone and asks the index again (Spool.content): numbers are never used
twice. What has moved left its Reception record behind, so it moves only after that record is safe in the journal.
"""

import logging
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from relay.clock import Clock
from relay.spool import index
from relay.spool.entry import CorruptEntry, SpooledMessage, message_of
from relay.spool.segments import Place, Segments
from relay.spool.usage import Change, Usage

_log = logging.getLogger("mailweir.spool")

REST_SECONDS = 60.0  # most mail is gone by then; what is copied earlier is copied for nothing
_SLICE_BYTES = 256 * 1024  # read, write, fdatasync: 1-3 ms more for the commit it rides with
_SLICE_MESSAGES = 64
PACE_SECONDS = 0.05  # between two slices: 5 MB/s, three times the survivors of a relay at its limit
_PAUSE_SECONDS = 5.0  # after a disk refused, or for records that are not in the journal yet


@dataclass(slots=True)
class Slice:
    """A few messages on their way to the old generation, and those found damaged on the way."""

    messages: list[SpooledMessage] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.messages or self.damaged)


class Reclaimer:
    """Knows which segments are sealed, thin or empty. `remove` deletes the file of one."""

    def __init__(self, segments: Segments, usage: Usage, clock: Clock, remove: Callable[[int], None]) -> None:
        self._segments, self._usage, self._clock, self._remove_file = segments, usage, clock, remove
        self._growing = segments.growing
        self._sealed_at: dict[int, float] = {}
        self._thin: dict[int, float] = {}  # number -> when it may be copied
        self._stuck: set[int] = set()  # what is left in them is damaged, and held
        self._last_damaged: list[int] = []
        self._next = clock.unix()
        self._last_look = self._next
        self._started = self._next

    def wait_seconds(self) -> float | None:
        """When the next slice may be due; None: nothing is thin."""
        if not self._thin:
            return None
        return max(min(self._thin.values()) - self._clock.unix(), self._next - self._clock.unix(), PACE_SECONDS)

    def take(self, connection: sqlite3.Connection, journaled: int) -> Slice:
        """What to move with this commit; mostly nothing. Reads up to 256 KB."""
        found, now = Slice(), self._clock.unix()
        if now < self._last_look:  # the clock was set back: wait the rests anew, at most once as long
            self._thin = {number: min(ripe, now + REST_SECONDS) for number, ripe in self._thin.items()}
            self._next = min(self._next, now)
        self._last_look = now
        if not self._thin or now < self._next:
            return found
        number = min(self._thin, key=self._thin.__getitem__)
        if self._thin[number] > now:
            return found
        self._next = now + PACE_SECONDS
        try:
            self._fill(found, connection, number, journaled)
        except OSError as error:
            _log.warning("segment not read segment=%d: %s", number, error)
            self._thin[number] = now + _PAUSE_SECONDS
        if found.damaged and not found.messages and found.damaged == self._last_damaged:
            self._stuck.add(number)
            self._thin.pop(number, None)
            return Slice()
        self._last_damaged = found.damaged
        return found

    def pause(self) -> None:
        """The disk refuses: copy nothing for a while."""
        self._next = self._clock.unix() + _PAUSE_SECONDS

    def move(self, connection: sqlite3.Connection, found: Slice, change: Change, due_unix: float) -> None:
        """Let the index name the new places; part of the open transaction."""
        pairs = list(zip(found.messages, found.places, strict=True))
        index.move(
            connection,
            [(new.segment, new.offset, message.id, message.place.segment) for message, new in pairs],
        )
        for message, new in pairs:
            change.add(new.segment, 1, new.length, new.offset + new.length)
            change.free([(message.place.segment, message.place.length + message.record_length)])
        if found.damaged:
            index.quarantine(connection, found.damaged, due_unix)

    def note(self, touched: Iterable[int]) -> None:
        """After a commit: look at the segments whose usage changed; delete those that nothing names any more."""
        growing, now = self._segments.growing, self._clock.unix()
        if growing != self._growing:
            sealed = set(self._growing) - set(growing)
            self._sealed_at.update((number, now) for number in sealed)
            self._growing = growing
            touched = {*touched, *sealed}
        for number in touched:
            used = self._usage.segments.get(number)
            if used is None or number in growing:
                continue
            if not used.messages:
                self._remove(number)
            elif used.alive * 2 < used.written and number not in self._stuck:
                self._thin.setdefault(number, self._sealed_at.get(number, self._started) + REST_SECONDS)

    def sweep(self) -> None:
        """At start, before anything is written: delete the files that no row names."""
        for number in self._segments.numbers():
            if number not in self._usage.segments:
                self._unlink(number)
        self.note(list(self._usage.segments))

    def _fill(self, found: Slice, connection: sqlite3.Connection, number: int, journaled: int) -> None:
        rows = index.in_segment(connection, number, _SLICE_MESSAGES)
        if not rows:  # what is left is quarantined: its file stays with it
            del self._thin[number]
            return
        messages = []
        for row in rows:
            try:
                messages.append(message_of(row, ""))
            except CorruptEntry as error:
                _log.error("row put off for a day error=%s", error)
                found.damaged.append(int(str(row[0])))
        try:
            file = os.open(self._segments.path(number), os.O_RDONLY)
        except FileNotFoundError:
            _log.error("segment lost segment=%d messages=%d", number, self._usage.segments[number].messages)
            found.damaged += [message.id for message in messages]
            return
        try:
            size = 0
            for message in messages:
                place = message.place
                if message.record_length and index.position(place.segment, place.offset) > journaled:
                    self._thin[number] = self._clock.unix() + _PAUSE_SECONDS
                    break
                size += self._read(file, message, found)
                if size >= _SLICE_BYTES:
                    break
        finally:
            os.close(file)

    @staticmethod
    def _read(file: int, message: SpooledMessage, found: Slice) -> int:
        place = message.place
        content = os.pread(file, place.length, place.offset)
        if len(content) != place.length or zlib.crc32(content) != message.crc:
            _log.error("message damaged message=%d segment=%d offset=%d", message.id, place.segment, place.offset)
            found.damaged.append(message.id)
        else:
            found.messages.append(message)
            found.contents.append(content)
        return len(content)

    def _remove(self, number: int) -> None:
        self._thin.pop(number, None)
        self._sealed_at.pop(number, None)
        self._stuck.discard(number)
        if self._unlink(number):
            self._usage.forget(number)

    def _unlink(self, number: int) -> bool:
        try:
            self._remove_file(number)
        except OSError as error:  # it costs room, nothing else; the next start tries again
            _log.warning("segment not removed segment=%d: %s", number, error)
            return False
        return True
