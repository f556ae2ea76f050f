"""Which senders' counts are in memory: the last heard of; all others lie in counters.sqlite and come back by their key.

A sender that comes back costs one look into the file (bench/senders.py measures it), a stranger one, too; who has no
file loses only what left memory. Must never decide anything.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable

import msgspec

from relay.policy.signals.counts import Counts

log = logging.getLogger("mailweir.policy")

_STRANGERS = 10_000  # names known not to be in the file, for a second


class Senders:
    """Counts by sender, at most `capacity` of them in memory."""

    def __init__(self, capacity: int) -> None:
        self._warm: OrderedDict[str, Counts] = OrderedDict()
        self._dirty: set[str] = set()
        self._leaving: dict[str, bytes] = {}
        self._strangers: set[str] = set()
        self._capacity = capacity
        self.recall: Callable[[str], bytes | None] = lambda _name: None

    def __len__(self) -> int:
        return len(self._warm)

    def find(self, name: str) -> Counts | None:
        """Return what is known of a sender, wherever it lies; None for a stranger."""
        known = self._warm.get(name)
        if known is not None or name in self._strangers:
            return known
        row = self._leaving.pop(name, None)
        is_unwritten = row is not None
        known = _read(name, self.recall(name) if row is None else row)
        if known is None:
            if len(self._strangers) < _STRANGERS:
                self._strangers.add(name)
            return None
        self._keep(name, known)
        if is_unwritten:
            self._dirty.add(name)
        return known

    def open(self, name: str, now_unix: float) -> Counts:
        """Return the counts of a sender to be changed; a stranger gets new ones."""
        known = self.find(name)
        if known is None:
            known = Counts(now_unix)
            self._strangers.discard(name)
            self._keep(name, known)
        else:
            self._warm.move_to_end(name)
        self._dirty.add(name)
        return known

    def changed(self, name: str) -> None:
        """Have the counts of a sender that was found written again."""
        self._dirty.add(name)

    def dirty(self) -> list[tuple[str, bytes]]:
        """Return the rows changed since the last call, as bytes for `load`."""
        rows = [*self._leaving.items(), *((name, self._warm[name].encoded()) for name in self._dirty)]
        self._leaving.clear()
        self._dirty.clear()
        self._strangers.clear()
        return rows

    def dump(self) -> list[tuple[str, bytes]]:
        """Return every row in memory, the sender not heard of for longest first."""
        return [(name, known.encoded()) for name, known in self._warm.items()]

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        """Take rows back in, the latest last, and return how many were unreadable and left out (and logged)."""
        corrupt = 0
        for name, row in rows:
            known = _read(name, row)
            if known is None:
                corrupt += 1
            else:
                self._warm[name] = known
        while len(self._warm) > self._capacity:
            self._warm.popitem(last=False)
        return corrupt

    def _keep(self, name: str, known: Counts) -> None:
        self._warm[name] = known
        if len(self._warm) > self._capacity:
            gone, counts = self._warm.popitem(last=False)
            if gone in self._dirty:
                self._dirty.discard(gone)
                self._leaving[gone] = counts.encoded()


def _read(name: str, row: bytes | None) -> Counts | None:
    if row is None:
        return None
    try:
        return Counts.decoded(row)
    except (msgspec.DecodeError, UnicodeError) as error:
        log.warning("signals row unreadable sender=%r error=%s", name, error)
        return None
