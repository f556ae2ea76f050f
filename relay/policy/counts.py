"""What is counted of one sender: flat windows, bounded, and the same as bytes.

Must never decide anything, nor know other senders.
"""

from array import array

import msgspec

from relay.policy.triggers import SignalState, spam_certainty
from relay.settings import Policy

# Windows are flat arrays of doubles, a few numbers a slot: a quarter of the memory of lists of objects
MINUTE_SECONDS, MINUTE_SLOTS, MINUTE_WIDTH = 60, 60, 3  # slot, bad, seen
DAY_SECONDS, DAY_SLOTS, DAY_WIDTH = 10_800, 56, 4  # slot of 3 h, seen, hard bounces, complaints: 7 days
HARD_BOUNCE_SLOTS = 8  # 24 h
BAD_MESSAGES = 10  # ids kept as evidence


class _Row(msgspec.Struct, array_like=True):
    history: int
    first_seen_unix: float
    counted_from_unix: float
    minutes: list[float]
    days: list[float]
    bad_messages: list[str]
    bad_senders: dict[str, int] = {}
    is_member: bool = False
    is_apart: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode


class Counts:
    """One sender, or the newcomers of an account: then `bad_senders` is name -> minute of the last bad message.

    `is_member`: its messages count for the newcomers. `is_apart`: not any more, it answers for itself.
    """

    __slots__ = (
        "bad_messages",
        "bad_senders",
        "counted_from_unix",
        "days",
        "first_seen_unix",
        "history",
        "is_apart",
        "is_member",
        "minutes",
    )

    def __init__(self, now_unix: float) -> None:
        self.history = 0
        self.first_seen_unix = now_unix
        self.counted_from_unix = now_unix
        self.minutes = array("d")
        self.days = array("d")
        self.bad_messages: tuple[str, ...] = ()
        self.bad_senders: dict[str, int] = {}
        self.is_member = self.is_apart = False

    def encoded(self) -> bytes:
        return _encode(
            _Row(
                self.history,
                self.first_seen_unix,
                self.counted_from_unix,
                self.minutes.tolist(),
                self.days.tolist(),
                list(self.bad_messages),
                self.bad_senders,
                self.is_member,
                self.is_apart,
            )
        )

    @classmethod
    def decoded(cls, row: bytes) -> "Counts":
        known = _decode(row)
        sender = cls(known.first_seen_unix)
        sender.history, sender.counted_from_unix = known.history, known.counted_from_unix
        sender.minutes, sender.days = array("d", known.minutes), array("d", known.days)
        if len(sender.minutes) % MINUTE_WIDTH or len(sender.days) % DAY_WIDTH:
            raise msgspec.ValidationError("windows of another shape")
        sender.bad_messages, sender.bad_senders = tuple(known.bad_messages), known.bad_senders
        sender.is_member, sender.is_apart = known.is_member, known.is_apart
        return sender


def state_of(known: Counts, now_unix: float, policy: Policy) -> SignalState:
    """Sum up what lies in the windows; drops what has left them."""
    minutes, days = known.minutes, known.days
    forget(minutes, MINUTE_WIDTH, int(now_unix // MINUTE_SECONDS) - MINUTE_SLOTS)
    day = int(now_unix // DAY_SECONDS)
    forget(days, DAY_WIDTH, day - DAY_SLOTS)
    spam_count, seen = sum(minutes[1::MINUTE_WIDTH]), sum(minutes[2::MINUTE_WIDTH])
    day_seen = hard_bounces = 0
    if sum(days[2::DAY_WIDTH]):
        rows = range(0, len(days), DAY_WIDTH)
        recent = next((row for row in rows if days[row] > day - HARD_BOUNCE_SLOTS), len(days))
        day_seen, hard_bounces = (int(sum(days[recent + column :: DAY_WIDTH])) for column in (1, 2))
    return SignalState(
        spam_count=spam_count,
        seen=seen,
        certainty=spam_certainty(spam_count, seen, policy.spam_line),
        history=known.history,
        first_seen_unix=known.first_seen_unix,
        hard_bounces=hard_bounces,
        day_seen=day_seen,
        complaints=int(sum(days[3::DAY_WIDTH])),
        week_seen=int(sum(days[1::DAY_WIDTH])),
        bad_messages=known.bad_messages if spam_count else (),
        counted_from_unix=known.counted_from_unix,
    )


def count(known: Counts, now_unix: float, bad: float, message_id: str) -> None:
    """Count one scored message: `bad` is 1 for a spam, 0.5 for a suspect, else 0."""
    slot_of(known.minutes, MINUTE_WIDTH, int(now_unix // MINUTE_SECONDS), MINUTE_SLOTS)
    known.minutes[-1] += 1.0
    if bad:
        known.minutes[-2] += bad
        known.bad_messages = (*known.bad_messages, message_id)[-BAD_MESSAGES:]


def slot_of(window: "array[float]", width: int, slot: int, slots: int) -> None:
    """Make the last row of the window that of `slot`; where the clock went back, count what lies ahead as of now."""
    if window and window[-width] > slot:
        for row in range(0, len(window), width):
            window[row] = min(window[row], float(slot))
    if not window or window[-width] < slot:
        forget(window, width, slot - slots)
        window.extend((float(slot), *(0.0 for _ in range(width - 1))))


def forget(window: "array[float]", width: int, last: int) -> None:
    """Drop the rows up to and with slot `last`."""
    while window and window[0] <= last:
        del window[:width]
