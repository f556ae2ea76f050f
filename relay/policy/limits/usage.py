"""What one key has used and booked: its windows, and how they become a row of counters.sqlite and come back.

Times are the ledger's (ledger.py), in seconds. Windows exist for what is limited only.
"""

import logging
import math
from array import array
from collections.abc import Sequence

import msgspec

from relay.policy.limits import unique, windows
from relay.policy.limits.claims import Ask
from relay.policy.limits.levels import LimitSet
from relay.policy.limits.windows import DAY_SLOT_SECONDS, HOUR_SLOT_SECONDS, SLOTS_AFTER

_log = logging.getLogger("mailweir.policy")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[bytes, bytes, bytes, bytes]).decode


class Usage:
    """The hour, the day, the messages of the hour and the recipients seen, each None until it is limited."""

    __slots__ = ("day", "hour", "messages", "seen")

    def __init__(self) -> None:
        self.hour: array[int] | None = None
        self.day: array[int] | None = None
        self.messages: array[int] | None = None
        self.seen: bytearray | None = None

    def earliest(self, limits: LimitSet, ask: Ask, now: float) -> tuple[float, str]:
        """When all limits have room, and the name of the one that has it last; infinity: never."""
        if limits.rcpts_per_message and ask.amount > limits.rcpts_per_message:
            return math.inf, "rcpts_per_message"
        at, name = now, ""
        if limit := limits.rcpts_per_hour:
            self.hour = self.hour or windows.opened()
            if (found := _room(self.hour, ask.amount, limit, now, HOUR_SLOT_SECONDS)) > at:
                at, name = found, "rcpts_per_hour"
        if limit := limits.rcpts_per_day:
            self.day = self.day or windows.opened()
            if (found := _room(self.day, ask.amount, limit, now, DAY_SLOT_SECONDS)) > at:
                at, name = found, "rcpts_per_day"
        if limit := limits.messages_per_hour:
            self.messages = self.messages or windows.opened()
            if (found := _room(self.messages, 1, limit, now, HOUR_SLOT_SECONDS)) > at:
                at, name = found, "messages_per_hour"
        if (limit := limits.unique_rcpts_per_hour) and ask.recipients:
            self.seen = bytearray() if self.seen is None else self.seen
            if (found := _unique_room(self.seen, ask.recipients, limit, now)) > at:
                at, name = found, "unique_rcpts_per_hour"
        return at, name

    def between(self, limits: LimitSet, ask: Ask, now: float, at: float) -> float:
        """When, from `at` on, the recipients of an hour have room between what is booked; infinity: never."""
        limit = limits.rcpts_per_hour or 0
        if not limit:
            return at
        if ask.amount > limit:
            return math.inf
        self.hour = self.hour or windows.opened()
        windows.advance(self.hour, int(now // HOUR_SLOT_SECONDS))
        slot = int(at // HOUR_SLOT_SECONDS)
        found = windows.between(self.hour, ask.amount, limit, slot)
        return at if found == slot else float(found * HOUR_SLOT_SECONDS)

    def count(self, limits: LimitSet, ask: Ask, at: float) -> None:
        """Count what `earliest` found room for."""
        hour = int(at // HOUR_SLOT_SECONDS)
        if limits.rcpts_per_hour:
            self.hour = self.hour or windows.opened()
            windows.add(self.hour, hour, ask.amount)
        if limits.rcpts_per_day:
            self.day = self.day or windows.opened()
            windows.add(self.day, int(at // DAY_SLOT_SECONDS), ask.amount)
        if limits.messages_per_hour and ask.is_final:
            self.messages = self.messages or windows.opened()
            windows.add(self.messages, hour, 1)
        if limits.unique_rcpts_per_hour and ask.is_final:
            self.seen = bytearray() if self.seen is None else self.seen
            unique.add(self.seen, ask.recipients, hour)

    def give_back(self, ask: Ask, at: float) -> None:
        """Take back what was counted at `at`, but who was written to."""
        hour = int(at // HOUR_SLOT_SECONDS)
        if self.hour:
            windows.remove(self.hour, hour, ask.amount)
        if self.day:
            windows.remove(self.day, int(at // DAY_SLOT_SECONDS), ask.amount)
        if self.messages and ask.is_final:
            windows.remove(self.messages, hour, 1)

    def all_free(self, name: str, now: float) -> float:
        """When nothing counts any more: what was asked is above the limit itself."""
        match name:
            case "rcpts_per_day":
                slot, seconds = windows.last_slot(self.day or windows.opened()), DAY_SLOT_SECONDS
            case "unique_rcpts_per_hour":
                slot, seconds = unique.last_slot(self.seen or bytearray()), HOUR_SLOT_SECONDS
            case _:
                slot, seconds = windows.last_slot(self.hour or windows.opened()), HOUR_SLOT_SECONDS
        return max(now, float((slot + SLOTS_AFTER + 1) * seconds)) if slot else now

    def encoded(self) -> bytes:
        parts = (self.hour, self.day, self.messages)
        return _encode((*(part.tobytes() if part else b"" for part in parts), bytes(self.seen or b"")))

    @classmethod
    def decoded(cls, row: bytes) -> "Usage":
        usage = cls()
        try:
            hour, day, messages, seen = _decode(row)
            usage.hour, usage.day, usage.messages = _window(hour), _window(day), _window(messages)
            usage.seen = bytearray(seen) if seen and len(seen) % unique.ENTRY_BYTES == 0 else None
        except (msgspec.DecodeError, ValueError) as error:
            _log.warning("limits row unreadable error=%s", error)
            return cls()
        return usage

    def used(self, name: str, now: float) -> int:
        """What counts against a limit now; what is booked for later does not."""
        hour = int(now // HOUR_SLOT_SECONDS)
        match name:
            case "rcpts_per_day":
                window, slot = self.day, int(now // DAY_SLOT_SECONDS)
            case "messages_per_hour":
                window, slot = self.messages, hour
            case "unique_rcpts_per_hour":
                return unique.used(self.seen or bytearray(), hour)
            case _:
                window, slot = self.hour, hour
        return window[0] - windows.booked(window, slot) if window else 0

    def booked(self, now: float) -> int:
        """How many recipients wait for their time."""
        hour, day = int(now // HOUR_SLOT_SECONDS), int(now // DAY_SLOT_SECONDS)
        return max(
            windows.booked(self.hour, hour) if self.hour else 0,
            windows.booked(self.day, day) if self.day else 0,
            windows.booked(self.messages, hour) if self.messages else 0,
            unique.booked(self.seen, hour) if self.seen else 0,
        )

    def drained(self, now: float, amount: int) -> float:
        """When `amount` of those that wait have left."""
        if self.hour and windows.booked(self.hour, int(now // HOUR_SLOT_SECONDS)):
            return float(windows.drained(self.hour, int(now // HOUR_SLOT_SECONDS), amount) * HOUR_SLOT_SECONDS)
        if self.day and windows.booked(self.day, int(now // DAY_SLOT_SECONDS)):
            return float(windows.drained(self.day, int(now // DAY_SLOT_SECONDS), amount) * DAY_SLOT_SECONDS)
        return now + HOUR_SLOT_SECONDS

    def is_idle(self, now: float) -> bool:
        """Tell whether nothing of it can ever count again."""
        hour, day = int(now // HOUR_SLOT_SECONDS) - SLOTS_AFTER, int(now // DAY_SLOT_SECONDS) - SLOTS_AFTER
        return (
            (self.day is None or windows.last_slot(self.day) < day)
            and (self.hour is None or windows.last_slot(self.hour) < hour)
            and (self.messages is None or windows.last_slot(self.messages) < hour)
            and (self.seen is None or unique.last_slot(self.seen) < hour)
        )


def _room(window: "array[int]", amount: int, limit: int, now: float, slot_seconds: int) -> float:
    """When `amount` fits: now, at the start of a later slot, or never."""
    slot = int(now // slot_seconds)
    windows.advance(window, slot)
    if amount > limit:
        return math.inf
    found = windows.earliest(window, amount, limit, slot)
    return now if found == slot else float(found * slot_seconds)


def _unique_room(seen: bytearray, asked: Sequence[bytes], limit: int, now: float) -> float:
    slot = int(now // HOUR_SLOT_SECONDS)
    if len(asked) > limit:
        return math.inf
    found = unique.earliest(seen, asked, limit, slot)
    return now if found == slot else float(found * HOUR_SLOT_SECONDS)


def _window(data: bytes) -> "array[int] | None":
    if not data:
        return None
    window = array("I", data)
    if len(window) % 2 == 0 or window[0] != sum(window[2::2]) or sorted(window[1::2]) != list(window[1::2]):
        raise ValueError("no window")
    return window
