"""The canonical form of a message: no dot-stuffing, CRLF line ends only, no NUL, no line over 998 bytes.

Twice the same rules: `canonical` for a message that is there as a whole (the hot path), `Canonicaliser` for one that
comes in pieces. Any cutting must give the same bytes or the same refusal; tests/relay/test_canonical.py holds it.
"""

import re
from collections.abc import Iterable

from relay.reply import PermanentError, Reply

LINE_MAX = 998  # octets without CRLF, RFC 5322 section 2.1.1
# Every later look at the header costs up to 1 us a byte: 25 MB of fields would stop the relay for 15 s (measured).
# Real headers have some 10 kB; Exim draws its line at 1 MB (header_maxsize).
HEADER_MAX = 512 * 1024

BARE_LINE_END = Reply(550, "5.6.11", "bare CR or LF in the message (RFC 5321 2.3.8)")
NUL_BYTE = Reply(550, "5.6.0", "NUL in the message")
_FEW_DOTS = 32
HEADER_TOO_BIG = Reply(552, "5.3.4", "message header too big")

_LONG_REST = 4 * LINE_MAX
_fields = re.compile(rb"(?:[!-9;-~]+[ \t]*:[^\n]*+\n(?:[ \t][^\n]*+\n)*+)*+").match
_field_begins = re.compile(rb"[!-9;-~]+[ \t]*:|[ \t]|\Z").match


def canonical(raw: bytes, *, is_stuffed: bool = True, normalises: bool = False) -> bytes:
    """Undo dot-stuffing and fold long lines, as the field does. `normalises`: bare CR and LF become CRLF.

    Raises PermanentError for what no next hop should see: bare CR or LF, NUL, a header without end.
    """
    if raw and not raw.endswith((b"\r", b"\n")):  # a last chunk of BDAT
        raw += b"\r\n"
    has_bare = _has_bare_line_end(raw)
    if has_bare and not normalises:
        raise PermanentError(BARE_LINE_END)
    if b"\0" in raw:
        raise PermanentError(NUL_BYTE)
    if is_stuffed:
        raw = _unstuffed(raw, is_line_start=True)
    if has_bare:
        raw = _normalised(raw)
    if _has_long_line(raw):
        raw = b"\r\n".join(_folded(raw.split(b"\r\n")))
    if len(raw) > HEADER_MAX:
        header_length(raw, is_whole=True)
    return raw


class Canonicaliser:
    """`canonical` for a message in pieces: what `feed` and `close` return is, put together, the same bytes.

    It never raises: what is not to be let in is told by `refusal`, as the rest of the message must be read anyway.
    """

    def __init__(self, *, is_stuffed: bool = True, normalises: bool = False) -> None:
        self._is_stuffed, self._normalises = is_stuffed, normalises
        self._rest = b""  # of a line that is not whole yet, or a CR of which nobody knows what follows
        self._is_after_crlf = True
        self._is_inside_line = False  # its beginning was folded and given out
        self._has_bare = self._has_nul = False

    @property
    def refusal(self) -> Reply | None:
        """Why the message cannot be taken, as far as it is known; in the order of `canonical`."""
        if self._has_bare and not self._normalises:
            return BARE_LINE_END
        return NUL_BYTE if self._has_nul else None

    def feed(self, piece: bytes) -> bytes:
        """Take the next raw piece; return the next canonical bytes, whole lines but for an endless one."""
        data = self._rest + piece
        cut = data.rfind(b"\n") + 1
        # a bare CR ends a line too, but the last byte may be half a CRLF
        cut = max(cut, data.rfind(b"\r", cut, len(data) - 1) + 1)
        self._rest = data[cut:]
        out = self._lines(data[:cut]) if cut else b""
        return out + self._long_line() if len(self._rest) > _LONG_REST else out

    def close(self) -> bytes:
        """Return what was held back; the message ends here."""
        rest, self._rest = self._rest, b""
        return self._lines(rest if rest.endswith(b"\r") else rest + b"\r\n") if rest else b""

    def _lines(self, raw: bytes) -> bytes:
        has_bare = _has_bare_line_end(raw)
        self._has_bare |= has_bare
        ends_with_crlf = raw.endswith(b"\r\n")
        lines = self._unstuffed_checked(raw)
        self._is_after_crlf = ends_with_crlf
        if has_bare:
            lines = _normalised(lines)
        begin = b""
        if self._is_inside_line:
            self._is_inside_line = False
            begin, line_end, lines = lines.partition(b"\r\n")
            begin = b"".join(_continued(begin)) + line_end
        return begin + (b"\r\n".join(_folded(lines.split(b"\r\n"))) if _has_long_line(lines) else lines)

    def _long_line(self) -> bytes:
        """Give out the beginning of a line without end, but at least one byte: what follows may be its CRLF."""
        line = self._unstuffed_checked(self._rest)
        self._is_after_crlf = False
        begin = 0 if self._is_inside_line else LINE_MAX
        end = begin + (len(line) - begin - 1) // (LINE_MAX - 1) * (LINE_MAX - 1)
        self._rest, self._is_inside_line = line[end:], True
        return line[:begin] + b"".join(_continued(line[begin:end]))

    def _unstuffed_checked(self, raw: bytes) -> bytes:
        self._has_nul |= b"\0" in raw
        return _unstuffed(raw, is_line_start=self._is_after_crlf) if self._is_stuffed else raw


def header_length(content: bytes | bytearray, *, is_whole: bool) -> int | None:
    """Return where the header block of canonical `content` ends, its empty line included; None: more is needed.

    Without an empty line it ends at a line end below HEADER_MAX. Raises PermanentError for one that has no end.
    """
    end = content.find(b"\r\n\r\n", 0, HEADER_MAX)
    if end >= 0:
        return end + 4
    if not is_whole and len(content) <= HEADER_MAX + LINE_MAX:
        return None
    if len(content) > HEADER_MAX and _has_only_fields(content):
        raise PermanentError(HEADER_TOO_BIG)
    return content.rfind(b"\n", 0, HEADER_MAX) + 1


def _has_only_fields(content: bytes | bytearray) -> bool:
    # it may be a body only: then the header ends before the first line that is no field
    fields = _fields(content, 0, HEADER_MAX)
    assert fields is not None
    end = fields.end()
    return content.find(b"\n", end, HEADER_MAX) < 0 and _field_begins(content, end, HEADER_MAX + LINE_MAX) is not None


def _has_bare_line_end(raw: bytes) -> bool:
    lines = raw.count(b"\r\n")
    return raw.count(b"\n") != lines or raw.count(b"\r") != lines


def _unstuffed(raw: bytes, *, is_line_start: bool) -> bytes:
    if is_line_start and raw.startswith(b"."):
        raw = raw[1:]
    at = raw.find(b"\r\n.")
    if at < 0:
        return raw
    # A few dots are cut out one by one: replace() takes 9 us for 10 kB, as it counts before it copies
    pieces: list[bytes] = []
    start = 0
    while at >= 0 and len(pieces) < _FEW_DOTS:
        pieces.append(raw[start : at + 2])
        start = at + 3
        at = raw.find(b"\r\n.", start)
    rest = raw[start:]
    pieces.append(rest.replace(b"\r\n.", b"\r\n") if at >= 0 else rest)
    return b"".join(pieces)


def _normalised(raw: bytes) -> bytes:
    # After the unstuffing: a dot behind a bare LF was no stuffed one, and stays; on the way out it is stuffed anew.
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def _has_long_line(raw: bytes) -> bool:
    start, end = 0, len(raw)
    while end - start > LINE_MAX + 2:
        # the last line end within reach; everything before it is in short lines
        line_end = raw.rfind(b"\n", start, start + LINE_MAX + 2)
        if line_end < 0:
            return True
        start = line_end + 1
    return False


def _folded(lines: Iterable[bytes]) -> Iterable[bytes]:
    """Break long lines by CRLF and a space (in a header that is folding; no line of a lone dot can arise)."""
    for line in lines:
        yield line[:LINE_MAX]
        # by index: cutting the rest anew for every piece takes minutes for a line of 25 MB
        for at in range(LINE_MAX, len(line), LINE_MAX - 1):
            yield b" " + line[at : at + LINE_MAX - 1]


def _continued(line: bytes) -> Iterable[bytes]:
    """The same for what follows the first LINE_MAX bytes of a line."""
    return (b"\r\n " + line[at : at + LINE_MAX - 1] for at in range(0, len(line), LINE_MAX - 1))
