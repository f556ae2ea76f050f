"""Reads what messages say. Who asks may remember a place that was given up: then the index knows the new one.

Numbers of segments are never used twice, so an outdated place yields nothing, and never somebody else's bytes.
"""

import sqlite3

from relay.spool import index
from relay.spool.entry import CorruptEntry, SpooledMessage, crc_of
from relay.spool.large import LargeFiles
from relay.spool.segments import Place, Segments
from relay.spool.stored import StoredContent


class Contents:
    """The bytes of messages below their prefixes; belongs to the event loop."""

    def __init__(self, segments: Segments, large_files: LargeFiles, reader: sqlite3.Connection) -> None:
        self._segments, self._large_files, self._reader = segments, large_files, reader

    def whole(self, message: SpooledMessage) -> bytes:
        """Return all of it. Raises CorruptEntry when it is gone or altered."""
        content = self._segments.read(message.place)
        if not _is_whole(content, message) and self._has_moved(message):
            content = self._segments.read(message.place)
        if not _is_whole(content, message):
            raise _corrupt(message)
        return content

    def beginning(self, message: SpooledMessage, count: int) -> bytes:
        """Return up to `count` bytes, unchecked; b"" when they are gone."""
        place, count = message.place, min(count, message.place.length)
        found = self._segments.read(Place(place.segment, place.offset, count))
        if len(found) < count and self._has_moved(message):
            found = self._segments.read(Place(message.place.segment, message.place.offset, count))
        return found

    async def open(self, message: SpooledMessage) -> StoredContent:
        """Return it to be read in pieces, after it was read once in a thread. Raises CorruptEntry, OSError."""
        content = await self._checked(message)
        if content is None and self._has_moved(message):
            content = await self._checked(message)
        if content is None:
            raise _corrupt(message)
        return content

    async def _checked(self, message: SpooledMessage) -> StoredContent | None:
        place = message.place
        try:
            content = StoredContent(self._segments.path(place.segment), place.offset, place.length)
        except FileNotFoundError:
            return None
        try:
            is_whole = await self._large_files.checked(content, message.crc)
        except BaseException:
            content.close()
            raise
        if not is_whole:
            content.close()
        return content if is_whole else None

    def _has_moved(self, message: SpooledMessage) -> bool:
        """Ask where a message lies by now; tell whether that is new."""
        found = index.place_of(self._reader, message.id)
        if found is None or found[:2] == (message.place.segment, message.place.offset):
            return False
        message.place = Place(found[0], found[1], message.place.length)
        message.record_length = found[2]
        return True


def _is_whole(content: bytes, message: SpooledMessage) -> bool:
    return len(content) == message.place.length and crc_of(content) == message.crc


def _corrupt(message: SpooledMessage) -> CorruptEntry:
    return CorruptEntry(f"message {message.message_id}: its bytes in segment {message.place.segment} are damaged")
