"""Logins: verify a password, remember the answer for a while, and refuse who guesses.

The order in `check` matters. A lock comes first, so that a right guess during a lock learns nothing. A remembered
password comes before the bound on an address's guesses, so that whoever knows his password never notices who else
guesses from there. A login that does not exist, is revoked, or is used outside its networks takes the same way and the
same time as a wrong password. Addresses, passwords and logins that failed are kept here as keyed hashes only.
"""

import asyncio
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from weakref import WeakValueDictionary

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from relay.account import Credential
from relay.clock import Clock
from relay.front.bindings import may_come_from
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
    """What argon2 said of a password: the hash it is right for, "" for none. Void once `hashes` are other ones."""

    hashes: tuple[str, str]
    proven: str
    until_unix: float


class Authenticator:
    """Checks logins against `credentials`, which may change at any time.

    `secret` makes the hashes the same after a restart, as long as it is the same; b"": only until then. `on_success`
    hears login and client address of every login.
    """

    def __init__(
        self,
        credentials: Mapping[str, Credential],
        clock: Clock,
        hasher: PasswordHasher | None = None,
        *,
        secret: bytes = b"",
        on_success: Callable[[str, str], None] = lambda login, client_ip: None,
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._hasher = hasher or PasswordHasher()
        self._dummy = self._hasher.hash(secrets.token_urlsafe())
        # Not the secret itself, and for passwords one that is never on disk
        self._key = hmac.digest(secret or secrets.token_bytes(32), b"logins and their addresses", "sha256")
        self._password_key = secrets.token_bytes(32)
        self._on_success = on_success
        self.lockout = Lockout()
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._threads = ThreadPoolExecutor(VERIFIERS, thread_name_prefix="argon2")

    async def check(self, login: bytes, password: bytes, client_ip: str) -> Credential | Locked | None:
        """Return the credential, None for a wrong login or password, Locked for a client that guessed too often.

        Its `hash` is the one the password was right for: the previous one for an old password in its overlap.
        """
        address, hashed = self._hashed(_network(client_ip)), self._hashed(login)
        until = self.lockout.locked_until(address, hashed, self._clock.unix())
        if until is not None:
            return Locked(until)
        credential = self._credential(login, client_ip)
        pair = hmac.digest(self._password_key, hashed + password, "sha256")
        proven = self._remembered(pair, credential)
        if proven is None:
            # One at a time per address: a burst of logins costs one verification, and guesses of one address
            # never take both verifiers from everybody else
            turn = self._turns.setdefault(address, asyncio.Lock())
            async with turn:
                credential = self._credential(login, client_ip)  # it may have changed during the wait
                proven = self._remembered(pair, credential)
                if proven is None:
                    until = self._may_not_guess(address, hashed)
                    if until is not None:
                        return Locked(until)
                    proven = await self._verify(pair, credential, password)
        current = self._credential(login, client_ip)  # revoked or rotated while its password was looked at?
        return self._conclude(address, hashed, client_ip, current, proven)

    def is_usable(self, login: str, client_ip: str, now: datetime, proven_hash: str = "") -> bool:
        """Tell whether a session that logged in may go on: not revoked, in its networks, its password not replaced.

        Cheap enough for every message. `proven_hash` is the `hash` that `check` returned; without it a session whose
        password was rotated away lasts until it ends by itself.
        """
        credential = self._credentials.get(login)
        if credential is None or credential.is_revoked or not may_come_from(credential, client_ip):
            return False
        return not proven_hash or proven_hash in _good_hashes(credential, now)

    def is_trusted(self, client_ip: str) -> bool:
        """Tell whether somebody logged in from this address in the last 24 h."""
        return self.lockout.is_trusted(_network(client_ip), self._clock.unix())

    def login_hash(self, login: bytes) -> str:
        """Return what may be logged of a login that failed: the same for the same login of this relay."""
        return self._hashed(login).hex()[:16]

    def close(self) -> None:
        """Stop the verifiers; a check under way ends with CancelledError."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _conclude(
        self, address: bytes, hashed: bytes, client_ip: str, credential: Credential | None, proven: str
    ) -> Credential | None:
        if credential is None or proven not in self._good(credential):
            self.lockout.failed(address, hashed, self._clock.unix())
            return None
        self.lockout.succeeded(address, hashed, self._clock.unix())
        self._on_success(credential.login, client_ip)
        return credential if proven == credential.hash else replace(credential, hash=proven)

    def _credential(self, login: bytes, client_ip: str) -> Credential | None:
        """The credential, None also for one that is of no use to this client."""
        try:
            found = self._credentials.get(login.decode())
        except UnicodeDecodeError:
            return None
        return found if found and not found.is_revoked and may_come_from(found, client_ip) else None

    def _may_not_guess(self, address: bytes, hashed: bytes) -> float | None:
        now_unix = self._clock.unix()
        return self.lockout.locked_until(address, hashed, now_unix) or self.lockout.begin_guess(address, now_unix)

    def _remembered(self, pair: bytes, credential: Credential | None) -> str | None:
        answer = self._answers.get(pair)
        if answer is None:
            return None
        is_void = answer.until_unix <= self._clock.unix() or answer.hashes != _hashes_of(credential)
        if is_void or (answer.proven and credential and answer.proven not in self._good(credential)):
            del self._answers[pair]
            return None
        self._answers.move_to_end(pair)
        return answer.proven

    async def _verify(self, pair: bytes, credential: Credential | None, password: bytes) -> str:
        hashes, known = self._hashes_to_try(credential), _hashes_of(credential)
        loop = asyncio.get_running_loop()
        matching = await loop.run_in_executor(self._threads, self._matching, hashes, password[:PASSWORD_BYTES])
        proven = matching if credential is not None and len(password) <= PASSWORD_BYTES else ""
        self._answers[pair] = _Answer(known, proven, self._clock.unix() + REMEMBER_SECONDS)
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return proven

    def _hashes_to_try(self, credential: Credential | None) -> list[str]:
        """A wrong password costs the same work for every login, unknown ones too: while any login here has an old
        password in its overlap, all are tried against two hashes."""
        hashes = self._good(credential) if credential else [self._dummy]
        now = self._clock.now()
        overlaps = (other.previous_until for other in self._credentials.values())
        if len(hashes) == 1 and any(until is not None and now < until for until in overlaps):
            hashes.append(self._dummy)
        return hashes

    def _matching(self, hashes: Sequence[str], password: bytes) -> str:
        """The first hash that the password fits, "" for none; runs on a thread."""
        for known in hashes:
            try:
                if self._hasher.verify(known, password):
                    return known
            except (VerificationError, InvalidHashError):
                continue
        return ""

    def _good(self, credential: Credential) -> list[str]:
        return _good_hashes(credential, self._clock.now())

    def _hashed(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")[:16]


def _hashes_of(credential: Credential | None) -> tuple[str, str]:
    return (credential.hash, credential.previous_hash) if credential else ("", "")


def _good_hashes(credential: Credential, now: datetime) -> list[str]:
    until = credential.previous_until
    if credential.previous_hash and until is not None and now < until:
        return [credential.hash, credential.previous_hash]
    return [credential.hash]


def _network(client_ip: str) -> bytes:
    """Return the address, of IPv6 its /64: a customer has that many for nothing."""
    try:
        address = ip_address(client_ip.partition("%")[0])
    except ValueError:  # no peer name: the client has left already
        return client_ip.encode()
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64)
    return str(address).encode()
