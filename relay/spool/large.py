"""Large messages: each has a segment of its own, into which its body streams while the client still sends.

The file begins with a hole as long as the header block, which stays in memory until it is known which of its lines go
on: what is kept of it is then written right in front of the body, so that the content is one piece. The Reception
record follows behind, as in every segment. States: streaming -> sealed (on disk, nobody's) -> committed (an index row
names it; goes with the row). A file that no row names was never acknowledged, and is removed at the next start.

Disk work runs in threads of its own: a write may wait for the disk, and the event loop must not. Numbers of large
segments lie above those of the others (segments.py), which are in the order of writing; these are not. So are their
names other ones: `<number>.large`.
"""

import asyncio
import contextlib
import os
import re
import threading
import zlib
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from relay.spool.entry import SpoolFull
from relay.spool.segments import LARGE_FROM, Place, segment_path, sync_folder
from relay.spool.stored import PIECE_BYTES, StoredContent

LARGE_BYTES = 256 * 1024  # up to here a message stays in memory and is written once
_THREADS = 4
_NAME = re.compile(r"[1-9]\d{7,17}\.large")  # a number of the index has 63 bits

T = TypeVar("T")


class LargeFiles:
    """The large segments of one folder."""

    def __init__(self, folder: Path, in_use: Collection[int]) -> None:
        """`in_use` are the large segments that the index names; files of other numbers are removed."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        on_disk = {int(name.partition(".")[0]) for name in os.listdir(folder) if _NAME.fullmatch(name)}
        for number in on_disk - set(in_use):
            with contextlib.suppress(OSError):  # somebody else's: it costs room, nothing else
                self.path(number).unlink()
        # also above those whose file is lost: a row must never come to name another message's bytes
        self._last = max([LARGE_FROM - 1, *on_disk, *in_use])
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="large")

    def path(self, number: int) -> Path:
        return segment_path(self._folder, number)

    async def open(self, hole: int) -> "LargeFile":
        """Begin a file whose header block will have up to `hole` bytes. Raises SpoolFull."""
        self._last += 1
        file = LargeFile(self, self._last, hole)
        await self.run(file.create)
        return file

    def remove(self, number: int) -> None:
        """Delete a segment whose row is gone; soon, off the calling thread: 25 MB take some milliseconds."""
        self.later(lambda: self.path(number).unlink(missing_ok=True))

    def sync_folder(self) -> None:
        sync_folder(self._folder)

    async def run(self, work: Callable[[], T]) -> T:
        """Do disk work in a thread. Raises SpoolFull when the disk refuses it."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise SpoolFull(str(error)) from error

    async def checked(self, content: StoredContent, crc: int) -> bool:
        """Tell whether the stored bytes are those that were accepted. Raises OSError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, content.checksum) == crc
        except EOFError:
            return False

    def later(self, work: Callable[[], None]) -> None:
        """Do disk work in a thread some time, and mind no failure: the next start tidies up."""

        def attempt() -> None:
            with contextlib.suppress(OSError):
                work()

        with contextlib.suppress(RuntimeError):  # the spool has stopped
            self._threads.submit(attempt)

    def close(self) -> None:
        """Return when all work is done; blocks."""
        self._threads.shutdown()


class LargeFile:
    """One large message on its way to the disk."""

    def __init__(self, files: LargeFiles, number: int, hole: int) -> None:
        self._files, self._number, self._hole = files, number, hole
        self._file = -1
        self._begin = self._end = hole
        # A client may leave while a thread writes: closed under it, the descriptor would soon be another file's
        self._lock = threading.Lock()
        self._is_handed_over = False
        self.crc = 0
        self.is_sealed = False

    @property
    def path(self) -> Path:
        return self._files.path(self._number)

    @property
    def place(self) -> Place:
        """Where the content lies; with its header once it is sealed."""
        return Place(self._number, self._begin, self._end - self._begin)

    async def write(self, body: bytes) -> None:
        """Append to the body; returns when the system has it, not the disk. Raises SpoolFull."""
        if body:
            await self._files.run(lambda: self._append(body))

    async def seal(self, head: bytes) -> None:
        """Put the header block in front; return when all is on disk and `crc` is known. Raises SpoolFull."""
        assert len(head) <= self._hole
        await self._files.run(lambda: self._seal(head))

    def hand_over(self) -> None:
        """From here on the commit thread decides what becomes of the file."""
        assert self.is_sealed
        self._is_handed_over = True

    def take_back(self) -> None:
        """The commit has failed."""
        self._is_handed_over = False

    def append_record(self, record: bytes) -> None:
        """Write the Reception record behind the content; return after fdatasync. Raises OSError."""
        with self._lock:
            _write(self._descriptor(), record, self._end)
            os.fdatasync(self._file)
            self._release()

    def close(self) -> None:
        """Remove the file, unless it was handed over."""
        if not self._is_handed_over:
            self._files.later(self._remove)

    def create(self) -> None:
        with self._lock:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)

    def _append(self, body: bytes) -> None:
        with self._lock:
            _write(self._descriptor(), body, self._end)
            self._end += len(body)

    def _seal(self, head: bytes) -> None:
        with self._lock:
            file = self._descriptor()
            self._begin = self._hole - len(head)
            _write(file, head, self._begin)
            at, crc = self._begin, 0
            while at < self._end:
                piece = os.pread(file, min(PIECE_BYTES, self._end - at), at)
                if not piece:
                    raise OSError("the file has become shorter")
                crc, at = zlib.crc32(piece, crc), at + len(piece)
            os.fdatasync(file)
            self._files.sync_folder()
            self.crc, self.is_sealed = crc, True

    def _remove(self) -> None:
        with self._lock:
            self._release()
            self.path.unlink(missing_ok=True)

    def _release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _descriptor(self) -> int:
        if self._file < 0:
            raise OSError("the file is closed")
        return self._file


def _write(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count
