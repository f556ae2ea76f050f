"""Return paths that say what a bounce is about: `b+TOKEN@bounce.domain`, one for each message and recipient (VERP).

The token is 35 bytes in lower-case base32: version, key id, node, message number, recipient number, day, MAC. So a
bounce finds its message without a database that remembers every recipient, and nobody else can make one up.
Pure: `now` is passed in. Must never say why a token is not taken: who guesses must learn nothing.
"""

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

VALID_DAYS = 30  # a token, after the day its message came; a key, after the next one has taken its place

_PREFIX = "b+"
_VERSION = 1
_NODE_BYTES = 11  # 16 characters of 37 values are 83.4 bits
_FORM = f">BB{_NODE_BYTES}sQHH"  # version, key id, node, message number, recipient number, day
_MAC_BYTES = 10  # 80 bits: guessed at a billion tries a second in 19 million years
# 25 + 10 bytes are 56 characters without a bit to spare: no second spelling of a token is valid. With the prefix 58 of
# the 64 that a local part may have (RFC 5321 section 4.5.3.1.1).
_TOKEN = re.compile(r"b\+([a-z2-7]{56})", re.ASCII)
_NODE_SIGNS = "0123456789abcdefghijklmnopqrstuvwxyz"  # node.name in settings.py
_DAY_SECONDS = 86_400
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Key:
    """A secret that signs tokens from `created_at` on, until a younger one does."""

    id: int
    secret: bytes = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Traced:
    """What a token says: the node that sent the message, the message's number there, which of its recipients it is."""

    node: str
    number: int
    position: int

    @property
    def message_id(self) -> str:
        return f"{self.node}.{self.number}"


class Keyring:
    """The keys of one relay, or of several that share a state."""

    def __init__(self, keys: Sequence[Key]) -> None:
        """`keys`: one at least."""
        self._keys = sorted(keys, key=lambda key: key.created_at)
        self._by_id = {key.id: key for key in self._keys}

    def return_path(self, traced: Traced, received_at: datetime, domain: str) -> str:
        """Return the address for MAIL FROM.

        It depends on nothing but the message: a greylist must see the same at each attempt, whatever key is youngest.
        """
        key = self._signer(received_at)
        day = int(received_at.timestamp()) // _DAY_SECONDS
        payload = struct.pack(
            _FORM, _VERSION, key.id, _packed(traced.node), traced.number, traced.position, day & 0xFFFF
        )
        token = base64.b32encode(payload + _mac(key.secret, payload, domain)).decode().lower()
        return f"{_PREFIX}{token}@{domain}"

    def read(self, address: str, now: datetime) -> Traced | None:
        """Return what a return path of ours says, in whatever case it came back; None for all that is none, or old."""
        local, _, domain = address.rpartition("@")
        found = _TOKEN.fullmatch(local.lower()) if local.isascii() and domain.isascii() else None
        if found is None:
            return None
        raw = base64.b32decode(found[1].upper())
        payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        version, key_id, node, number, position, day = struct.unpack(_FORM, payload)
        key = self._by_id.get(key_id)
        is_genuine = hmac.compare_digest(mac, _mac(key.secret if key else _NOBODY, payload, domain))
        age = int(now.timestamp()) // _DAY_SECONDS - day
        if not (is_genuine and key and version == _VERSION and -1 <= age <= VALID_DAYS and self._verifies(key, now)):
            return None
        return Traced(_unpacked(node), number, position)

    def _signer(self, received_at: datetime) -> Key:
        return next((key for key in reversed(self._keys) if key.created_at <= received_at), self._keys[0])

    def _verifies(self, key: Key, now: datetime) -> bool:
        following = self._keys.index(key) + 1
        return following == len(self._keys) or now < end_of(self._keys[following].created_at)


def end_of(replaced_at: datetime) -> datetime:
    """Return when a key ends that was replaced then: the last of its tokens are over at the end of that day."""
    midnight = replaced_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=VALID_DAYS + 1)


def _mac(secret: bytes, payload: bytes, domain: str) -> bytes:
    # keyed BLAKE2 for the reason in headers.py
    return hashlib.blake2b(payload + domain.lower().encode(), key=secret, digest_size=_MAC_BYTES).digest()


def _packed(node: str) -> bytes:
    """A node's name as a number of base 37, whose digits begin at 1: no name is the beginning of another."""
    value = 0
    for sign in node:
        value = value * 37 + _NODE_SIGNS.index(sign) + 1
    return value.to_bytes(_NODE_BYTES, "big")


def _unpacked(packed: bytes) -> str:
    value, signs = int.from_bytes(packed, "big"), []
    while value:
        value, digit = divmod(value, 37)
        signs.append(_NODE_SIGNS[digit - 1])
    return "".join(reversed(signs))
