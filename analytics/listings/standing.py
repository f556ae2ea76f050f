"""Where a subject stands at a list: a listing counts after it was seen twice, ten minutes apart, and until it was not
seen twice. What is no answer changes nothing. Pure.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from relay.dns_lists import Said

CONFIRM = timedelta(minutes=10)
_DAILY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """`said`: the last real answer, listed or clean (unknown before the first one), since when, and when it was asked
    last. `is_confirmed`: a listing is in force."""

    said: Said
    since_at: datetime
    checked_at: datetime
    is_confirmed: bool = False

    @property
    def is_pending(self) -> bool:
        """Whether the next look decides."""
        return self.is_confirmed != (self.said is Said.LISTED)


def advance(before: Standing | None, said: Said, now: datetime) -> Standing:
    """Take one more answer into account."""
    if before is None:
        known = said if said in (Said.LISTED, Said.CLEAN) else Said.UNKNOWN
        return Standing(known, now, now)
    if said not in (Said.LISTED, Said.CLEAN):
        return replace(before, checked_at=now)
    if said is not before.said:
        return Standing(said, now, now, before.is_confirmed)
    is_confirmed = said is Said.LISTED if now - before.since_at >= CONFIRM else before.is_confirmed
    return replace(before, checked_at=now, is_confirmed=is_confirmed)


def due_at(standing: Standing | None, key: str, every: timedelta) -> datetime | None:
    """When to ask again; None: now. Jittered by a tenth, so that not everything is asked in the same minute."""
    if standing is None:
        return None
    if standing.is_pending:
        return standing.checked_at + CONFIRM
    return standing.checked_at + every * (0.9 + 0.2 * _chance(f"{key} {standing.checked_at.timestamp()}"))


def period(kind: str, every: timedelta) -> timedelta:
    """How often a subject is asked about: addresses as set, domains daily."""
    return every if kind == "ip" else _DAILY


def _chance(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) / 2**32
