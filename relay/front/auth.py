"""Logins: verify a password, remember the answer for a while, and refuse who guesses.

The order in `check` matters. A lock comes first, so that a right guess during a lock learns nothing. A remembered
password comes before the bound on an address's guesses, so that whoever knows his password never notices who else
guesses from there. Passwords, and logins that failed, are kept here as keyed hashes only.
"""

import asyncio
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from weakref import WeakValueDictionary

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from relay.clock import Clock
from relay.envelope import Credential
from relay.front.lockout import Lockout

VERIFIERS = 2  # at once; each takes 64 MiB and some 50 ms of a core
REMEMBER_SECONDS = 900
REMEMBERED = 10_000
PASSWORD_BYTES = 1_024  # a longer one is nobody's, and would only feed the hash function


@dataclass(frozen=True, slots=True)
class Locked:
    """No password of this client is looked at before `until_unix`."""

    until_unix: float


@dataclass(frozen=True, slots=True)
class _Answer:
    """What argon2 said, and of which hash ("": no such login). Void once the credential has another one."""

    hash: str
    is_right: bool
    until_unix: float


class Authenticator:
    """Checks logins against `credentials`, which may change at any time."""

    def __init__(
        self, credentials: Mapping[str, Credential], clock: Clock, hasher: PasswordHasher | None = None
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._hasher = hasher or PasswordHasher()
        self._dummy = self._hasher.hash(secrets.token_urlsafe())
        self._key = secrets.token_bytes(32)
        self._lockout = Lockout()
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._threads = ThreadPoolExecutor(VERIFIERS, thread_name_prefix="argon2")

    async def check(self, login: bytes, password: bytes, client_ip: str) -> Credential | Locked | None:
        """Return the credential, None for a wrong login or password, Locked for a client that guessed too often."""
        address, hashed = _network(client_ip), self._hashed(login)
        until = self._lockout.locked_until(address, hashed, self._clock.unix())
        if until is not None:
            return Locked(until)
        credential, pair = self._credential(login), self._hashed(hashed + password)
        is_right = self._remembered(pair, credential)
        if is_right is None:
            # One at a time per address: a burst of logins costs one verification, and guesses of one address
            # never take both verifiers from everybody else
            turn = self._turns.setdefault(address, asyncio.Lock())
            async with turn:
                is_right = self._remembered(pair, credential)
                if is_right is None:
                    until = self._may_not_guess(address, hashed)
                    if until is not None:
                        return Locked(until)
                    is_right = await self._verify(pair, credential, password)
        if is_right and credential is not None:
            self._lockout.succeeded(address, hashed, self._clock.unix())
            return credential
        self._lockout.failed(address, hashed, self._clock.unix())
        return None

    def is_trusted(self, client_ip: str) -> bool:
        """Tell whether somebody logged in from this address in the last 24 h."""
        return self._lockout.is_trusted(_network(client_ip), self._clock.unix())

    def login_hash(self, login: bytes) -> str:
        """Return what may be logged of a login that failed: the same for the same login until the next start."""
        return self._hashed(login).hex()[:16]

    def close(self) -> None:
        """Stop the verifiers; a check under way ends with CancelledError."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _credential(self, login: bytes) -> Credential | None:
        try:
            found = self._credentials.get(login.decode())
        except UnicodeDecodeError:
            return None
        return None if found is None or found.is_revoked else found

    def _may_not_guess(self, address: str, hashed: bytes) -> float | None:
        now_unix = self._clock.unix()
        return self._lockout.locked_until(address, hashed, now_unix) or self._lockout.begin_guess(address, now_unix)

    def _remembered(self, pair: bytes, credential: Credential | None) -> bool | None:
        answer = self._answers.get(pair)
        if answer is None:
            return None
        if answer.until_unix <= self._clock.unix() or answer.hash != _hash_of(credential):
            del self._answers[pair]
            return None
        self._answers.move_to_end(pair)
        return answer.is_right

    async def _verify(self, pair: bytes, credential: Credential | None, password: bytes) -> bool:
        # an unknown login costs the same time as a known one
        against = credential.hash if credential else self._dummy
        loop = asyncio.get_running_loop()
        matches = await loop.run_in_executor(self._threads, self._matches, against, password[:PASSWORD_BYTES])
        is_right = matches and credential is not None and len(password) <= PASSWORD_BYTES
        self._answers[pair] = _Answer(_hash_of(credential), is_right, self._clock.unix() + REMEMBER_SECONDS)
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return is_right

    def _matches(self, against: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(against, password)
        except (VerificationError, InvalidHashError):
            return False

    def _hashed(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")


def _hash_of(credential: Credential | None) -> str:
    return credential.hash if credential else ""


def _network(client_ip: str) -> str:
    """Return the address, of IPv6 its /64: a customer has that many for nothing."""
    address = ip_address(client_ip.partition("%")[0])
    if not isinstance(address, IPv6Address):
        return client_ip
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
