"""What an attachment is: name, type, size, digest, and what an archive holds, read from its directory: never unpacked.

Bounded: of a file of any size the first and the last 128 KB are looked at. Never raises.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from relay.content.text import decode_base64
from relay.content.window import Content

_LOOKED_AT = 171_000  # encoded bytes at either end: 125 KB decoded; a directory of 1,000 files has 80 KB
_MAX_MEMBERS = 100
_MAX_NAME = 200
# APPNOTE.TXT of the ZIP format: 4.3.16 end of central directory, 4.3.12 its entries, 4.3.7 local headers
_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 1


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not shown as text; `size_bytes` decoded, estimated for base64.

    `digest` is of the first 125 KB and the size, "" without content. `members` are file names in an archive (ZIP and
    what builds on it, gzip), `is_locked` whether one of them needs a password.
    """

    name: str
    content_type: str
    size_bytes: int
    digest: str = ""
    members: tuple[str, ...] = ()
    is_locked: bool = False


def attachment(name: str, content_type: str, content: Content, start: int, end: int, *, is_base64: bool) -> Attachment:
    """Describe the part whose encoded body lies from `start` to `end`."""
    encoded = max(0, end - start)
    size_bytes = encoded * 57 // 78 if is_base64 else encoded  # 76 characters and CRLF carry 57 bytes
    first = content[start : min(end, start + _LOOKED_AT)]
    first = decode_base64(first) if is_base64 else first
    digest = hashlib.blake2b(first, digest_size=16, key=str(size_bytes).encode()).hexdigest() if first else ""
    members, is_locked = _listed(first, content, start, end, is_base64)
    return Attachment(name, content_type, size_bytes, digest, tuple(members), is_locked)


def _listed(first: bytes, content: Content, start: int, end: int, is_base64: bool) -> tuple[list[str], bool]:
    if first.startswith(b"\x1f\x8b\x08") and len(first) > 10 and first[3] & 8:  # RFC 1952 2.3.1: a name follows
        at = 10 if not first[3] & 4 else 12 + int.from_bytes(first[10:12], "little")
        return [_name(first[at : at + _MAX_NAME].partition(b"\0")[0])], False
    if not first.startswith(b"PK\x03\x04"):
        return [], False
    last = first
    if end - start > _LOOKED_AT:
        tail = content[max(start, end - _LOOKED_AT) : end]
        packed = tail.translate(None, b" \t\r\n-")  # groups of four count from the end
        last = decode_base64(packed[len(packed) % 4 :]) if is_base64 else tail
    found = list(_directory(last)) or list(_local_headers(first))
    return [name for name, _ in found], any(flags & _ENCRYPTED for _, flags in found)


def _directory(data: bytes) -> Iterator[tuple[str, int]]:
    """Names and flags of the central directory at the end of `data`."""
    end = data.rfind(b"PK\x05\x06", -66_000)
    if end < 0 or end + _END.size > len(data):
        return
    at = end - int(_END.unpack_from(data, end)[5])
    for _ in range(_MAX_MEMBERS):
        if at < 0 or at + _ENTRY.size > end or data[at : at + 4] != b"PK\x01\x02":
            return
        entry = _ENTRY.unpack_from(data, at)
        name_length, extra_length, comment_length = entry[10:13]
        yield _name(data[at + _ENTRY.size :][: min(name_length, _MAX_NAME)]), entry[3]
        at += _ENTRY.size + name_length + extra_length + comment_length


def _local_headers(data: bytes) -> Iterator[tuple[str, int]]:
    """The same from the headers before each file, where an archive was cut off or hides its directory."""
    at = 0
    for _ in range(_MAX_MEMBERS):
        if at < 0 or at + _LOCAL.size > len(data):
            return
        header = _LOCAL.unpack_from(data, at)
        yield _name(data[at + _LOCAL.size :][: min(header[9], _MAX_NAME)]), header[2]
        at = data.find(b"PK\x03\x04", at + _LOCAL.size + header[9])


def _name(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
