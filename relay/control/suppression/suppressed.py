"""Which recipients an account may not write to, as RCPT asks: one keyed hash and two searches, 13 bytes a row.

Hashes lie sorted in 1,024 shards, so that a million rows take 17 MB and a new one moves a few KB; a dict would take
100 MB. The key is made anew in each process. A row found by chance is one look-up in 2^64 / rows. The texts of the rows
stay in the database.
"""

import hashlib
import secrets
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache

import idna

EVERYBODY = ""  # the account of rows that hold for all accounts

_SHARD_BITS = 10
_SHIFT = 64 - _SHARD_BITS
_REASON_BITS = 3
_NEVER = (1 << (32 - _REASON_BITS)) - 1  # minutes since 1970; the last number that fits stands in the year 2990


class Reason(StrEnum):
    """Why a recipient is suppressed. The order is that of what is kept in memory: append only, at most eight."""

    UNSUBSCRIBE = "unsubscribe"
    COMPLAINT = "complaint"
    HARD_BOUNCE = "hard_bounce"
    BY_HAND = "by_hand"
    TRAP = "trap"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One row: no mail of this account (EVERYBODY: of any) to this address, until `ends_at` (None: for good)."""

    account: str
    address: str
    reason: Reason
    evidence: str = ""
    created_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a recipient is refused now, and until when (None: for good)."""

    reason: Reason
    ends_at: datetime | None


def one_spelling(address: str) -> str:
    """Return an address in lower case, its domain in A-labels (IDNA 2008): both spellings of one domain are one.

    >>> one_spelling("Ann@MÜNCHEN.example") == one_spelling("ann@xn--mnchen-3ya.example")
    True
    """
    lowered = address.lower()
    return lowered if lowered.isascii() else _in_ascii(lowered)


class Suppressed:
    """A map from (account, address) to reason and end."""

    def __init__(self, rows: Iterable[Suppression] = ()) -> None:
        self._key = secrets.token_bytes(16)
        self._hashes = [array("Q") for _ in range(1 << _SHARD_BITS)]
        self._facts = [array("I") for _ in range(1 << _SHARD_BITS)]
        self._salts: dict[str, int] = {}
        self._count = self._of_everybody = 0
        for row in rows:
            self.put(row)

    def __len__(self) -> int:
        return self._count

    def find(self, account: str, address: str, now_unix: float) -> Blocked | None:
        """Return why mail of this account to this address is refused now."""
        if not self._count:
            return None
        hashed = self._hash(address)
        own = self._fact(hashed ^ self._salt(account), now_unix)
        if own is None and self._of_everybody:
            own = self._fact(hashed, now_unix)
        return None if own is None else _blocked(own)

    def own(self, account: str, address: str) -> Blocked | None:
        """Return the row of exactly this account, over or not."""
        found = self._get(self._hash(address) ^ self._salt(account))
        return None if found is None else _blocked(found)

    def put(self, row: Suppression) -> None:
        """Add a row, or take it in place of the one of its account and address."""
        self._set(row.account, row.address, _fact_of(row.reason, row.ends_at))

    def restore(self, account: str, address: str, blocked: Blocked | None) -> None:
        """Take what `own` said before a change that failed."""
        if blocked is None:
            self.remove(account, address)
        else:
            self._set(account, address, _fact_of(blocked.reason, blocked.ends_at))

    def remove(self, account: str, address: str) -> bool:
        """Take a row out; tell whether there was one."""
        value = self._hash(address) ^ self._salt(account)
        hashes, facts = self._hashes[value >> _SHIFT], self._facts[value >> _SHIFT]
        at = bisect_left(hashes, value)
        if at == len(hashes) or hashes[at] != value:
            return False
        del hashes[at], facts[at]
        self._count -= 1
        self._of_everybody -= account == EVERYBODY
        return True

    def _set(self, account: str, address: str, fact: int) -> None:
        value = self._hash(address) ^ self._salt(account)
        hashes, facts = self._hashes[value >> _SHIFT], self._facts[value >> _SHIFT]
        at = bisect_left(hashes, value)
        if at < len(hashes) and hashes[at] == value:
            facts[at] = fact
            return
        hashes.insert(at, value)
        facts.insert(at, fact)
        self._count += 1
        self._of_everybody += account == EVERYBODY

    def _get(self, value: int) -> int | None:
        hashes = self._hashes[value >> _SHIFT]
        at = bisect_left(hashes, value)
        return self._facts[value >> _SHIFT][at] if at < len(hashes) and hashes[at] == value else None

    def _fact(self, value: int, now_unix: float) -> int | None:
        found = self._get(value)
        if found is None:
            return None
        minutes = found >> _REASON_BITS
        return found if minutes == _NEVER or minutes * 60 > now_unix else None

    def _hash(self, address: str) -> int:
        # a local part that is no UTF-8 never gets past the door (front/address.py)
        text = one_spelling(address).encode("utf-8", "surrogateescape")
        return int.from_bytes(hashlib.blake2b(text, key=self._key, digest_size=8).digest(), "little")

    def _salt(self, account: str) -> int:
        if account == EVERYBODY:
            return 0
        salt = self._salts.get(account)
        if salt is None:
            salt = self._salts[account] = self._hash(f"\0{account}")  # no address has a NUL
        return salt


@lru_cache(maxsize=1024)  # 30 us, and a mailing asks again and again
def _in_ascii(address: str) -> str:
    """With its domain in A-labels; as it is where no such domain can exist."""
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode()}" if not domain.isascii() else address
    except UnicodeError:  # idna.IDNAError is one
        return address


def _fact_of(reason: Reason, ends_at: datetime | None) -> int:
    # rounded up: a row must not end before its time
    minutes = _NEVER if ends_at is None else min(-int(-ends_at.timestamp() // 60), _NEVER - 1)
    return (minutes << _REASON_BITS) | _NUMBERS[reason]


def _blocked(fact: int) -> Blocked:
    minutes = fact >> _REASON_BITS
    ends_at = None if minutes == _NEVER else datetime.fromtimestamp(minutes * 60, UTC)
    return Blocked(_REASONS[fact & ((1 << _REASON_BITS) - 1)], ends_at)


_REASONS = [*Reason]
_NUMBERS = {reason: number for number, reason in enumerate(Reason)}
