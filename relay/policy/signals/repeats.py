"""How often a sender has met a rule lately: for rules that act at the so-manieth message only.

Rare: only messages that meet such a rule come here. Rows go to counters.sqlite, so that a restart forgives nothing.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable

import msgspec

_log = logging.getLogger("mailweir.policy")

REPEATS_KEPT_SECONDS = 31 * 86_400.0
_KEPT = 16  # instants of each sender and rule: rules ask for a few
_decode = msgspec.json.Decoder(list[float]).decode


class Repeats:
    """Instants at which each (rule, sender) was met; at most `capacity` of them, the oldest leave first."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._met: OrderedDict[str, list[float]] = OrderedDict()
        self._dirty: set[str] = set()
        self._capacity = capacity

    def note(self, rule: str, sender: str, now_unix: float, since_unix: float) -> int:
        """Count one message in; return how many there are since, with it."""
        key = f"{rule}|{sender}"
        met = [at for at in self._met.pop(key, ()) if at > since_unix][-_KEPT + 1 :]
        self._met[key] = [*met, now_unix]
        self._dirty.add(key)
        while len(self._met) > self._capacity:
            gone, _ = self._met.popitem(last=False)
            self._dirty.add(gone)
        return len(met) + 1

    def dirty(self) -> list[tuple[str, bytes]]:
        """Return the rows changed since the last call; empty: gone."""
        rows = [(key, msgspec.json.encode(self._met[key]) if key in self._met else b"") for key in self._dirty]
        self._dirty.clear()
        return rows

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        """Take rows back in; return how many were unreadable."""
        corrupt = 0
        for key, row in rows:
            try:
                self._met[key] = _decode(row)
            except msgspec.DecodeError as error:
                corrupt += 1
                _log.warning("repeats row unreadable key=%r error=%s", key, error)
        return corrupt
