"""What the relay's main process and its content processes say to each other.

Frames are a four-byte length and a msgpack array, over a socketpair. Nothing here may import numpy: main reads it.
"""

import socket
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from relay.events import Features, Hit

_LARGE_BYTES_PER_SECOND = 20_000_000  # read and hashed, on a busy machine; a quiet one does ten times as much
_SIGNED_PER_SECOND = 200  # RSA-2048 takes 0.9 ms on a quiet machine


class ModelError(Exception):
    """A model is missing, incomplete or altered; the text says which file and what to do."""


class Signer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Sign as `domain` with the key the pool knows by `key_id`."""

    domain: str
    selector: str
    key_id: str


class CustomerKey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The private key with which mail of `account` is signed whose author is of `domain`, or of a name below it."""

    account: str
    domain: str
    selector: str
    pem: bytes

    @property
    def id(self) -> tuple[str, str, str]:
        return self.account, self.domain, self.selector

    def __repr__(self) -> str:  # never the key: this may reach a log
        return f"CustomerKey{self.id}"


class KeyChange(msgspec.Struct, frozen=True):
    """To a worker, in place of a batch: from the next message on sign with these keys too, and not with those.

    No answer comes back. Not array_like: a map is told from a list of requests without a tag.
    """

    put: list[CustomerKey] = []
    drop: list[tuple[str, str, str]] = []


class ArcOrder(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Seal forwarded mail with the relay's key, and check the chain it has by these key records, which DNS gave.

    "": there is no such record; absent: nobody knows.
    """

    signer: Signer
    keys: dict[str, str] = {}


class ContentRequest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message to read, score and sign.

    `sign` are the relay's own signatures; the customer's depend on the author, of the keys of `account`.
    `content` is what will be delivered, without dot-stuffing, lines ended by CRLF; `extra` are header lines
    (`Name: value\\r\\n`) to add on top and to cover by the signatures. Of a large message `content` is the header block
    only, and the whole lies in `path`: `length` bytes from `offset` on. `offered` are lines that are added only where
    the message has no field of that name; `own` are header lines for each recipient alone, left out for all where it
    has one of theirs.
    """

    content: bytes
    mail_from: str
    hostname: str
    received_unix: float
    extra: bytes = b""
    sign: list[Signer] = []
    path: str = ""
    offset: int = 0
    length: int = 0
    offered: list[bytes] = []
    own: list[bytes] = []
    account: str = ""
    arc: ArcOrder | None = None

    @property
    def size_bytes(self) -> int:
        return self.length or len(self.content)

    @property
    def signatures(self) -> int:
        """How many at most, but for a second key of the author's domain."""
        return (len(self.sign) + bool(self.account)) * max(len(self.own), 1)


class ContentResult(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a worker found. score None: not scored; then `error` says why, or is empty where the relay has no model.

    `prefix` are the header lines to put before the content: signatures, repaired headers, extra. Where recipients have
    lines of their own it is unsigned, and `prefixes` has a whole prefix for each of them. `hits` are the certain rules
    met by this message alone, `fingerprint` is of its text, `learned` what a model could learn from (learned.py).
    """

    score: float | None
    model: str
    reasons: list[str]
    features: Features
    prefix: bytes
    subject: str
    header_from: str
    header_message_id: str
    error: str = ""
    prefixes: list[bytes] = []
    hits: list[Hit] = []
    fingerprint: str = ""
    learned: bytes = b""


def extra_seconds(requests: Sequence[ContentRequest]) -> float:
    """Return what large messages and many signatures may take beyond the time that every batch has."""
    read_seconds = sum(request.length for request in requests) / _LARGE_BYTES_PER_SECOND
    return read_seconds + sum(len(request.own) and request.signatures for request in requests) / _SIGNED_PER_SECOND


def unscored(request: ContentRequest, error: str) -> ContentResult:
    """The answer for a message no worker could read: unsigned, with the extra headers only."""
    return ContentResult(
        score=None,
        model="none",
        reasons=[],
        features=Features(),
        prefix=request.extra,
        subject="",
        header_from="",
        header_message_id="",
        error=error,
    )


class Setup(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """First frame to the template: the model's folder ("" scores nothing), the relay's own signing keys (PEM by key id)
    and those of customers; the file of the operator's rules ("": the packaged ones, "none": none)."""

    model: str
    keys: dict[str, bytes]
    timeout_seconds: float
    customers: list[CustomerKey] = []
    rules: str = "none"

    def __repr__(self) -> str:  # never the keys
        return f"Setup(model={self.model!r}, keys={[*self.keys]})"


class Fork(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """To the template, with one socket in its ancillary data: fork a worker that serves it."""


class Warm(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """From the template: ready to fork."""

    model: str


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """From the template: the model cannot be used. Main raises ModelError with this text."""

    text: str


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """First frame of a worker."""

    pid: int


Frame = Setup | Fork | Warm | Refused | Ready

encode = msgspec.msgpack.Encoder().encode
decode_frame = msgspec.msgpack.Decoder(Frame).decode
decode_order = msgspec.msgpack.Decoder(list[ContentRequest] | KeyChange).decode
decode_results = msgspec.msgpack.Decoder(list[ContentResult]).decode


def framed(message: Any) -> bytes:
    """Encode one frame."""
    body = encode(message)
    return struct.pack("<I", len(body)) + body


class Frames:
    """Cuts a stream of bytes into frame bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies completed by `data`."""
        self._buffer += data
        bodies: list[bytes] = []
        while len(self._buffer) >= 4:
            length = 4 + int.from_bytes(self._buffer[:4], "little")
            if len(self._buffer) < length:
                break
            bodies.append(bytes(self._buffer[4:length]))
            del self._buffer[:length]
        return bodies


def receive(sock: socket.socket) -> bytes | None:
    """Read one frame body from a blocking socket; None at its end."""
    header = _read(sock, 4)
    return None if header is None else _read(sock, int.from_bytes(header, "little"))


def _read(sock: socket.socket, length: int) -> bytes | None:
    buffer = bytearray(length)
    view, filled = memoryview(buffer), 0
    while filled < length:
        count = sock.recv_into(view[filled:], length - filled)
        if not count:
            return None
        filled += count
    return bytes(buffer)
