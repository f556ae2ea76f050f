"""Which provider's refusals count for nobody: those of an outage there, or of our own network (spec 2.4's caveat).

Per destination and quarter of an hour: how many recipients of each sender it took, refused for good (5.1.x) or put off.
It is an outage when at least WITNESSES senders with a history, and most of those who wrote there, see half of their
recipients fail, where before few failed. Each sender is one witness, so that one bad list excuses nobody; new senders
are none, so that a campaign under new names cannot excuse itself. Bounded; outages go to counters.sqlite, the counts
behind them are lost at a restart. Pure of clocks.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal

from relay.policy.signals.counters import Table

OutcomeKind = Literal["delivered", "deferred", "failed", "hard_bounce", "complaint"]

OUTAGE_SECONDS = 900
KEPT_SECONDS = 26 * 3_600.0
EVERYWHERE = "*"  # what is put off by all destinations at once is our own network's fault
HARD, SOFT = 1, 2  # columns of a count; 0: all recipients

_WITNESSES = 3
_MOST_OF_THEM, _FAILING = 0.6, 0.5
_USUAL_LEAST, _USUAL_SHARE = 20, 0.3  # recipients before, and the share of them that failed, of a place that worked
_USUAL_MOST = 4_000  # recipients; then the older ones count half
_SENDERS = 64  # of a destination and slot: enough to know

Count = list[int]


class _Place:
    __slots__ = ("is_out", "slot", "usual", "witnesses")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.usual: Count = [0, 0, 0]
        self.witnesses: dict[str, Count] = {}
        self.is_out = False

    def turn(self, slot: int) -> None:
        """Begin another slot; an outage is never usual."""
        for seen in () if self.is_out else self.witnesses.values():
            self.usual = [old + new for old, new in zip(self.usual, seen, strict=True)]
        if self.usual[0] > _USUAL_MOST:
            self.usual = [count // 2 for count in self.usual]
        self.witnesses, self.slot, self.is_out = {}, slot, False


class Outages:
    """Hears of outcomes; at most `capacity` destinations, the one not heard of for longest leaves first."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._out: dict[str, None] = {}
        self._dirty: dict[str, bytes] = {}
        self._capacity = capacity

    def __len__(self) -> int:
        return len(self._out)

    def table(self) -> Table:
        """Where outages are kept."""
        return Table("outage", self, KEPT_SECONDS)

    def note(self, destination: str, sender: str, kind: OutcomeKind, now_unix: float) -> None:
        """Count one recipient of a sender with a history."""
        if kind == "complaint":
            return
        column = 0 if kind == "delivered" else HARD if kind == "hard_bounce" else SOFT
        slot = slot_of(now_unix)
        self._count(destination, sender, column, slot)
        if column != HARD:
            self._count(EVERYWHERE, sender, column, slot)

    def is_out(self, destination: str, column: int, slot: int) -> bool:
        """Tell whether failures of this slot count for nobody: it, the one before or the one after was an outage."""
        names = (destination, EVERYWHERE) if column == SOFT else (destination,)
        return any(_key(column, name, at) in self._out for name in names for at in (slot - 1, slot, slot + 1))

    def dirty(self) -> list[tuple[str, bytes]]:
        rows, self._dirty = list(self._dirty.items()), {}
        return rows

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        self._out.update((key, None) for key, _ in rows)
        return 0

    def _count(self, destination: str, sender: str, column: int, slot: int) -> None:
        place = self._places.get(destination)
        if place is None:
            place = self._places[destination] = _Place(slot)
            if len(self._places) > self._capacity:
                self._places.popitem(last=False)
        else:
            self._places.move_to_end(destination)
            if place.slot != slot:
                place.turn(slot)
        seen = place.witnesses.get(sender)
        if seen is None:
            if len(place.witnesses) >= _SENDERS:
                return
            seen = place.witnesses[sender] = [0, 0, 0]
        seen[0] += 1
        if column:
            seen[column] += 1
            if len(place.witnesses) >= _WITNESSES and _key(column, destination, slot) not in self._out:
                self._judge(place, destination, column)

    def _judge(self, place: _Place, destination: str, column: int) -> None:
        failing = sum(seen[column] >= _FAILING * seen[0] for seen in place.witnesses.values())
        usual = place.usual
        if failing < _WITNESSES or failing < _MOST_OF_THEM * len(place.witnesses):
            return
        if usual[0] < _USUAL_LEAST or usual[column] > _USUAL_SHARE * usual[0]:
            return  # nobody knows that it ever worked
        place.is_out = True
        key, oldest = _key(column, destination, place.slot), place.slot - int(KEPT_SECONDS // OUTAGE_SECONDS)
        for gone in [one for one in self._out if int(one.rpartition("|")[2]) < oldest]:
            del self._out[gone]
            self._dirty[gone] = b""
        self._out[key], self._dirty[key] = None, b"1"


def slot_of(now_unix: float) -> int:
    """The quarter of an hour."""
    return int(now_unix // OUTAGE_SECONDS)


def _key(column: int, destination: str, slot: int) -> str:
    return f"{column}|{destination}|{slot}"
