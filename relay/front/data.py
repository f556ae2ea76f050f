"""DATA: read blocks up to CRLF.CRLF, and nothing else ends it; then bring the message into canonical form.

Read in blocks because aiosmtpd's own line-by-line reader costs more than all the rest of the session.
"""

import asyncio
import re
from collections.abc import Callable

from relay.reply import PermanentError, Reply

_BLOCK = 65_536
_END = b"\r\n.\r\n"
_LINE_MAX = 998  # octets without CRLF, RFC 5322 section 2.1.1

BARE_LINE_END = Reply(550, "5.6.11", "bare CR or LF in the message (RFC 5321 2.3.8)")
NUL_BYTE = Reply(550, "5.6.0", "NUL in the message")
HEADER_TOO_BIG = Reply(552, "5.3.4", "message header too big")

# Every later look at the header costs up to 1 us a byte: 25 MB of fields would stop the relay for 15 s (measured).
# Real headers have some 10 kB; Exim draws its line at 1 MB (header_maxsize).
_HEADER_MAX = 512 * 1024
_fields = re.compile(rb"(?:[!-9;-~]+[ \t]*:[^\n]*+\n(?:[ \t][^\n]*+\n)*+)*+").match
_field_begins = re.compile(rb"[!-9;-~]+[ \t]*:|[ \t]|\Z").match


async def read_data(
    reader: asyncio.StreamReader, limit: int, on_progress: Callable[[], None] = lambda: None
) -> bytes | None:
    """Return the raw message, ended by CRLF, without the final dot; None when it was larger than `limit` bytes.

    on_progress is called for each 64 KiB: a slow line is no timeout (RFC 5321 4.5.3.2.5), a byte a minute is. Bytes
    behind the final dot (a pipelined command) go back to the reader. Raises ConnectionResetError when the client leaves
    before the end: an unfinished message is never accepted.
    """
    # A message may begin with the final dot, so that its CRLF is that of the DATA command.
    buffer = bytearray(b"\r\n")
    searched, is_too_big, since_progress = 0, False, 0
    while True:
        block = await reader.read(_BLOCK)
        if not block:
            raise ConnectionResetError("the client left during DATA")
        buffer += block
        since_progress += len(block)
        if since_progress >= _BLOCK:
            since_progress = 0
            on_progress()
        end = buffer.find(_END, max(searched - len(_END) + 1, 0))
        if end >= 0:
            _give_back(reader, bytes(buffer[end + len(_END) :]))
            return None if is_too_big or end > limit else bytes(memoryview(buffer)[2 : end + 2])
        searched = len(buffer)
        if searched > limit + len(_END):
            is_too_big = True
            del buffer[: -len(_END)]
            searched = len(buffer)


def canonical(raw: bytes) -> bytes:
    """Undo dot-stuffing and fold lines over 998 bytes, as the field does. Raises PermanentError for what no next hop
    should see: bare CR or LF, NUL."""
    lines = raw.count(b"\r\n")
    if raw.count(b"\n") != lines or raw.count(b"\r") != lines:
        raise PermanentError(BARE_LINE_END)
    if b"\0" in raw:
        raise PermanentError(NUL_BYTE)
    if len(raw) > _HEADER_MAX and _has_endless_header(raw):
        raise PermanentError(HEADER_TOO_BIG)
    if raw.startswith(b"."):
        raw = raw[1:]
    if b"\r\n." in raw:
        raw = raw.replace(b"\r\n.", b"\r\n")
    return _fold(raw) if _has_long_line(raw) else raw


def _has_endless_header(raw: bytes) -> bool:
    if raw.find(b"\r\n\r\n", 0, _HEADER_MAX) >= 0:
        return False
    # without an empty line it may be a body only: the header ends before the first line that is no field
    fields = _fields(raw, 0, _HEADER_MAX)
    assert fields is not None
    end = fields.end()
    return raw.find(b"\n", end, _HEADER_MAX) < 0 and _field_begins(raw, end, _HEADER_MAX + _LINE_MAX) is not None


def _has_long_line(raw: bytes) -> bool:
    start, end = 0, len(raw)
    while end - start > _LINE_MAX + 2:
        # the last line end within reach; everything before it is in short lines
        line_end = raw.rfind(b"\n", start, start + _LINE_MAX + 2)
        if line_end < 0:
            return True
        start = line_end + 1
    return False


def _fold(raw: bytes) -> bytes:
    """Break long lines by CRLF and a space (in a header that is folding; no line of a lone dot can arise)."""
    folded = []
    for line in raw.split(b"\r\n"):
        folded.append(line[:_LINE_MAX])
        # by index: cutting the rest anew for every piece takes minutes for a line of 25 MB
        folded += [b" " + line[at : at + _LINE_MAX - 1] for at in range(_LINE_MAX, len(line), _LINE_MAX - 1)]
    return b"\r\n".join(folded)


def _give_back(reader: asyncio.StreamReader, rest: bytes) -> None:
    if rest:
        # StreamReader has no unread; its buffer is a bytearray in every supported Python
        reader._buffer[:0] = rest  # type: ignore[attr-defined]
