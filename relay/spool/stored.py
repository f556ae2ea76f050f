"""The bytes of one message where they lie, read in pieces: for large contents, of which nobody holds the whole."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

PIECE_BYTES = 1 << 20


class StoredContent:
    """`length` bytes at `offset` of a file, open until `close`. Where it counts, it answers as bytes do.

    The file may be removed meanwhile: what is open stays readable. Raises OSError when it cannot be opened or read.
    """

    def __init__(self, path: Path, offset: int, length: int) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._offset, self._length = offset, length
        self._is_ascii = False

    def __len__(self) -> int:
        return self._length

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def piece(self, start: int, count: int) -> bytes:
        """Return up to `count` bytes from `start` on; fewer at the end, or when the file is short."""
        return os.pread(self._file, max(0, min(count, self._length - start)), self._offset + start)

    def pieces(self, start: int = 0, size: int = PIECE_BYTES) -> Iterator[bytes]:
        """Yield all from `start` on, in pieces. Raises EOFError when the file is short."""
        while start < self._length:
            piece = self.piece(start, size)
            if not piece:
                raise EOFError("the file is shorter than the message")
            yield piece
            start += len(piece)

    def checksum(self) -> int:
        """Read all of it; return its crc32. Raises EOFError when the file is short. Blocks: not for the event loop."""
        crc, is_ascii = 0, True
        for piece in self.pieces():
            crc = zlib.crc32(piece, crc)
            is_ascii = is_ascii and piece.isascii()
        self._is_ascii = is_ascii
        return crc

    def isascii(self) -> bool:
        """Tell whether it is seven-bit; known after `checksum`."""
        return self._is_ascii

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
