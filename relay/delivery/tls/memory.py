"""What delivery knows of other people's TLS, beyond a restart: hosts with broken TLS, MTA-STS policies."""

from collections.abc import Iterable

from relay.delivery.tls.mta_sts_cache import Policies
from relay.policy.signals.counters import Table

_BROKEN_SECONDS = 3 * 86_400.0  # spec 2.9: KumoMTA's figure
_POLICY_SECONDS = 2 * 31_557_600.0  # longer than any max_age; policies know their own end
_MOST = 10_000


class BrokenTls:
    """Hosts whose handshake failed: clear text at once for three days. A counters.Source."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._dirty: set[str] = set()

    def is_broken(self, host_key: str, now_unix: float) -> bool:
        return self._until.get(host_key, 0.0) > now_unix

    def note(self, host_key: str, now_unix: float) -> None:
        """Remember that a handshake failed."""
        self._until.pop(host_key, None)  # the youngest stands last
        self._until[host_key] = now_unix + _BROKEN_SECONDS
        self._dirty.add(host_key)
        if len(self._until) > _MOST:
            oldest = next(iter(self._until))
            del self._until[oldest]
            self._dirty.add(oldest)

    def dirty(self) -> list[tuple[str, bytes]]:
        changed, self._dirty = self._dirty, set()
        return [(key, str(self._until[key]).encode() if key in self._until else b"") for key in sorted(changed)]

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        unreadable = 0
        for key, row in rows:
            try:
                self._until[key] = float(row)
            except ValueError:
                unreadable += 1
        return unreadable


class TlsMemory:
    """Both, and the tables that keep them."""

    def __init__(self) -> None:
        self.broken, self.policies = BrokenTls(), Policies()

    def tables(self) -> list[Table]:
        return [
            Table("broken_tls", self.broken, _BROKEN_SECONDS, _MOST),
            Table("mta_sts", self.policies, _POLICY_SECONDS),
        ]
