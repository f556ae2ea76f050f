"""Sliding limits: how many units a key used in the last hour, and when the next ones are free.

One-minute slots. A unit counts in its own slot and the 60 after it, so no window of 60 minutes, wherever it begins,
ever holds more than the limit; the price is a refusal at most one slot early. Must never ask a clock itself.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice

SLOT_SECONDS = 60
SLOTS_AFTER = 60  # 61 slots in all: with 60 a unit of the last second of its slot would be forgotten after 59 minutes

MULTIPLIER_LOW, MULTIPLIER_HIGH = 0.1, 4.0  # spec 2.3
GROWN_UP_SECONDS = 7 * 86_400  # a younger sender's multiplier never exceeds 1 (spec 2.3)


@dataclass(frozen=True, slots=True)
class LimitUse:
    """What a request for `asked` units met: `used` includes them when they were allowed.

    `next_unix` is when the same request fits (for one above the limit itself: when the whole limit is free);
    the time of the request when it was allowed.
    """

    used: int
    limit: int
    is_allowed: bool
    next_unix: float
    asked: int = 1


class _Usage:
    __slots__ = ("counts", "slots", "total")

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.counts: list[int] = []
        self.total = 0

    def advance(self, slot: int) -> None:
        """Forget slots out of the window; where the clock went back, count what lies ahead of it as used now."""
        slots, counts = self.slots, self.counts
        while slots and slots[0] < slot - SLOTS_AFTER:
            slots.pop(0)
            self.total -= counts.pop(0)
        ahead = 0
        while slots and slots[-1] > slot:
            slots.pop()
            ahead += counts.pop()
        if ahead:
            self._add(slot, ahead)

    def take(self, slot: int, amount: int) -> None:
        self._add(slot, amount)
        self.total += amount

    def give_back(self, slot: int, amount: int) -> None:
        """Remove units of `slot` only: units of another would then be free too early."""
        if slot in self.slots:
            index = self.slots.index(slot)
            part = min(amount, self.counts[index])
            self.counts[index] -= part
            self.total -= part

    def free_slot(self, wanted: int) -> int:
        """Return the slot in which `wanted` more units than now have become free."""
        for slot, count in zip(self.slots, self.counts, strict=True):
            wanted -= count
            if wanted <= 0:
                return slot + SLOTS_AFTER + 1
        return self.slots[-1] + SLOTS_AFTER + 1 if self.slots else 0

    def _add(self, slot: int, amount: int) -> None:
        if self.slots and self.slots[-1] == slot:
            self.counts[-1] += amount
        else:
            self.slots.append(slot)
            self.counts.append(amount)


class SlidingLimits:
    """Units used per key in the last hour, exactly, in memory. Keys idle for an hour are forgotten on the way."""

    def __init__(self) -> None:
        self._usages: OrderedDict[str, _Usage] = OrderedDict()

    def __len__(self) -> int:
        return len(self._usages)

    def take(self, key: str, amount: int, limit: int, now_unix: float) -> LimitUse:
        """Take `amount` units at once, or none of them."""
        slot = int(now_unix // SLOT_SECONDS)
        usage = self._usages.get(key)
        if usage is None:
            self._forget_idle(slot)
            usage = self._usages[key] = _Usage()
        else:
            self._usages.move_to_end(key)
            usage.advance(slot)
        if usage.total + amount <= limit:
            usage.take(slot, amount)
            return LimitUse(usage.total, limit, True, now_unix, amount)
        next_slot = usage.free_slot(usage.total + min(amount, limit) - limit)
        return LimitUse(usage.total, limit, False, max(now_unix, float(next_slot * SLOT_SECONDS)), amount)

    def give_back(self, key: str, amount: int, taken_unix: float) -> None:
        """Return units of a transaction that came to nothing. `taken_unix` is the time that was given to `take`."""
        usage = self._usages.get(key)
        if usage is not None:
            usage.give_back(int(taken_unix // SLOT_SECONDS), amount)

    def _forget_idle(self, slot: int) -> None:
        # two per new key: the table shrinks faster than it can grow, and no call pays for all
        for key, usage in list(islice(self._usages.items(), 2)):
            if usage.slots and usage.slots[-1] >= slot - SLOTS_AFTER:
                return
            del self._usages[key]


def effective_limit(base: int, multiplier: float, age_seconds: float) -> int:
    """Return the limit in force: base x multiplier, at least 1, never above base for a sender younger than 7 days."""
    high = MULTIPLIER_HIGH if age_seconds >= GROWN_UP_SECONDS else 1.0
    return max(1, round(base * min(max(multiplier, MULTIPLIER_LOW), high)))
