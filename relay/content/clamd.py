"""Asks a clamd about one message (INSTREAM, clamd(8)). Any doubt is CheckFailed: "not checked", never "clean"."""

import asyncio
import struct
from collections.abc import Iterable

from relay.settings import SettingsError

_PIECE = 64 * 1024
_MOST_ANSWER = 4096


class CheckFailed(Exception):
    """Nobody knows; the text says why."""


async def virus_in(address: str, pieces: Iterable[bytes]) -> str:
    """Return the name of what clamd found in a message, "" for nothing. `address`: a socket's path, or host:port.

    Raises CheckFailed, OSError. Has no deadline of its own.
    """
    if "/" in address:
        reader, writer = await asyncio.open_unix_connection(address)
    else:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        writer.write(b"zINSTREAM\0")
        for piece in pieces:
            for start in range(0, len(piece), _PIECE):
                part = piece[start : start + _PIECE]
                writer.write(struct.pack(">I", len(part)) + part)
                await writer.drain()
        writer.write(struct.pack(">I", 0))
        await writer.drain()
        answer = (await reader.read(_MOST_ANSWER)).rstrip(b"\0\n").decode("utf-8", "replace")
    finally:
        writer.close()
    return _found(answer)


def check_address(address: str) -> None:
    """Raises SettingsError for what is neither a path nor host:port."""
    if address and "/" not in address and not address.rpartition(":")[2].isdigit():
        raise SettingsError(f"checkers.clamd = {address!r}: give the path of its socket, or host:port")


def _found(answer: str) -> str:
    verdict = answer.removeprefix("stream: ")
    if verdict == "OK":
        return ""
    if verdict.endswith(" FOUND"):
        return verdict.removesuffix(" FOUND")
    raise CheckFailed(f"answered {answer[:100]!r}")
