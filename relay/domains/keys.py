"""A customer's domain and its DKIM keys as values, and what a look into DNS changes of them. Pure."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from relay.delivery.signing.algorithm import Algorithm
from relay.delivery.signing.dkim_keys import generate_key
from relay.domains.views import KeyState

_RANDOM_BYTES = 2  # two accounts that claim one domain on one day must not ask for one name


class Sight(StrEnum):
    """What stands in DNS where a key's record should: it, nothing, something else; or nobody knows."""

    SEEN = "seen"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A key pair of an account's domain. `pem` is the private key, b"" once it is retired."""

    account: str
    domain: str
    selector: str
    algorithm: Algorithm
    pem: bytes = field(repr=False)
    created_at: datetime
    state: KeyState = KeyState.PENDING
    seen_at: datetime | None = None
    retired_at: datetime | None = None

    @property
    def id(self) -> tuple[str, str, str]:
        return self.account, self.domain, self.selector


@dataclass(frozen=True, slots=True)
class Domain:
    """What is proved of a domain of an account. `return_path_host` takes its bounces, once that was verified."""

    account: str
    name: str
    verified_at: datetime | None = None
    return_path_host: str = ""
    return_path_verified_at: datetime | None = None


def new_key(account: str, domain: str, algorithm: Algorithm, now: datetime) -> DkimKey:
    """Make a pending key under a selector of its own, like mw20261126-3f9a. RSA takes a tenth of a second."""
    selector = f"mw{now:%Y%m%d}-{secrets.token_hex(_RANDOM_BYTES)}"
    return DkimKey(account, domain, selector, algorithm, generate_key(algorithm), now)


def retired(key: DkimKey, now: datetime) -> DkimKey:
    """The key without its private half, which nothing needs any more."""
    return replace(key, state=KeyState.RETIRED, pem=b"", retired_at=now)


def after_look(keys: Iterable[DkimKey], sights: Mapping[str, Sight], now: datetime) -> list[DkimKey]:
    """Return the keys of one domain that a look into DNS changes, as they are then. `sights`: by selector.

    A pending key that is seen takes over from the older ones of its algorithm. An active one whose record is surely
    gone waits again: its signatures would only fail. What DNS did not tell changes nothing.
    """
    living = [key for key in keys if key.state is not KeyState.RETIRED]
    changed: dict[str, DkimKey] = {}
    for key in living:
        sight = sights.get(key.selector, Sight.UNKNOWN)
        if sight is Sight.SEEN and key.state is KeyState.PENDING:
            changed[key.selector] = replace(key, state=KeyState.ACTIVE, seen_at=now)
        elif sight in (Sight.MISSING, Sight.WRONG) and key.state is KeyState.ACTIVE:
            changed[key.selector] = replace(key, state=KeyState.PENDING)
    for key in living:
        now_key = changed.get(key.selector, key)
        if now_key.state is KeyState.ACTIVE and _is_replaced(now_key, living, changed):
            changed[key.selector] = retired(now_key, now)
    return [*changed.values()]


def _is_replaced(key: DkimKey, living: Sequence[DkimKey], changed: Mapping[str, DkimKey]) -> bool:
    """Tell whether a newer key of the same algorithm signs now."""
    return any(
        (other.created_at, other.selector) > (key.created_at, key.selector)
        for other in (changed.get(known.selector, known) for known in living)
        if other.algorithm is key.algorithm and other.state is KeyState.ACTIVE
    )
