"""What lies packed in an attachment or a file: XML and JSON documents, in pieces, within limits that stop bombs early.

gzip and zip are told by their first bytes, whatever name or type they came under. Nothing is written to disk, nothing
is unpacked whole. Every refusal is an Unreadable whose text says why.
"""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

MAX_UNPACKED_BYTES = 100 * 1024 * 1024
_MAX_RATIO = 250  # real reports shrink to a fiftieth at most, zlib's own limit is 1,032
_RATIO_FREE_BYTES = 10 * 1024 * 1024  # so much may come from any size: it costs a tenth of a second
_MAX_MEMBERS = 10
_MAX_DIRECTORY_BYTES = 65_536  # zipfile makes an object of each entry before anybody can count them
_MAX_GZIP_LAYERS = 2  # the reporter's and the mail program's
_PIECE_BYTES = 65_536
_FEEDBACK = re.compile(rb"<(?:[A-Za-z_][\w.-]{0,63}:)?feedback[\s>]", re.IGNORECASE)

_GZIP, _ZIP, _ZIP_END, _ZIP64_END = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06"), b"PK\x05\x06", b"PK\x06\x07"
_STRANGE = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7-Zip", b"Rar!": "RAR", b"(\xb5/\xfd": "zstd"}
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # of UTF-8 and UTF-16
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, KeyError)


class Unreadable(Exception):
    """A report that is not read; the text says why."""


@dataclass(frozen=True)
class Document:
    """One file, unpacked anew each time it is read."""

    name: str
    _open: Callable[[], Iterator[bytes]]
    _packed_bytes: int

    def pieces(self) -> Iterator[bytes]:
        """Yield the content. Raises Unreadable where it is damaged, cut off, or larger than is read."""
        total = 0
        for piece in _unwrapped(self._open()):
            total += len(piece)
            if total > MAX_UNPACKED_BYTES:
                raise Unreadable(f"unpacked it is larger than {MAX_UNPACKED_BYTES >> 20} MiB")
            if total > _RATIO_FREE_BYTES and total > _MAX_RATIO * self._packed_bytes:
                raise Unreadable(f"unpacked it is more than {_MAX_RATIO} times as large: a bomb")
            yield piece

    @cached_property
    def head(self) -> bytes:
        """The first bytes, a piece at most. Raises Unreadable."""
        return next((piece for piece in self.pieces() if piece), b"")[:_PIECE_BYTES]

    @property
    def form(self) -> str:
        """`xml`, `json`, or "" for anything else. Raises Unreadable."""
        start = self.head[:4096]
        for mark in _MARKS:
            start = start.removeprefix(mark)
        start = start.replace(b"\0", b"").lstrip()
        return {b"<": "xml", b"{": "json"}.get(start[:1], "xml" if has_feedback(start) else "")


def documents(raw: bytes) -> list[Document]:
    """Find the documents in `raw`: those of a zip, else the one it is, packed by gzip or not. Raises Unreadable."""
    if not raw.strip():
        raise Unreadable("it is empty")
    for magic, name in _STRANGE.items():
        if raw.startswith(magic):
            raise Unreadable(f"it is packed by {name}; only gzip and zip are read")
    if not raw.startswith(_ZIP):
        return [Document("", lambda: _sliced(raw), len(raw))]
    archive, members = _opened(raw)
    return [
        Document(member.filename[:255], _reader(archive, member), max(member.compress_size, 1)) for member in members
    ]


def has_feedback(start: bytes) -> bool:
    """Tell whether a DMARC report begins in these bytes."""
    return _FEEDBACK.search(start.replace(b"\0", b"")) is not None


def is_packed(raw: bytes) -> bool:
    return raw.startswith((_GZIP, *_ZIP, *_STRANGE))


def _sliced(raw: bytes) -> Iterator[bytes]:
    # Small slices: zlib copies what it has not used yet of a slice each time its output is full.
    return (raw[at : at + _PIECE_BYTES] for at in range(0, len(raw), _PIECE_BYTES))


def _unwrapped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for layer in range(_MAX_GZIP_LAYERS + 1):
        first = next((piece for piece in pieces if piece), b"")
        pieces = chain((first,), pieces)
        if first.startswith(_ZIP):
            raise Unreadable("an archive within an archive")
        if not first.startswith(_GZIP):
            break
        if layer == _MAX_GZIP_LAYERS:
            raise Unreadable(f"packed by gzip more than {_MAX_GZIP_LAYERS} times")
        pieces = _gunzipped(pieces)
    return pieces


def _gunzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    engine, members = zlib.decompressobj(31), 1
    try:
        for piece in pieces:
            while piece:
                if engine.eof:
                    if not piece.startswith(_GZIP):
                        return  # line ends and padding that a mailer put behind the end
                    members += 1
                    if members > _MAX_MEMBERS:
                        raise Unreadable(f"more than {_MAX_MEMBERS} gzip members")
                    engine = zlib.decompressobj(31)
                yield engine.decompress(piece, 4 * _PIECE_BYTES)
                piece = engine.unused_data or engine.unconsumed_tail
        while rest := engine.decompress(b"", 4 * _PIECE_BYTES):
            yield rest
    except zlib.error as error:
        raise Unreadable(f"the gzip data is damaged ({error})") from None
    if not engine.eof:
        raise Unreadable("the gzip data is cut off")


def _opened(raw: bytes) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    end = raw.rfind(_ZIP_END)
    if end < 0 or len(raw) - end < 22:
        raise Unreadable("the zip archive is cut off")
    if raw[max(0, end - 20) : end].startswith(_ZIP64_END) or _directory_bytes(raw, end) > _MAX_DIRECTORY_BYTES:
        raise Unreadable(f"more than {_MAX_MEMBERS} files in the zip archive")
    try:
        archive = zipfile.ZipFile(io.BytesIO(raw))
    except _ZIP_FAULTS as error:
        raise Unreadable(f"the zip archive is damaged ({error})") from None
    members = [member for member in archive.infolist() if not _is_litter(member)]
    if not members:
        raise Unreadable("the zip archive is empty")
    if len(members) > _MAX_MEMBERS:
        raise Unreadable(f"more than {_MAX_MEMBERS} files in the zip archive")
    return archive, members


def _directory_bytes(raw: bytes, end: int) -> int:
    return int.from_bytes(raw[end + 12 : end + 16], "little")


def _is_litter(member: zipfile.ZipInfo) -> bool:
    return member.is_dir() or member.filename.startswith("__MACOSX/") or member.filename.endswith(".DS_Store")


def _reader(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], Iterator[bytes]]:
    def read() -> Iterator[bytes]:
        if member.flag_bits & 1:
            raise Unreadable("the zip archive is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Unreadable(f"zip method {member.compress_type} is not read, only stored and deflated")
        try:
            with archive.open(member) as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece
        except _ZIP_FAULTS as error:
            raise Unreadable(f"the zip archive is damaged ({error or type(error).__name__})") from None

    return read
