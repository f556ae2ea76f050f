"""DATA: read blocks up to CRLF.CRLF, and nothing else ends it; then bring the message into canonical form.

Read in blocks because aiosmtpd's own line-by-line reader costs more than all the rest of the session.
"""

import asyncio

from relay.reply import PermanentError, Reply

_BLOCK = 65_536
_END = b"\r\n.\r\n"
_LINE_MAX = 998  # octets without CRLF, RFC 5322 section 2.1.1

BARE_LINE_END = Reply(550, "5.6.11", "bare CR or LF in the message (RFC 5321 2.3.8)")
NUL_BYTE = Reply(550, "5.6.0", "NUL in the message")


async def read_data(reader: asyncio.StreamReader, limit: int) -> bytes | None:
    """Return the raw message, ended by CRLF, without the final dot; None when it was larger than `limit` bytes.

    Bytes behind the final dot (a pipelined command) go back to the reader. Raises ConnectionResetError when the
    client leaves before the end: an unfinished message is never accepted.
    """
    # A message may begin with the final dot, so that its CRLF is that of the DATA command.
    buffer = bytearray(b"\r\n")
    searched, is_too_big = 0, False
    while True:
        block = await reader.read(_BLOCK)
        if not block:
            raise ConnectionResetError("the client left during DATA")
        buffer += block
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
    if raw.startswith(b"."):
        raw = raw[1:]
    if b"\r\n." in raw:
        raw = raw.replace(b"\r\n.", b"\r\n")
    return _fold(raw) if _has_long_line(raw) else raw


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
        while len(line) > _LINE_MAX:
            folded.append(line[:_LINE_MAX])
            line = b" " + line[_LINE_MAX:]
        folded.append(line)
    return b"\r\n".join(folded)


def _give_back(reader: asyncio.StreamReader, rest: bytes) -> None:
    if rest:
        # StreamReader has no unread; its buffer is a bytearray in every supported Python
        reader._buffer[:0] = rest  # type: ignore[attr-defined]
