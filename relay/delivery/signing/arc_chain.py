"""The chain of ARC seals on a message (RFC 8617): taken apart, and checked with keys somebody else has looked up. Pure.

What this cannot check (a canonicalisation nobody uses, a key nobody could fetch) is `unknown`, never passed or failed.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from relay.delivery.signing.dkim import Field, relaxed

MOST_SETS = 50  # RFC 8617 4.2.1
_SEAL, _MESSAGE, _RESULTS = b"arc-seal", b"arc-message-signature", b"arc-authentication-results"
_KINDS = (_RESULTS, _MESSAGE, _SEAL)  # the order in which a seal covers a set (5.1.1)
_instance = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*(\d{1,3})[ \t\r\n]*(?:;|$)").match
_UNSIGNED = re.compile(rb"((?:^|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_SMALLEST_RSA = 1024  # RFC 8301 3.2

Tags = Mapping[bytes, bytes]


class Validation(StrEnum):
    """What a chain came to; the first three are cv= of the next seal."""

    NONE = "none"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Chain:
    """The sets of a message, first instance first, each results, message signature and seal. `is_sound`: RFC 8617 5.2,
    steps 1 to 3; without it `sets` may lack what nobody can put in order."""

    sets: list[tuple[bytes, bytes, bytes]]
    is_sound: bool
    next_instance: int

    def key_names(self) -> list[str]:
        """Where the keys stand that are needed to check it: `selector._domainkey.domain`."""
        values = [seal for _, _, seal in self.sets] + [message for _, message, _ in self.sets[-1:]]
        return [*dict.fromkeys(_key_name(tags_of(value)) for value in values)] if self.is_sound else []


def chain_of(fields: Sequence[Field]) -> Chain:
    """Take the sets out of a header block whose names are in lower case."""
    found: dict[int, dict[bytes, bytes]] = {}
    is_sound = True
    for name, value in fields:
        if name in _KINDS:
            instance = int(matched[1]) if (matched := _instance(value)) else 0
            own = found.setdefault(instance, {})
            is_sound = is_sound and name not in own
            own[name] = value
    numbers = sorted(found)
    is_sound = is_sound and numbers == [*range(1, len(numbers) + 1)] and len(numbers) <= MOST_SETS
    if not is_sound or any(len(own) < len(_KINDS) for own in found.values()):
        return Chain([], not found, max(numbers, default=0) + 1)
    sets = [(found[n][_RESULTS], found[n][_MESSAGE], found[n][_SEAL]) for n in numbers]
    claimed = [tags_of(seal).get(b"cv", b"").lower() for _, _, seal in sets]
    is_sound = claimed == [b"none", *[b"pass"] * (len(sets) - 1)] if sets else True
    return Chain(sets, is_sound, len(sets) + 1)


def is_ended(fields: Sequence[Field]) -> bool:
    """Tell whether somebody before us has found the chain broken: nobody adds to it any more (RFC 8617 5.1.2)."""
    return any(name == _SEAL and tags_of(value).get(b"cv", b"").lower() == b"fail" for name, value in fields)


def validate(
    chain: Chain, fields: Sequence[Field], body_hash: Callable[[bool], bytes | None], keys: Mapping[str, str]
) -> Validation:
    """Check a message's chain. `body_hash`: bh= of the body, relaxed or (False) simple; None where that is not to be
    had. `keys`: the key records by name, as far as they are known; "" where DNS says that there is none."""
    if not chain.sets:
        return Validation.NONE if chain.is_sound else Validation.FAIL
    if not chain.is_sound:
        return Validation.FAIL
    found = [_message_holds(chain.sets[-1][1], fields, body_hash, keys)]
    found += [_seal_holds(chain.sets[:count], keys) for count in range(len(chain.sets), 0, -1)]
    if Validation.FAIL in found:
        return Validation.FAIL
    return Validation.UNKNOWN if Validation.UNKNOWN in found else Validation.PASS


def sealed_data(before: Sequence[tuple[bytes, bytes, bytes]], results: bytes, message: bytes, seal: bytes) -> bytes:
    """What a seal signs: all sets before it and its own, the seal without its b= and without a line end."""
    covered = [*before, (results, message)]
    fields = [(name, value) for own in covered for name, value in zip(_KINDS, own, strict=False)]
    return b"".join(name + b":" + relaxed(value) + b"\r\n" for name, value in fields) + _SEAL + b":" + relaxed(seal)


def tags_of(value: bytes) -> dict[bytes, bytes]:
    """The tags of a signature or key record, white space taken out."""
    pairs = (part.partition(b"=") for part in value.split(b";"))
    return {name.strip(): b"".join(text.split()) for name, sign, text in pairs if sign}


def _message_holds(
    value: bytes, fields: Sequence[Field], body_hash: Callable[[bool], bytes | None], keys: Mapping[str, str]
) -> Validation:
    tags = tags_of(value)
    header, _, body = (tags.get(b"c") or b"simple/simple").partition(b"/")
    if header != b"relaxed" or b"l" in tags:
        return Validation.UNKNOWN
    expected = body_hash(body == b"relaxed")
    if expected is None:
        return Validation.UNKNOWN
    names = [name.lower() for name in tags.get(b"h", b"").split(b":")]
    if expected != tags.get(b"bh") or b"from" not in names or _SEAL in names:
        return Validation.FAIL
    lowest_first: dict[bytes, list[bytes]] = {}
    for name, text in fields:
        lowest_first.setdefault(name, []).append(text)
    signed = [(name, lowest_first[name].pop()) for name in names if lowest_first.get(name)]
    data = b"".join(name + b":" + relaxed(text) + b"\r\n" for name, text in signed)
    return _holds(data + _MESSAGE + b":" + relaxed(_UNSIGNED.sub(rb"\1", value)), tags, keys)


def _seal_holds(sets: Sequence[tuple[bytes, bytes, bytes]], keys: Mapping[str, str]) -> Validation:
    results, message, seal = sets[-1]
    tags = tags_of(seal)
    if b"h" in tags:  # RFC 8617 4.1.3
        return Validation.FAIL
    return _holds(sealed_data(sets[:-1], results, message, _UNSIGNED.sub(rb"\1", seal)), tags, keys)


def _holds(data: bytes, tags: Tags, keys: Mapping[str, str]) -> Validation:
    record = keys.get(_key_name(tags))
    if record is None:
        return Validation.UNKNOWN
    found = tags_of(record.encode())
    try:
        signature, encoded = base64.b64decode(tags.get(b"b", b"")), base64.b64decode(found.get(b"p", b""))
        if tags.get(b"a") == b"ed25519-sha256":
            ed25519.Ed25519PublicKey.from_public_bytes(encoded).verify(signature, hashlib.sha256(data).digest())
            return Validation.PASS
        key = serialization.load_der_public_key(encoded)
        if not isinstance(key, rsa.RSAPublicKey) or tags.get(b"a") != b"rsa-sha256" or key.key_size < _SMALLEST_RSA:
            return Validation.FAIL
        key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, binascii.Error, UnsupportedAlgorithm, InvalidSignature):
        return Validation.FAIL
    return Validation.PASS


def _key_name(tags: Tags) -> str:
    name = tags.get(b"s", b"") + b"._domainkey." + tags.get(b"d", b"")
    return name.decode("ascii", "replace").lower()
