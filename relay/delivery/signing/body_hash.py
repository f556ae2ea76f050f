"""The relaxed body hash of DKIM (RFC 6376 3.4.4) for a body in pieces; dkim.body_hash is that of a whole one.

What white space and empty lines at the end of a piece become is told by what follows: they are held back, the empty
lines as a number.
"""

import base64
import hashlib

_EMPTY_LINES = b"\r\n" * 8192


class RelaxedBody:
    """Takes a body with CRLF line ends, cut anywhere."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._is_empty = True
        self._line_ends = 0  # held back: only those that something follows count
        self._rest = b""  # a space, a CR, or both, at the end of the last piece

    def update(self, piece: bytes) -> None:
        """Take the next piece."""
        data = self._rest + piece if self._rest else piece
        if b"\t" in data:
            data = data.replace(b"\t", b" ")
        while b"  " in data:  # halves each run: faster than an expression where there are many, and no slower elsewhere
            data = data.replace(b"  ", b" ")
        if b" \r\n" in data:
            data = data.replace(b" \r\n", b"\r\n")
        end = len(data.rstrip(b" \r"))
        data, self._rest = data[:end], data[end:]
        text = data.rstrip(b"\r\n")
        if text:
            self._end_lines()
            self._digest.update(text)
            self._is_empty = False
        self._line_ends += (len(data) - len(text)) // 2

    def hash(self) -> bytes:
        """Return bh=, in base64; the body ends here."""
        if not self._is_empty:
            self._digest.update(b"\r\n")
        return base64.b64encode(self._digest.digest())

    def _end_lines(self) -> None:
        while self._line_ends:
            count = min(self._line_ends, len(_EMPTY_LINES) // 2)
            self._digest.update(_EMPTY_LINES[: 2 * count])
            self._line_ends -= count
