"""Who may still guess a password: failures per (address, login) and guesses per address, in bounded memory.

An address with a success in the last 24 h is never locked: one script with an old password must not stop a server.
Its guesses are only slowed down. Must never see an address, login or password in clear: keys come hashed.
Locks and trusted addresses survive a restart: rows for counters.sqlite come from `dirty`, once a second, and go back
in by `load`. Failures that have not led to a lock do not, which gives a guesser at most ten more.
"""

import logging
import struct
from collections import OrderedDict, deque
from collections.abc import Iterable

_log = logging.getLogger("mailweir.front")

ENTRIES = 20_000  # of each table; the least recently used leave first

FAILURES = 10  # per (address, login) in WINDOW_SECONDS, then LOCK_SECONDS without a look at the password (spec 2.1)
STRANGER_FAILURES = 50  # per address without a success, over all its logins, in the same window
WINDOW_SECONDS = 600
LOCK_SECONDS = 900

TRUST_SECONDS = 86_400
TRUST_STEP_SECONDS = 60  # a success so soon after the last one is not worth a write
GUESSES = 40  # per address in GUESS_SECONDS, parallel ones included, trusted or not (spec 2.15.5 allows 60)
GUESS_SECONDS = 10

_LOCK, _TRUST = "lock", "trust"
_unix = struct.Struct("<d")


class Lockout:
    """Counts failures; `now_unix` never comes from here. `trusts`: an address with a success is never locked."""

    def __init__(self, *, trusts: bool = True) -> None:
        self._trusts = trusts
        # A key is the hash of an address, or that followed by the hash of a login.
        self._failures: OrderedDict[bytes, deque[float]] = OrderedDict()
        self._guesses: OrderedDict[bytes, deque[float]] = OrderedDict()
        self._locks: OrderedDict[bytes, float] = OrderedDict()
        self._successes: OrderedDict[bytes, float] = OrderedDict()
        self._dirty: dict[str, float] = {}

    def locked_until(self, address: bytes, login: bytes, now_unix: float) -> float | None:
        """Return when the lock ends that this login at this address is under, if it is."""
        if self.is_trusted(address, now_unix):
            return None
        until = max(self._locks.get(address, 0.0), self._locks.get(address + login, 0.0))
        return until if until > now_unix else None

    def begin_guess(self, address: bytes, now_unix: float) -> float | None:
        """Count a guess that is about to be verified; return until when none is allowed instead, if so.

        Counted before its outcome is known: else parallel connections would overrun the bound.
        """
        guesses = _recent(self._guesses, address, GUESSES, now_unix - GUESS_SECONDS)
        if len(guesses) >= GUESSES:
            return guesses[0] + GUESS_SECONDS
        guesses.append(now_unix)
        return None

    def failed(self, address: bytes, login: bytes, now_unix: float) -> None:
        """Count a failure, and lock what has reached its bound."""
        for key, bound in ((address + login, FAILURES), (address, STRANGER_FAILURES)):
            failures = _recent(self._failures, key, bound, now_unix - WINDOW_SECONDS)
            failures.append(now_unix)
            if len(failures) >= bound:
                self._put(self._locks, _LOCK, key, now_unix + LOCK_SECONDS)
                failures.clear()

    def succeeded(self, address: bytes, login: bytes, now_unix: float) -> None:
        """Trust the address from now on, and forget the failures of this login."""
        self._failures.pop(address + login, None)
        if abs(now_unix - self._successes.get(address, float("-inf"))) < TRUST_STEP_SECONDS:
            self._successes.move_to_end(address)
        else:
            self._put(self._successes, _TRUST, address, now_unix)

    def dirty(self) -> list[tuple[str, bytes]]:
        """Return the rows changed since the last call, as bytes for `load`."""
        rows = [(name, _unix.pack(instant)) for name, instant in self._dirty.items()]
        self._dirty.clear()
        return rows

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        """Take rows back in, the latest last, and return how many were unreadable and left out (and logged)."""
        corrupt = 0
        tables = {_LOCK: self._locks, _TRUST: self._successes}
        for name, row in rows:
            kind, _, key = name.partition(" ")
            try:
                table, hashed, (instant,) = tables[kind], bytes.fromhex(key), _unix.unpack(row)
                if not hashed:
                    raise ValueError(name)
            except (KeyError, ValueError, struct.error):
                corrupt += 1
                _log.warning("lock-out row unreadable name=%r", name)
                continue
            table[hashed] = instant
            table.move_to_end(hashed)
            _trim(table)
        return corrupt

    def _put(self, table: OrderedDict[bytes, float], kind: str, key: bytes, instant: float) -> None:
        table[key] = instant
        table.move_to_end(key)
        _trim(table)
        self._dirty[f"{kind} {key.hex()}"] = instant

    def is_trusted(self, address: bytes, now_unix: float) -> bool:
        """Tell whether a login has succeeded from there in the last 24 h."""
        return self._trusts and now_unix - self._successes.get(address, float("-inf")) < TRUST_SECONDS


def _recent(table: OrderedDict[bytes, deque[float]], key: bytes, bound: int, after_unix: float) -> deque[float]:
    """Return the instants of `key` after `after_unix`, making room for it."""
    instants = table.setdefault(key, deque(maxlen=bound))
    table.move_to_end(key)
    _trim(table)
    while instants and instants[0] <= after_unix:
        instants.popleft()
    return instants


def _trim(table: OrderedDict[bytes, deque[float]] | OrderedDict[bytes, float]) -> None:
    while len(table) > ENTRIES:
        table.popitem(last=False)
