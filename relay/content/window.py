"""A large content read through a window that moves: it answers what readers ask of bytes, and holds 1 MB of them."""

from collections.abc import Iterator

from relay.spool.stored import StoredContent

_WINDOW_BYTES = 1 << 20


class Windowed:
    """Stands where the bytes of a message would: length, slices without a step, find and startswith."""

    def __init__(self, stored: StoredContent, window_bytes: int = _WINDOW_BYTES) -> None:
        self._stored, self._window_bytes = stored, window_bytes
        self._begin, self._window = 0, b""

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, wanted: slice) -> bytes:
        start, stop, _ = wanted.indices(len(self._stored))
        return self._bytes(start, stop)

    def startswith(self, prefix: bytes, start: int = 0) -> bool:
        return self._bytes(start, start + len(prefix)) == prefix

    def find(self, wanted: bytes, start: int = 0, end: int | None = None) -> int:
        """As bytes.find, for `wanted` far shorter than the window and start >= 0."""
        end = len(self._stored) if end is None else min(end, len(self._stored))
        while start + len(wanted) <= end:
            if not self._begin <= start <= start + len(wanted) <= self._begin + len(self._window):
                self._move(start)
            reach = min(end, self._begin + len(self._window))
            found = self._window.find(wanted, start - self._begin, reach - self._begin)
            if found >= 0:
                return self._begin + found
            if start + len(wanted) > reach:  # the file is shorter than it says
                return -1
            start = reach - len(wanted) + 1
        return -1

    def pieces(self, start: int) -> Iterator[bytes]:
        """Yield all from `start` on."""
        return self._stored.pieces(start, self._window_bytes)

    def _bytes(self, start: int, stop: int) -> bytes:
        if self._begin <= start and stop <= self._begin + len(self._window):
            return self._window[start - self._begin : max(start, stop) - self._begin]
        return self._stored.piece(start, stop - start)

    def _move(self, start: int) -> None:
        self._begin, self._window = start, self._stored.piece(start, self._window_bytes)


Content = bytes | Windowed
