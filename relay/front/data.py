"""DATA and BDAT as they lie on the wire: blocks up to CRLF.CRLF, and nothing else ends DATA; a counted chunk for BDAT.

Read in blocks because aiosmtpd's own line-by-line reader costs more than all the rest of the session. What the bytes
say is the business of incoming.py.
"""

import asyncio
from collections.abc import Callable

from relay.front.canonical import BARE_LINE_END, NUL_BYTE, canonical
from relay.front.incoming import Incoming

__all__ = ["BARE_LINE_END", "NUL_BYTE", "canonical", "read_chunk", "read_data"]

_BLOCK = 65_536
_END = b"\r\n.\r\n"


async def read_data(
    reader: asyncio.StreamReader, incoming: Incoming, on_bytes: Callable[[int], None] = lambda count: None
) -> None:
    """Hand the raw message, without its final dot, to `incoming`; return behind the dot.

    on_bytes hears how much each block had: the session's patience counts on it. Bytes behind the final dot (a pipelined
    command) go back to the reader. Raises ConnectionResetError when the client leaves before the end: an unfinished
    message is never accepted.
    """
    # A message may begin with the final dot, so that its CRLF is that of the DATA command.
    buffer, begin, searched = bytearray(b"\r\n"), 2, 0
    while True:
        block = await reader.read(_BLOCK)
        if not block:
            raise ConnectionResetError("the client left during DATA")
        on_bytes(len(block))
        buffer += block
        end = buffer.find(_END, max(searched - len(_END) + 1, 0))
        if end >= 0:
            _give_back(reader, bytes(buffer[end + len(_END) :]))
            await incoming.take(bytes(memoryview(buffer)[begin : end + 2]))
            return
        searched = len(buffer)
        if searched > incoming.memory_bytes:
            # what may be the beginning of the end stays
            keep = searched - len(_END) + 1
            await incoming.take(bytes(memoryview(buffer)[begin:keep]))
            del buffer[:keep]
            begin, searched = 0, len(buffer)


async def read_chunk(
    reader: asyncio.StreamReader, count: int, incoming: Incoming | None, on_bytes: Callable[[int], None]
) -> None:
    """Hand the `count` bytes of a chunk (RFC 3030) to `incoming`; None: throw them away.

    Raises ConnectionResetError when the client leaves before the end.
    """
    while count:
        block = await reader.read(min(_BLOCK, count))
        if not block:
            raise ConnectionResetError("the client left during BDAT")
        on_bytes(len(block))
        count -= len(block)
        if incoming is not None:
            await incoming.take(block)


def _give_back(reader: asyncio.StreamReader, rest: bytes) -> None:
    if rest:
        # StreamReader has no unread; its buffer is a bytearray in every supported Python
        reader._buffer[:0] = rest  # type: ignore[attr-defined]
