"""What the spool holds, as values."""

import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntFlag

from relay.spool.segments import Place

RECIPIENT_COLUMNS = 8  # of index.page, before those of the message

_CRC_PIECE = 5 * 1024
_MAX_BYTES = 1 << 31  # of one message; a row that says more is broken


class CorruptEntry(Exception):
    """The bytes of a message are gone or altered; its text says which. The mail cannot be delivered."""


class SpoolFull(Exception):
    """The disk refuses to take more; a retry may help (452 4.3.1)."""


class Flags(IntFlag):
    """What a next hop must be able to take."""

    NONE = 0
    EIGHT_BIT = 1
    SMTPUTF8 = 2


@dataclass(slots=True)
class SpooledMessage:
    """One accepted message. `prefix` are our header lines above its content; `id` is that of its first recipient.

    `dsn` is what its sender asked for with MAIL (dsn_options.py), `pool` the egress pool it leaves through,
    `return_domain` that of its return path (delivery/verp.py; "": bounces go to mail_from). `fingerprint` is written
    only; `released_at` is when it left its hold, if it was in one."""

    id: int
    message_id: str
    rcpts: int
    account: str
    reseller: str
    sender: str
    mail_from: str
    received_at: datetime
    flags: Flags
    prefix: bytes
    subject: str = ""
    score: float | None = None
    rule: str = ""
    dsn: str = ""
    pool: str = ""
    return_domain: str = ""
    fingerprint: str = ""
    released_at: datetime | None = None
    size_bytes: int = 0
    crc: int = 0
    place: Place = field(default=Place(0, 0, 0))
    record_length: int = 0

    @property
    def waits_since(self) -> datetime:
        """From when its lifetime in the queue counts."""
        return self.released_at or self.received_at

    @property
    def is_8bit(self) -> bool:
        return Flags.EIGHT_BIT in self.flags

    @property
    def is_smtputf8(self) -> bool:
        return Flags.SMTPUTF8 in self.flags


@dataclass(slots=True)
class SpooledRecipient:
    """One undelivered recipient. `destination` is its domain, lower-cased; due_unix None: fresh, never tried.

    `own_prefix` are header lines for it alone, instead of the message's."""

    id: int
    message: SpooledMessage
    address: str
    destination: str
    attempts: int = 0
    due_unix: float | None = None
    dsn: str = ""
    own_prefix: bytes | None = None

    @property
    def prefix(self) -> bytes:
        """The header lines above its content."""
        return self.message.prefix if self.own_prefix is None else self.own_prefix


@dataclass(frozen=True, slots=True)
class Lane:
    """All mail of one end sender to one destination, and when the earliest of it is due."""

    id: int
    sender: str
    destination: str
    due_unix: float


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A parked message as an abuse desk needs it, with its cluster (0: none), the key it is parked under (clusters.py)
    and its fingerprint ("": too short)."""

    message_id: str
    account: str
    reseller: str
    sender: str
    mail_from: str
    subject: str
    score: float | None
    rule: str
    received_at: datetime
    recipients: list[str]
    size_bytes: int
    held_at: datetime
    cluster: int
    under: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class SpoolCounts:
    """How full the spool is. `bytes`: what the messages take in segments; quarantined ones are damaged on disk."""

    messages: int
    recipients: int
    held: int
    oldest_received_at: datetime | None
    bytes: int
    quarantined: int = 0
    failed_at: float = 0.0  # monotonic seconds, when the last commit failed; 0: it worked


@dataclass(frozen=True, slots=True)
class CommitTimes:
    """What one commit took: all of it, the fdatasync of its contents, and how long its first store had waited."""

    seconds: float
    fsync_seconds: float
    waited_seconds: float
    stores: int


@dataclass(frozen=True, slots=True)
class DestinationCount:
    """What waits for one destination; `oldest_unix`: when the first of that was received."""

    destination: str
    waiting: int
    held: int
    oldest_due_unix: float | None
    oldest_unix: float | None = None


def message_row(message: SpooledMessage, state: int) -> tuple[object, ...]:
    """The message as a row of the index, with its state; message_of reads it back."""
    place = message.place
    return (
        message.id,
        message.rcpts,
        place.segment,
        place.offset,
        place.length,
        message.record_length,
        message.crc,
        message.account,
        message.reseller,
        message.sender,
        message.mail_from,
        message.received_at.timestamp(),
        int(message.flags),
        message.prefix,
        message.subject,
        message.score,
        message.rule,
        message.dsn,
        message.pool,
        message.return_domain,
        None if message.released_at is None else message.released_at.timestamp(),
        packed(message.fingerprint),
        state,
    )


def message_of(row: tuple[object, ...], node: str) -> SpooledMessage:
    """The message of an index row (column order of message_row). Raises CorruptEntry when the row makes no sense."""
    try:
        return _message_of(row, node)
    except (TypeError, ValueError, OverflowError, AssertionError) as error:
        raise CorruptEntry(f"message {node}.{row[0]}: its row in the index makes no sense") from error


def recipient_of(row: tuple[object, ...], message: SpooledMessage) -> SpooledRecipient:
    """The recipient of a row of index.page. Raises ValueError when it makes no sense."""
    number, _, address, due, attempts, destination, dsn, prefix = row[:RECIPIENT_COLUMNS]
    if not isinstance(prefix, bytes | None):
        raise ValueError(f"prefix of recipient {number}")
    return SpooledRecipient(
        int(str(number)), message, str(address), str(destination), int(str(attempts)), float(str(due)), str(dsn), prefix
    )


def crc_of(content: bytes) -> int:
    """Return the CRC-32 of a content in memory, for the event loop.

    zlib gives the interpreter's lock away for more than 5 KB, and waits for the commit thread to have it again: 57 us
    a message of 10 KB under load, where the sum itself takes 4.
    """
    view, crc = memoryview(content), 0
    for at in range(0, len(content), _CRC_PIECE):
        crc = zlib.crc32(view[at : at + _CRC_PIECE], crc)
    return crc


def packed(fingerprint: str) -> bytes | None:
    """A fingerprint as the index keeps it: 24 bytes; None for none.

    >>> packed("0011223344556677-00112233445566778899aabbccddeeff").hex()
    '001122334455667700112233445566778899aabbccddeeff'
    """
    return bytes.fromhex(fingerprint.replace("-", "")) if fingerprint else None


def unpacked(fingerprint: bytes | None) -> str:
    """The fingerprint again; "" for none."""
    return f"{fingerprint[:8].hex()}-{fingerprint[8:].hex()}" if fingerprint else ""


def domain_of(address: str) -> str:
    """The destination of an address."""
    return address.rpartition("@")[2].lower()


def _message_of(row: tuple[object, ...], node: str) -> SpooledMessage:
    number, rcpts, segment, offset, length, record_length, crc = (int(str(value)) for value in row[:7])
    assert min(segment, offset, length, record_length, crc) >= 0
    assert max(length, record_length) < _MAX_BYTES
    account, reseller, sender, mail_from = (str(value) for value in row[7:11])
    prefix, score = row[13], row[15]
    assert isinstance(prefix, bytes)
    return SpooledMessage(
        id=number,
        message_id=f"{node}.{number}",
        rcpts=rcpts,
        account=account,
        reseller=reseller,
        sender=sender,
        mail_from=mail_from,
        received_at=datetime.fromtimestamp(float(str(row[11])), UTC),
        flags=Flags(int(str(row[12]))),
        prefix=prefix,
        subject=str(row[14]),
        score=None if score is None else float(str(score)),
        rule=str(row[16]),
        dsn=str(row[17]),
        pool=str(row[18]),
        return_domain=str(row[19]),
        released_at=None if row[20] is None else datetime.fromtimestamp(float(str(row[20])), UTC),
        size_bytes=len(prefix) + length,
        crc=crc,
        place=Place(segment, offset, length),
        record_length=record_length,
    )
