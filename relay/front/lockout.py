"""Who may still guess a password: failures per (address, login) and guesses per address, in bounded memory.

An address with a success in the last 24 h is never locked: one script with an old password must not stop a server.
Its guesses are only slowed down. Must never see a login or password in clear: keys come hashed.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable

ENTRIES = 20_000  # of each table; the least recently used leave first

FAILURES = 10  # per (address, login) in WINDOW_SECONDS, then LOCK_SECONDS without a look at the password (spec 2.1)
STRANGER_FAILURES = 50  # per address without a success, over all its logins, in the same window
WINDOW_SECONDS = 600
LOCK_SECONDS = 900

TRUST_SECONDS = 86_400
GUESSES = 40  # per address in GUESS_SECONDS, parallel ones included, trusted or not (spec 2.15.5 allows 60)
GUESS_SECONDS = 10


class Lockout:
    """Counts failures; `now_unix` never comes from here."""

    def __init__(self) -> None:
        self._failures: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._guesses: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._locks: OrderedDict[Hashable, float] = OrderedDict()
        self._successes: OrderedDict[str, float] = OrderedDict()

    def locked_until(self, address: str, login: bytes, now_unix: float) -> float | None:
        """Return when the lock ends that this login at this address is under, if it is."""
        if self.is_trusted(address, now_unix):
            return None
        until = max(self._locks.get(address, 0.0), self._locks.get((address, login), 0.0))
        return until if until > now_unix else None

    def begin_guess(self, address: str, now_unix: float) -> float | None:
        """Count a guess that is about to be verified; return until when none is allowed instead, if so.

        Counted before its outcome is known: else parallel connections would overrun the bound.
        """
        guesses = _recent(self._guesses, address, GUESSES, now_unix - GUESS_SECONDS)
        if len(guesses) >= GUESSES:
            return guesses[0] + GUESS_SECONDS
        guesses.append(now_unix)
        return None

    def failed(self, address: str, login: bytes, now_unix: float) -> None:
        """Count a failure, and lock what has reached its bound."""
        for key, bound in (((address, login), FAILURES), (address, STRANGER_FAILURES)):
            failures = _recent(self._failures, key, bound, now_unix - WINDOW_SECONDS)
            failures.append(now_unix)
            if len(failures) >= bound:
                self._locks[key] = now_unix + LOCK_SECONDS
                failures.clear()
                _trim(self._locks)

    def succeeded(self, address: str, login: bytes, now_unix: float) -> None:
        """Trust the address from now on, and forget the failures of this login."""
        self._successes[address] = now_unix
        self._successes.move_to_end(address)
        _trim(self._successes)
        self._failures.pop((address, login), None)

    def is_trusted(self, address: str, now_unix: float) -> bool:
        """Tell whether a login has succeeded from there in the last 24 h."""
        return now_unix - self._successes.get(address, float("-inf")) < TRUST_SECONDS


def _recent(table: OrderedDict[Hashable, deque[float]], key: Hashable, bound: int, after_unix: float) -> deque[float]:
    """Return the instants of `key` after `after_unix`, making room for it."""
    instants = table.setdefault(key, deque(maxlen=bound))
    table.move_to_end(key)
    _trim(table)
    while instants and instants[0] <= after_unix:
        instants.popleft()
    return instants


def _trim(
    table: "OrderedDict[Hashable, deque[float]] | OrderedDict[Hashable, float] | OrderedDict[str, float]",
) -> None:
    while len(table) > ENTRIES:
        table.popitem(last=False)
