"""Segments: append-only files that hold message bytes, written once.

There are three kinds, told apart only by who fills them: young ones take new mail, old ones what outlived its young
segment (reclaim.py), and a segment of its own holds exactly one large message. Numbers are never used twice, so a
place either holds the bytes it always held or its file is gone.

Only the commit thread appends, syncs and removes; `read` and `forget` belong to the event loop. A segment is never
appended to after a restart: bytes after its last committed end belong to nobody and go with the file.
"""

import itertools
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 64 * 1024 * 1024
LARGE_FROM = 10_000_000  # from here on a segment holds one large message; below, they are in the order of writing
_IOV_MAX = 1024  # writev takes no more buffers (limits.h)
_MAX_READERS = 256  # open files of `read`; an old queue may lie in thousands of segments
_NAME = re.compile(r"\d{8}\.seg", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where bytes lie."""

    segment: int
    offset: int
    length: int


class _Growing:
    """The segment that one generation of mail is appended to; number 0: none yet."""

    def __init__(self) -> None:
        self.number = 0
        self.file: int | None = None
        self.size = 0

    def close(self) -> None:
        if self.file is not None:
            os.close(self.file)
            self.file = None


class Segments:
    """The files `<number:08d>.seg` of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not folder.is_dir():
            folder.mkdir(parents=True)
            sync_folder(folder.parent)
        self._numbers = itertools.count(max(self.numbers(), default=0) + 1)
        self._young, self._old = _Growing(), _Growing()
        self._readers: dict[int, int] = {}
        self.sync_seconds = 0.0  # what the last fdatasync took

    @property
    def growing(self) -> tuple[int, int]:
        """The segments that are appended to, young and old; never remove them."""
        return self._young.number, self._old.number

    def numbers(self) -> list[int]:
        """All segments on disk but those of large messages; foreign files are left alone."""
        found = sorted(int(name[:8]) for name in os.listdir(self._folder) if _NAME.fullmatch(name))
        return [number for number in found if 0 < number < LARGE_FROM]

    def skip_to(self, number: int) -> None:
        """Give out numbers above this one only: somebody remembers it, though its file may be gone."""
        self._numbers = itertools.count(max(next(self._numbers), number + 1))

    def path(self, number: int) -> Path:
        return segment_path(self._folder, number)

    def size_of(self, number: int) -> int:
        """Bytes on disk, 0 when the file is gone."""
        try:
            return self.path(number).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, pieces: Sequence[bytes]) -> list[Place]:
        """Write all pieces one after the other and return after fdatasync where each lies. Raises OSError."""
        return self._append(self._young, pieces)

    def append_old(self, pieces: Sequence[bytes]) -> list[Place]:
        """The same for what outlived its segment."""
        return self._append(self._old, pieces)

    def read(self, place: Place) -> bytes:
        """Return the bytes at `place`; fewer when the file is short, b"" when it is gone."""
        file = self._readers.get(place.segment)
        if file is None:
            try:
                file = os.open(self.path(place.segment), os.O_RDONLY)
            except FileNotFoundError:
                return b""
            if len(self._readers) >= _MAX_READERS:
                self.forget(next(iter(self._readers)))
            self._readers[place.segment] = file
        return os.pread(file, place.length, place.offset)

    def forget(self, number: int) -> None:
        """Close what `read` keeps open of a segment."""
        file = self._readers.pop(number, None)
        if file is not None:
            os.close(file)

    def remove(self, number: int) -> None:
        """Delete a segment that no index row names. The event loop must `forget` it after."""
        self.path(number).unlink(missing_ok=True)

    def close(self) -> None:
        self._young.close()
        self._old.close()
        for number in list(self._readers):
            self.forget(number)

    def _append(self, growing: _Growing, pieces: Sequence[bytes]) -> list[Place]:
        if growing.file is None or growing.size >= MAX_BYTES:
            self._rotate(growing)
        assert growing.file is not None
        try:
            _write(growing.file, pieces, growing.size)
            began = time.perf_counter()
            os.fdatasync(growing.file)
            self.sync_seconds = time.perf_counter() - began
        except OSError:
            # After a failed write or sync nobody knows what of this file is on disk: never append to it again.
            growing.close()
            if not growing.size:  # a disk that stays full would gather one such file a try
                self.remove(growing.number)
            raise
        number, offset, places = growing.number, growing.size, []
        for piece in pieces:
            places.append(Place(number, offset, len(piece)))
            offset += len(piece)
        growing.size = offset
        return places

    def _rotate(self, growing: _Growing) -> None:
        """Start a new segment; returns after its directory entry is on disk."""
        growing.close()
        number = next(self._numbers)
        growing.file = os.open(self.path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        growing.number, growing.size = number, 0
        try:
            sync_folder(self._folder)
        except OSError:
            growing.close()
            raise


def segment_path(folder: Path, number: int) -> Path:
    """Where a segment lies; those of large messages (large.py) have another name."""
    return folder / (f"{number:08d}.seg" if number < LARGE_FROM else f"{number}.large")


def sync_folder(folder: Path) -> None:
    """Return after the names in `folder` are on disk."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _write(file: int, pieces: Sequence[bytes], offset: int) -> None:
    for start in range(0, len(pieces), _IOV_MAX):
        batch = pieces[start : start + _IOV_MAX]
        wanted = sum(map(len, batch))
        written = os.pwritev(file, batch, offset)
        if written < wanted:  # a nearly full disk, or a batch over 2 GB
            _write_rest(file, b"".join(batch)[written:], offset + written)
        offset += wanted


def _write_rest(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count
