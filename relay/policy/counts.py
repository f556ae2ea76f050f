"""What is counted of one sender: flat windows, bounded, and the same as bytes.

Must never decide anything, nor know other senders.
"""

from array import array

import msgspec

from relay.policy.burst import gain
from relay.policy.signal import SignalState
from relay.policy.triggers import spam_certainty
from relay.policy.trouble import LATEST, Bad, Trouble
from relay.settings import Policy

# Windows are flat arrays of doubles, a few numbers a slot: a quarter of the memory of lists of objects
MINUTE_SECONDS, MINUTE_SLOTS, MINUTE_WIDTH = 60, 60, 3  # slot, bad, seen
DAY_SECONDS, DAY_SLOTS, DAY_WIDTH = 10_800, 56, 4  # slot of 3 h, seen, hard bounces, complaints: 7 days
HARD_BOUNCE_SLOTS = 8  # 24 h
BAD_MESSAGES = 10  # ids shown as evidence


class _Row(msgspec.Struct, array_like=True):
    history: int
    first_seen_unix: float
    counted_from_unix: float
    minutes: bytes | list[float]  # a list until November 2026
    days: bytes | list[float]
    bad_messages: list[str]  # read, not written: now in `trouble`
    bad_senders: dict[str, int] = {}
    is_member: bool = False
    is_apart: bool = False
    trouble: Trouble | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode


class Counts:
    """One sender, or the newcomers of an account: then `bad_senders` is name -> minute of the last bad message.

    `is_member`: its messages count for the newcomers. `is_apart`: not any more, it answers for itself.
    `trouble`: None while nothing speaks against it.
    """

    __slots__ = (
        "bad_senders",
        "counted_from_unix",
        "days",
        "first_seen_unix",
        "history",
        "is_apart",
        "is_member",
        "minutes",
        "trouble",
    )

    def __init__(self, now_unix: float) -> None:
        self.history = 0
        self.first_seen_unix = now_unix
        self.counted_from_unix = now_unix
        self.minutes = array("d")
        self.days = array("d")
        self.bad_senders: dict[str, int] = {}
        self.is_member = self.is_apart = False
        self.trouble: Trouble | None = None

    def encoded(self) -> bytes:
        return _encode(
            _Row(
                self.history,
                self.first_seen_unix,
                self.counted_from_unix,
                self.minutes.tobytes(),
                self.days.tobytes(),
                [],
                self.bad_senders,
                self.is_member,
                self.is_apart,
                self.trouble,
            )
        )

    @classmethod
    def decoded(cls, row: bytes) -> "Counts":
        known = _decode(row)
        sender = cls(known.first_seen_unix)
        sender.history, sender.counted_from_unix = known.history, known.counted_from_unix
        try:
            sender.minutes, sender.days = array("d", known.minutes), array("d", known.days)
        except ValueError as error:
            raise msgspec.ValidationError(f"windows: {error}") from None
        if len(sender.minutes) % MINUTE_WIDTH or len(sender.days) % DAY_WIDTH:
            raise msgspec.ValidationError("windows of another shape")
        sender.bad_senders, sender.is_member, sender.is_apart = known.bad_senders, known.is_member, known.is_apart
        sender.trouble = known.trouble
        return sender

    @property
    def bad_messages(self) -> tuple[str, ...]:
        """The ids of the latest bad messages."""
        return tuple([bad.message_id for bad in self.trouble.latest[-BAD_MESSAGES:]]) if self.trouble else ()


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One scored message. `fingerprint`: of its text (content/fingerprint.py), "" for one too short, None: unknown."""

    score: float
    message_id: str = ""
    fingerprint: str | None = None
    is_to_strangers: bool = False


def state_of(known: Counts, now_unix: float, policy: Policy) -> SignalState:
    """Sum up what lies in the windows; drops what has left them."""
    minutes, days, trouble = known.minutes, known.days, known.trouble
    forget(minutes, MINUTE_WIDTH, int(now_unix // MINUTE_SECONDS) - MINUTE_SLOTS)
    day = int(now_unix // DAY_SECONDS)
    forget(days, DAY_WIDTH, day - DAY_SLOTS)
    spam_count, seen = sum(minutes[1::MINUTE_WIDTH]), sum(minutes[2::MINUTE_WIDTH])
    day_seen = hard_bounces = 0
    if sum(days[2::DAY_WIDTH]):
        rows = range(0, len(days), DAY_WIDTH)
        recent = next((row for row in rows if days[row] > day - HARD_BOUNCE_SLOTS), len(days))
        day_seen, hard_bounces = (int(sum(days[recent + column :: DAY_WIDTH])) for column in (1, 2))
    burst = trouble.decay(now_unix) if trouble else 0.0
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
        bad_messages=known.bad_messages if spam_count or burst >= policy.burst_line else (),
        counted_from_unix=known.counted_from_unix,
        burst=burst,
        burst_bad=trouble.run_bad if trouble and burst else 0,
        burst_seen=trouble.run_seen if trouble and burst else 0,
    )


def count(known: Counts, now_unix: float, seen: Seen, policy: Policy) -> float:
    """Count one scored message; return what it counts as: 1 for a spam, 0.5 for a suspect, less for a copy, else 0."""
    minute = int(now_unix // MINUTE_SECONDS)
    slot_of(known.minutes, MINUTE_WIDTH, minute, MINUTE_SLOTS)
    added = gain(seen.score)
    if added <= 0:
        known.minutes[-1] += 1.0
        if known.trouble is not None:
            known.trouble.calm(now_unix)
        return 0.0
    trouble = known.trouble
    if trouble is None:
        trouble = known.trouble = Trouble()
    weight = trouble.weigh(seen.fingerprint, seen.score, minute, policy, is_to_strangers=seen.is_to_strangers)
    if seen.score < policy.suspect_score:
        bad = 0.0
        known.minutes[-1] += 1.0
    else:
        bad = weight if seen.score >= policy.hold_score else 0.5 * weight
        known.minutes[-1] += weight
        known.minutes[-2] += bad
    if weight:
        trouble.raise_burst(added * weight, now_unix, policy.burst_line)
    if bad:
        bands = None if seen.fingerprint is None else seen.fingerprint[17:]
        trouble.latest.append(Bad(seen.message_id, minute, bad, added * weight, bands))
        del trouble.latest[:-LATEST]
    return bad


def count_as(known: Counts, now_unix: float, seen: Seen, bad: float, policy: Policy) -> None:
    """Count a message for the newcomers too, as what it counted for its sender."""
    minute = int(now_unix // MINUTE_SECONDS)
    slot_of(known.minutes, MINUTE_WIDTH, minute, MINUTE_SLOTS)
    if seen.score < policy.suspect_score:
        known.minutes[-1] += 1.0
        return
    known.minutes[-1] += bad if seen.score >= policy.hold_score else 2 * bad
    known.minutes[-2] += bad
    if bad:
        known.trouble = known.trouble or Trouble()
        known.trouble.latest.append(Bad(seen.message_id, minute, bad, 0.0, None))
        del known.trouble.latest[:-LATEST]


def absolve(known: Counts, message_ids: frozenset[str]) -> None:
    """Take single messages out of the bad counts; they stay seen."""
    for bad in known.trouble.absolve(message_ids) if known.trouble else ():
        for row in range(0, len(known.minutes), MINUTE_WIDTH):
            if known.minutes[row] == bad.minute:
                known.minutes[row + 1] = max(known.minutes[row + 1] - bad.bad, 0.0)


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
