"""Segments: append-only files that hold message bytes, written once.

Only the commit thread appends, syncs and removes; anybody may read what an index row points at. A segment is never
appended to after a restart: bytes after its last committed end belong to nobody and go with the file.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 64 * 1024 * 1024
_IOV_MAX = 1024  # writev takes no more buffers (limits.h)
_NAME = re.compile(r"0[0-7]\d{6}\.seg")  # below 2**23: index.position gives the segment 23 bits; 512 TB of mail


@dataclass(frozen=True, slots=True)
class Place:
    """Where bytes lie."""

    segment: int
    offset: int
    length: int


class Segments:
    """The files `<number:08d>.seg` of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._number = max(self.numbers(), default=0)
        self._file: int | None = None
        self._size = 0
        self._readers: dict[int, int] = {}

    @property
    def current(self) -> int:
        """The segment that grows; never remove it."""
        return self._number

    def numbers(self) -> list[int]:
        """All segments on disk; foreign files are left alone."""
        return sorted(int(name[:8]) for name in os.listdir(self._folder) if _NAME.fullmatch(name))

    def path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.seg"

    def size_of(self, number: int) -> int:
        """Bytes on disk, 0 when the file is gone."""
        try:
            return self.path(number).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, pieces: Sequence[bytes]) -> list[Place]:
        """Write all pieces one after the other and return after fdatasync where each lies. Raises OSError."""
        if self._file is None or self._size >= MAX_BYTES:
            self.rotate()
        assert self._file is not None
        try:
            self._write(pieces)
            os.fdatasync(self._file)
        except OSError:
            # After a failed write or sync nobody knows what of this file is on disk: never append to it again.
            self._close()
            if not self._size:  # a disk that stays full would gather one such file a try
                self.remove(self._number)
            raise
        places = []
        for piece in pieces:
            places.append(Place(self._number, self._size, len(piece)))
            self._size += len(piece)
        return places

    def read(self, place: Place) -> bytes:
        """Return the bytes at `place`; fewer when the file is short, b"" when it is gone."""
        file = self._readers.get(place.segment)
        if file is None:
            try:
                file = os.open(self.path(place.segment), os.O_RDONLY)
            except FileNotFoundError:
                return b""
            self._readers[place.segment] = file
        return os.pread(file, place.length, place.offset)

    def rotate(self) -> None:
        """Start a new segment; returns after its directory entry is on disk."""
        self._close()
        path = self.path(self._number + 1)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        self._number += 1
        self._size = 0
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self, number: int) -> None:
        """Delete a segment that no index row names."""
        reader = self._readers.pop(number, None)
        if reader is not None:
            os.close(reader)
        self.path(number).unlink(missing_ok=True)

    def close(self) -> None:
        self._close()
        for file in self._readers.values():
            os.close(file)
        self._readers.clear()

    def _write(self, pieces: Sequence[bytes]) -> None:
        assert self._file is not None
        offset = self._size
        for start in range(0, len(pieces), _IOV_MAX):
            batch = pieces[start : start + _IOV_MAX]
            wanted = sum(map(len, batch))
            written = os.pwritev(self._file, batch, offset)
            if written < wanted:  # a nearly full disk, or a batch over 2 GB
                written += _write_rest(self._file, b"".join(batch)[written:], offset + written)
            offset += wanted

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _write_rest(file: int, data: bytes, offset: int) -> int:
    view = memoryview(data)
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count
    return len(data)
