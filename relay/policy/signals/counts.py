"""What is counted of one sender: flat windows, bounded, and the same as bytes.

Must never decide anything, nor know other senders.
"""

from array import array

import msgspec

from relay.policy.signals.acquaintances import Acquaintances
from relay.policy.signals.burst import gain
from relay.policy.signals.habits import Habits
from relay.policy.signals.outages import OUTAGE_SECONDS
from relay.policy.signals.signal import Traits
from relay.policy.signals.trouble import LATEST, Bad, Trouble
from relay.settings import Policy

# Windows are flat arrays of doubles, a few numbers a slot: a quarter of the memory of lists of objects
MINUTE_SECONDS, MINUTE_SLOTS, MINUTE_WIDTH = 60, 60, 3  # slot, bad, seen
DAY_SECONDS, DAY_SLOTS, DAY_WIDTH = 10_800, 56, 8  # slots of 3 h: 7 days
RECIPIENTS, HARD_BOUNCES, COMPLAINTS, FAILED, DEFERRED, NULLS, STRANGERS = range(1, 8)  # columns beside the slot
ONE_DAY_SLOTS = 8
KEPT_SLOTS = DAY_SLOTS + ONE_DAY_SLOTS  # mail is known a day longer than complaints, which come hours after it
LOST = 64  # entries: a slot and destination each
BAD_MESSAGES = 10  # ids shown as evidence


class Lost(msgspec.Struct, array_like=True, gc=False):
    """Recipients that one destination failed in a quarter of an hour: an outage takes them out again (outages.py)."""

    slot: int
    destination: str
    hard: int = 0
    soft: int = 0


class _Row(msgspec.Struct, array_like=True):
    history: int
    first_seen_unix: float
    counted_from_unix: float
    minutes: bytes | list[float]  # a list until November 2026
    days: list[float] | bytes  # until November 2026: 4 columns; now in `week`
    bad_messages: list[str]  # until November 2026: now in `trouble`
    bad_senders: dict[str, int] = {}
    is_member: bool = False
    is_apart: bool = False
    trouble: Trouble | None = None
    week: bytes = b""
    lost: list[Lost] = []
    habits: Habits | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode


class Counts:
    """One sender, or the newcomers of an account: then `bad_senders` is name -> minute of the last bad message.

    `is_member`: its messages count for the newcomers. `is_apart`: not any more, it answers for itself.
    `trouble`: None while nothing speaks against it. `habits`: None for newcomers together.
    `has_outcomes` False: its days hold no bounce, deferral or complaint, so nobody need sum them up.
    """

    __slots__ = (
        "bad_senders",
        "counted_from_unix",
        "days",
        "first_seen_unix",
        "habits",
        "has_outcomes",
        "history",
        "is_apart",
        "is_member",
        "lost",
        "minutes",
        "trouble",
    )

    def __init__(self, now_unix: float) -> None:
        self.history = 0
        self.first_seen_unix = now_unix
        self.counted_from_unix = now_unix
        self.minutes = array("d")
        self.days = array("I")
        self.bad_senders: dict[str, int] = {}
        self.is_member = self.is_apart = False
        self.trouble: Trouble | None = None
        self.habits: Habits | None = None
        self.lost: list[Lost] | None = None
        self.has_outcomes = True  # until somebody has looked

    def encoded(self) -> bytes:
        return _encode(
            _Row(
                self.history,
                self.first_seen_unix,
                self.counted_from_unix,
                self.minutes.tobytes(),
                [],
                [],
                self.bad_senders,
                self.is_member,
                self.is_apart,
                self.trouble,
                self.days.tobytes(),
                self.lost or [],
                self.habits,
            )
        )

    @classmethod
    def decoded(cls, row: bytes) -> "Counts":
        known = _decode(row)
        sender = cls(known.first_seen_unix)
        sender.history, sender.counted_from_unix = known.history, known.counted_from_unix
        try:
            sender.minutes = array("d", known.minutes)
            sender.days = array("I", known.week) if known.week else _widened(known.days)
        except ValueError as error:
            raise msgspec.ValidationError(f"windows: {error}") from None
        if len(sender.minutes) % MINUTE_WIDTH or len(sender.days) % DAY_WIDTH:
            raise msgspec.ValidationError("windows of another shape")
        sender.bad_senders, sender.is_member, sender.is_apart = known.bad_senders, known.is_member, known.is_apart
        sender.trouble, sender.habits, sender.lost = known.trouble, known.habits, known.lost or None
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


def count_recipients(known: Counts, now_unix: float, amount: int, traits: Traits) -> int:
    """Count the recipients of one message; return how many of them its sender never wrote to before."""
    habits, days = known.habits, open_day(known, now_unix)
    if habits is None:
        habits = known.habits = Habits()
    days[RECIPIENTS - DAY_WIDTH] += amount
    habits.count(amount, traits.recipients, now_unix, known.first_seen_unix)
    if traits.is_null:
        habits.nulls += amount
        days[NULLS - DAY_WIDTH] += amount
    if not traits.recipients:
        return 0
    if habits.known is None:
        habits.known = Acquaintances()
    strangers = habits.known.meet(traits.recipients)
    days[STRANGERS - DAY_WIDTH] += strangers
    return strangers


def open_day(known: Counts, now_unix: float) -> "array[int]":
    """Make the last row of the days that of now, and learn from the one before to whom the sender usually writes."""
    days, slot = known.days, int(now_unix // DAY_SECONDS)
    if days and days[-DAY_WIDTH] < slot and known.habits is not None and known.habits.known is not None:
        known.habits.known.learn(days[RECIPIENTS - DAY_WIDTH], days[STRANGERS - DAY_WIDTH])
    slot_of(days, DAY_WIDTH, slot, KEPT_SLOTS)
    return days


def lose(known: Counts, destination: str, now_unix: float, *, is_hard: bool) -> None:
    """Note where recipients failed, in case it is an outage."""
    slot, lost = int(now_unix // OUTAGE_SECONDS), known.lost
    if lost is None:
        lost = known.lost = []
    one = next((one for one in reversed(lost) if one.slot == slot and one.destination == destination), None)
    if one is None:
        one = Lost(slot, destination)
        lost.append(one)
        while len(lost) > LOST or lost[0].slot <= slot - ONE_DAY_SLOTS * DAY_SECONDS // OUTAGE_SECONDS:
            del lost[0]
    one.hard += is_hard
    one.soft += not is_hard


def absolve(known: Counts, message_ids: frozenset[str]) -> None:
    """Take single messages out of the bad counts; they stay seen."""
    for bad in known.trouble.absolve(message_ids) if known.trouble else ():
        for row in range(0, len(known.minutes), MINUTE_WIDTH):
            if known.minutes[row] == bad.minute:
                known.minutes[row + 1] = max(known.minutes[row + 1] - bad.bad, 0.0)


def _widened(days: list[float] | bytes) -> "array[int]":
    """Days of four columns as days of eight."""
    wide = array("I")
    if isinstance(days, list) and len(days) % 4 == 0:
        for row in range(0, len(days), 4):
            wide.extend((*map(int, days[row : row + 4]), *[0] * (DAY_WIDTH - 4)))
    return wide


def slot_of(window: "array[float] | array[int]", width: int, slot: int, slots: int) -> None:
    """Make the last row of the window that of `slot`; where the clock went back, count what lies ahead as of now."""
    if window and window[-width] > slot:
        for row in range(0, len(window), width):
            window[row] = min(int(window[row]), slot)
    if not window or window[-width] < slot:
        forget(window, width, slot - slots)
        window.extend((slot, *[0] * (width - 1)))


def forget(window: "array[float] | array[int]", width: int, last: int) -> None:
    """Drop the rows up to and with slot `last`."""
    while window and window[0] <= last:
        del window[:width]
