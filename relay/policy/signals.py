"""Live counts per end sender: spam of the last hour, hard bounces of a day, complaints of a week, and its history.

Bounded: the sender not heard of for longest leaves memory first. Rows for counters.sqlite come from `dirty`, once a
second, and go back in by `load`. Must never decide anything: see triggers.py and verdict.py.
"""

import logging
from array import array
from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal

import msgspec

from relay.policy.triggers import SignalState as SignalState
from relay.policy.triggers import spam_certainty
from relay.settings import Policy

log = logging.getLogger("mailweir.policy")

# Windows are flat arrays of doubles, a few numbers a slot: a quarter of the memory of lists of objects
MINUTE_SECONDS, MINUTE_SLOTS, MINUTE_WIDTH = 60, 60, 3  # slot, bad, seen
DAY_SECONDS, DAY_SLOTS, DAY_WIDTH = 10_800, 56, 4  # slot of 3 h, seen, hard bounces, complaints: 7 days
HARD_BOUNCE_SLOTS = 8  # 24 h
BAD_MESSAGES = 10  # ids kept as evidence
NEWCOMER_SECONDS = 86_400.0  # spec 2.3

OutcomeKind = Literal["hard_bounce", "complaint"]


class _Row(msgspec.Struct, array_like=True):
    history: int
    first_seen_unix: float
    counted_from_unix: float
    minutes: list[float]
    days: list[float]
    bad_messages: list[str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode


class _Sender:
    __slots__ = ("bad_messages", "counted_from_unix", "days", "first_seen_unix", "history", "minutes")

    def __init__(self, now_unix: float) -> None:
        self.history = 0
        self.first_seen_unix = now_unix
        self.counted_from_unix = now_unix
        self.minutes = array("d")
        self.days = array("d")
        self.bad_messages: tuple[str, ...] = ()

    def encoded(self) -> bytes:
        return _encode(
            _Row(
                self.history,
                self.first_seen_unix,
                self.counted_from_unix,
                self.minutes.tolist(),
                self.days.tolist(),
                list(self.bad_messages),
            )
        )

    @classmethod
    def decoded(cls, row: bytes) -> "_Sender":
        known = _decode(row)
        sender = cls(known.first_seen_unix)
        sender.history, sender.counted_from_unix = known.history, known.counted_from_unix
        sender.minutes, sender.days = array("d", known.minutes), array("d", known.days)
        if len(sender.minutes) % MINUTE_WIDTH or len(sender.days) % DAY_WIDTH:
            raise msgspec.ValidationError("windows of another shape")
        sender.bad_messages = tuple(known.bad_messages)
        return sender


class Signals:
    """The counts of every end sender, in memory, at most `capacity` of them."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._senders: OrderedDict[str, _Sender] = OrderedDict()
        self._dirty: set[str] = set()
        self._leaving: dict[str, bytes] = {}
        self._capacity = capacity

    def __len__(self) -> int:
        return len(self._senders)

    def observe(
        self,
        sender: str,
        score: float | None,
        now_unix: float,
        policy: Policy,
        message_id: str = "",
        recipients: int = 1,
    ) -> SignalState:
        """Count one message, before its verdict. A message without a score says nothing about spam."""
        known = self._known(sender, now_unix)
        known.history += 1
        _slot(known.days, DAY_WIDTH, int(now_unix // DAY_SECONDS), DAY_SLOTS)
        known.days[-3] += recipients
        minute = int(now_unix // MINUTE_SECONDS)
        if score is not None:
            bad = 1.0 if score >= policy.hold_score else 0.5 if score >= policy.suspect_score else 0.0
            _slot(known.minutes, MINUTE_WIDTH, minute, MINUTE_SLOTS)
            known.minutes[-1] += 1.0
            if bad:
                known.minutes[-2] += bad
                known.bad_messages = (*known.bad_messages, message_id)[-BAD_MESSAGES:]
        return _state(known, now_unix, policy)

    def outcome(self, sender: str, kind: OutcomeKind, now_unix: float) -> None:
        """Count one hard-bounced recipient, or one complaint."""
        known = self._known(sender, now_unix)
        _slot(known.days, DAY_WIDTH, int(now_unix // DAY_SECONDS), DAY_SLOTS)
        known.days[-2 if kind == "hard_bounce" else -1] += 1.0

    def state(self, sender: str, now_unix: float, policy: Policy) -> SignalState | None:
        """Look at a sender without counting anything; None when nothing is known of it."""
        known = self._senders.get(sender)
        return None if known is None else _state(known, now_unix, policy)

    def is_newcomer(self, sender: str, now_unix: float) -> bool:
        """Tell whether a sender was first seen in the last 24 hours, or never."""
        known = self._senders.get(sender)
        return known is None or now_unix - known.first_seen_unix < NEWCOMER_SECONDS

    def forgive(self, sender: str, now_unix: float) -> None:
        """Forget what is held against a sender; its history and age stay."""
        known = self._senders.get(sender)
        if known is None:
            return
        known.counted_from_unix = now_unix
        del known.minutes[:]
        del known.days[:]
        known.bad_messages = ()
        self._dirty.add(sender)

    def dirty(self) -> list[tuple[str, bytes]]:
        """Return the rows changed since the last call, as bytes for `load`."""
        rows = [*self._leaving.items(), *((name, self._senders[name].encoded()) for name in self._dirty)]
        self._leaving.clear()
        self._dirty.clear()
        return rows

    def dump(self) -> list[tuple[str, bytes]]:
        """Return every row in memory, the sender not heard of for longest first."""
        return [(name, known.encoded()) for name, known in self._senders.items()]

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        """Take rows back in, the latest last, and return how many were unreadable and left out (and logged)."""
        corrupt = 0
        for name, row in rows:
            try:
                self._senders[name] = _Sender.decoded(row)
            except msgspec.DecodeError as error:
                corrupt += 1
                log.warning("signals row unreadable sender=%r error=%s", name, error)
        while len(self._senders) > self._capacity:
            self._senders.popitem(last=False)
        return corrupt

    def _known(self, sender: str, now_unix: float) -> _Sender:
        known = self._senders.get(sender)
        if known is not None:
            self._senders.move_to_end(sender)
        else:
            leaving = self._leaving.pop(sender, None)
            known = self._senders[sender] = _Sender.decoded(leaving) if leaving else _Sender(now_unix)
            if len(self._senders) > self._capacity:
                self._evict()
        self._dirty.add(sender)
        return known

    def _evict(self) -> None:
        name, known = self._senders.popitem(last=False)
        if name in self._dirty:
            self._dirty.discard(name)
            self._leaving[name] = known.encoded()


def _state(known: _Sender, now_unix: float, policy: Policy) -> SignalState:
    minutes, days = known.minutes, known.days
    _forget(minutes, MINUTE_WIDTH, int(now_unix // MINUTE_SECONDS) - MINUTE_SLOTS)
    day = int(now_unix // DAY_SECONDS)
    _forget(days, DAY_WIDTH, day - DAY_SLOTS)
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


def _slot(window: "array[float]", width: int, slot: int, slots: int) -> None:
    """Make the last row of the window that of `slot`; where the clock went back, count what lies ahead as of now."""
    if window and window[-width] > slot:
        for row in range(0, len(window), width):
            window[row] = min(window[row], float(slot))
    if not window or window[-width] < slot:
        _forget(window, width, slot - slots)
        window.extend((float(slot), *(0.0 for _ in range(width - 1))))


def _forget(window: "array[float]", width: int, last: int) -> None:
    """Drop the rows up to and with slot `last`."""
    while window and window[0] <= last:
        del window[:width]
