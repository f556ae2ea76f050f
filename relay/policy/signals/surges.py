"""Whether an account, a whole server, sends far more than usual: a warning, never more (spec 2.3).

Above three times the 95th percentile of its own last 14 days in this hour of the week and its neighbours, once in six
hours. An account has no limit of its own: its operator should hear of it. A counters.Source; pure of clocks.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from relay.policy.signals.counters import Table
from relay.policy.signals.habits import Habits

_log = logging.getLogger("mailweir.policy")

QUIET_SECONDS = 6 * 3_600.0
TIMES_USUAL = 3.0
LEAST = 100  # recipients in an hour that are worth a word

_MEMORY_WEEKS = 2
_KEPT_SECONDS = 30 * 86_400.0


class _Account(msgspec.Struct, array_like=True, gc=False):
    first_seen_unix: float
    habits: Habits
    quiet_until: float = 0.0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Account).decode


@dataclass(frozen=True, slots=True)
class Surge:
    """Recipients of this hour, and what is usual."""

    volume: int
    usual: float


class Surges:
    """The volume of every account."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._dirty: set[str] = set()

    def table(self) -> Table:
        """Where they are kept."""
        return Table("account_volume", self, _KEPT_SECONDS)

    def note(self, account: str, recipients: int, now_unix: float) -> Surge | None:
        """Count a message in; return the surge that is worth a warning."""
        known = self._accounts.get(account)
        if known is None:
            known = self._accounts[account] = _Account(now_unix, Habits(memory=_MEMORY_WEEKS))
        habits = known.habits
        habits.count(recipients, (), now_unix, known.first_seen_unix)
        self._dirty.add(account)
        usual = habits.usual_volume.usual
        if habits.weeks < _MEMORY_WEEKS or habits.volume <= max(LEAST, TIMES_USUAL * usual):
            return None
        if now_unix < known.quiet_until:
            return None
        known.quiet_until = now_unix + QUIET_SECONDS
        return Surge(habits.volume, usual)

    def dirty(self) -> list[tuple[str, bytes]]:
        rows = [(account, _encode(self._accounts[account])) for account in self._dirty]
        self._dirty.clear()
        return rows

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        corrupt = 0
        for account, row in rows:
            try:
                self._accounts[account] = _decode(row)
            except (msgspec.DecodeError, UnicodeError) as error:
                corrupt += 1
                _log.warning("account row unreadable account=%r error=%s", account, error)
        return corrupt
