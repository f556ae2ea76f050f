"""Side files of the journal: what a model can learn from each message, for analytics to gather (content/learned.py).

Not in the journal itself, whose records it would double. Nothing waits for these files and a crash may cost the last
second of them: a label without its words is only a label less. Layout of an entry, little-endian: length of the id,
length of the words, received_at in Unix seconds, id, words. `NAME.words.open` grows, `NAME.words` is complete.
"""

import asyncio
import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from relay.clock import Clock
from relay.files import still_there
from relay.threads import to_its_end

_log = logging.getLogger("mailweir.journal")

_HEAD = struct.Struct("<HHd")
_FLUSH_SECONDS = 1.0
_CLOSE_SECONDS = 60.0
_MAX_BYTES = 16 * 1024 * 1024
_MOST_KEPT = 1024 * 1024 * 1024  # of closed files, half a million messages
_MOST_WAITING = 32 * 1024 * 1024  # a disk that takes no more: the oldest words are let go, mail is not


class WordLog:
    """The one writer of `folder/<node>-<boot>-<number>.words`."""

    def __init__(self, folder: Path, node: str, clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self._stem = f"{node}-{clock.now():%Y%m%dT%H%M%S%f}Z-{os.getpid()}"
        self._waiting: list[bytes] = []
        self._waiting_bytes = self._number = self._size = 0
        self._path: Path | None = None
        self._opened_at = 0.0
        self._noted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make the folder and close what a crash left open. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob("*.words.open"):
            path.rename(path.with_suffix(""))
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            await asyncio.to_thread(self._write, self._taken(), is_last=True)
        except OSError as error:
            _log.error("words not written error=%s", error)

    def note(self, message_id: str, received_unix: float, learned: bytes) -> None:
        """Keep the words of a message, some seconds later."""
        if learned and self._waiting_bytes < _MOST_WAITING:
            name = message_id.encode()
            self._waiting.append(_HEAD.pack(len(name), len(learned), received_unix) + name + learned)
            self._waiting_bytes += len(learned)
            self._noted.set()

    async def _run(self) -> None:
        while True:
            if self._path is None:
                await self._noted.wait()
            self._noted.clear()
            await self._clock.sleep(_FLUSH_SECONDS)
            try:
                await to_its_end(self._write, self._taken())
            except OSError as error:  # a full disk: these words are lost, the next ones may not be
                _log.error("words not written error=%s", error)

    def _taken(self) -> list[bytes]:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return waiting

    def _write(self, entries: list[bytes], *, is_last: bool = False) -> None:
        now = self._clock.unix()
        if entries:
            if self._path is None:
                self._number += 1
                self._path = self._folder / f"{self._stem}-{self._number:08d}.words.open"
                self._size, self._opened_at = 0, now
            data = b"".join(entries)
            with self._path.open("ab") as file:
                file.write(data)
            self._size += len(data)
        if self._path and (is_last or self._size >= _MAX_BYTES or now - self._opened_at >= _CLOSE_SECONDS):
            self._path.rename(self._path.with_suffix(""))
            self._path = None
            self._bound()

    def _bound(self) -> None:
        """Nobody gathers them where analytics does not run: let the oldest go."""
        files = sorted(still_there(self._folder.glob("*.words")), key=lambda found: found[1].st_mtime)
        total = sum(state.st_size for _, state in files)
        for path, state in files:
            if total <= _MOST_KEPT:
                return
            total -= state.st_size
            path.unlink(missing_ok=True)


def entries_of(data: bytes) -> Iterator[tuple[str, float, bytes]]:
    """Yield message id, received_at in Unix seconds and words of each whole entry; a torn tail is left out."""
    position = 0
    while position + _HEAD.size <= len(data):
        name, words, received_unix = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        if position + name + words > len(data):
            return
        message_id = data[position : position + name].decode("utf-8", "replace")
        position += name
        yield message_id, received_unix, data[position : position + words]
        position += words
