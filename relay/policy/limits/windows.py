"""Sliding windows of 60 slots: units used, or booked ahead, and the first slot in which more fit.

A unit counts in its own slot and the 60 after it, so no window of 60 slots' length, wherever it begins, ever holds more
than the limit; the price is a refusal at most one slot early. One flat array each, [total, slot, count, slot, count...]
with the slots ascending: 80 bytes for an idle sender, where lists of objects take 300. Must never ask a clock.
"""

from array import array

HOUR_SLOT_SECONDS = 60
DAY_SLOT_SECONDS = 1_440
SLOTS_AFTER = 60  # 61 slots in all: with 60 a unit of the last second of its slot would be forgotten a slot too early


def opened() -> "array[int]":
    """An empty window."""
    return array("I", (0,))


def advance(window: "array[int]", slot: int) -> None:
    """Forget what can share no window with `slot`."""
    oldest = slot - SLOTS_AFTER
    if len(window) == 1 or window[1] >= oldest:
        return
    end, gone = 1, 0
    while end < len(window) and window[end] < oldest:
        gone += window[end + 1]
        end += 2
    window[0] -= gone
    del window[1:end]


def earliest(window: "array[int]", amount: int, limit: int, slot: int) -> int:
    """Return the first slot from `slot` on, behind all that is booked, in which `amount` (at most `limit`) fits.

    Before what is booked only where all of it fits together, which is so when the limit was raised since.
    """
    if window[0] + amount <= limit:
        return slot
    last = len(window) - 2
    if last >= 0 and window[last] > slot:
        slot = window[last]
    room = limit - amount
    for place in range(last, 0, -2):  # from the newest back: the first one too many must have left the window
        room -= window[place + 1]
        if room < 0:
            return max(slot, window[place] + SLOTS_AFTER + 1)
    return slot


def between(window: "array[int]", amount: int, limit: int, slot: int) -> int:
    """Return the first slot from `slot` on, before or behind what is booked, in which `amount` (at most `limit`) fits.

    For a window that many share: what one of them has booked for later must not send the others behind it.
    """
    while (found := _behind(window, limit - amount, slot)) > slot:
        slot = found
    return slot


def add(window: "array[int]", slot: int, amount: int) -> None:
    """Count `amount` in `slot`."""
    place = len(window)
    while place > 1 and window[place - 2] > slot:
        place -= 2
    if place > 1 and window[place - 2] == slot:
        window[place - 1] += amount
    else:
        window[place:place] = array("I", (slot, amount))
    window[0] += amount


def remove(window: "array[int]", slot: int, amount: int) -> None:
    """Take units of `slot` back, and of no other: those would then be free too early."""
    for place in range(len(window) - 2, 0, -2):
        if window[place] == slot:
            part = min(amount, window[place + 1])
            window[place + 1] -= part
            window[0] -= part
            if not window[place + 1]:
                del window[place : place + 2]
            return


def booked(window: "array[int]", slot: int) -> int:
    """How many units are booked for later than `slot`."""
    found = 0
    for place in range(len(window) - 2, 0, -2):
        if window[place] <= slot:
            break
        found += window[place + 1]
    return found


def drained(window: "array[int]", slot: int, amount: int) -> int:
    """Return the slot in which `amount` of the units booked for later than `slot` have had their turn."""
    for place in range(1, len(window), 2):
        if window[place] > slot:
            amount -= window[place + 1]
            if amount <= 0:
                return window[place]
    return max(slot, window[-2]) if len(window) > 1 else slot


def last_slot(window: "array[int]") -> int:
    """The latest slot with a unit, 0 for none."""
    return window[-2] if len(window) > 1 else 0


def _behind(window: "array[int]", room: int, slot: int) -> int:
    """Return `slot`, or, where it lies in a stretch of 61 slots with more than `room`, the first slot behind that."""
    reach = range(slot - SLOTS_AFTER, slot + SLOTS_AFTER + 1)
    near = [(window[place], window[place + 1]) for place in range(1, len(window), 2) if window[place] in reach]
    if sum(units for _, units in near) <= room:
        return slot
    for end in [*(at for at, _ in reversed(near) if at > slot), slot]:
        inside = [(at, units) for at, units in near if end - SLOTS_AFTER <= at <= end]
        if sum(units for _, units in inside) > room:
            return min(inside[0][0], slot) + SLOTS_AFTER + 1
    return slot
