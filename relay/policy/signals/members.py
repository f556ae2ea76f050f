"""The new senders of a day, by name: who they are must be known at once when an account's newcomers are held.

All in memory, at most `capacity`, and in counters.sqlite for a restart. Pure of clocks.
"""

import struct
from collections import OrderedDict
from collections.abc import Iterable

MEMBER_SECONDS = 86_400.0 + 60.0  # a minute more: a message judged as a newcomer's just before must not be left over

_instant = struct.Struct("<d")


class Members:
    """Sender -> when it was first seen, in Unix seconds; the oldest first."""

    def __init__(self, capacity: int = 200_000) -> None:
        self._first_seen: OrderedDict[str, float] = OrderedDict()
        self._dirty: dict[str, bytes] = {}
        self._capacity = capacity

    def note(self, sender: str, first_seen_unix: float, now_unix: float) -> None:
        """Count a sender among the new ones."""
        if sender in self._first_seen:
            return
        self._first_seen[sender] = first_seen_unix
        self._dirty[sender] = _instant.pack(first_seen_unix)
        while self._first_seen:
            oldest = next(iter(self._first_seen))
            if len(self._first_seen) <= self._capacity and self._first_seen[oldest] > now_unix - MEMBER_SECONDS:
                break
            self.drop(oldest)

    def drop(self, sender: str) -> None:
        """Count it no more."""
        if self._first_seen.pop(sender, None) is not None:
            self._dirty[sender] = b""

    def of(self, account: str, now_unix: float) -> list[str]:
        """Name an account's new senders. Looks at all: for the rare decision only."""
        begin, since = f"{account}|", now_unix - MEMBER_SECONDS
        return [name for name, first in self._first_seen.items() if first > since and name.startswith(begin)]

    def dirty(self) -> list[tuple[str, bytes]]:
        rows, self._dirty = list(self._dirty.items()), {}
        return rows

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        found = [(_instant.unpack(row)[0], name) for name, row in rows if len(row) == _instant.size]
        self._first_seen.update((name, first) for first, name in sorted(found))
        return 0
