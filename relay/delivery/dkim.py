"""Our DKIM signature (RFC 6376): RSA-2048, SHA-256, relaxed/relaxed; and the header lines a message lacks.

Signs exactly the bytes it is given: lines end in CRLF, and no header that changes later may be among the signed ones.
"""

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

_SIGNED = (
    b"from to cc subject date message-id mime-version content-type content-transfer-encoding reply-to in-reply-to "
    b"references list-id list-unsubscribe list-unsubscribe-post list-help list-post list-subscribe list-owner "
    b"list-archive"
)
SIGNED = _SIGNED.split()
_MOST_OF_ONE_NAME = 20  # a header repeated a thousand times would make our own header that long
_WHITE = re.compile(rb"[ \t]{2,}|\t")
_COVERED = re.compile(rb"(?:^|;)[ \t\r\n]*h[ \t\r\n]*=([^;]*)").search
_TAIL_BYTES = 4096

Field = tuple[bytes, bytes]


def ensure_key(path: Path) -> bytes:
    """Return the PEM at `path`; make an RSA-2048 key there (mode 0600) when there is none.

    Raises OSError, and ValueError for what is no such key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    pem = path.read_bytes()
    load_key(pem)
    return pem


def load_key(pem: bytes) -> rsa.RSAPrivateKey:
    """Read a private key. Raises ValueError unless it is RSA of 2048 bits or more."""
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < 2048:
        raise ValueError("a DKIM key must be RSA of at least 2048 bits: smaller ones are ignored by large providers")
    return key


def dns_record(pem: bytes) -> str:
    """Return the TXT record to publish at `<selector>._domainkey.<domain>`."""
    public = load_key(pem).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def missing_headers(names: set[bytes], hostname: str, received_unix: float) -> list[Field]:
    """Return the fields to add to a message that has only `names` (lower case): a Date and a Message-ID."""
    added: list[Field] = []
    if b"date" not in names:
        stamp = format_datetime(datetime.fromtimestamp(received_unix, UTC))
        added.append((b"Date", b" " + stamp.encode()))
    if b"message-id" not in names:
        identity = f"{int(received_unix * 1000):x}.{secrets.token_hex(8)}@{hostname}"
        added.append((b"Message-ID", f" <{identity}>".encode()))
    return added


def names_in_signatures(fields: Iterable[Field]) -> set[bytes]:
    """Return the names (lower case) that signatures already on a message cover, present in it or not.

    A name without a field is signed as absent (RFC 6376 5.4): to add the field would break the author's signature, and
    with it DMARC, which costs more than a missing Date. Exim signs that way.
    """
    covered: set[bytes] = set()
    for name, value in fields:
        if name.lower() == b"dkim-signature" and (found := _COVERED(value)):
            covered.update(word.strip().lower() for word in found[1].split(b":"))
    return covered


def body_hash(content: bytes, body_at: int) -> bytes:
    """Return bh=: base64 of the SHA-256 of the relaxed body that starts at `body_at`."""
    body = memoryview(content)[body_at:]
    # The expressions only where there is white space to fold: 0.037 instead of 0.165 ms for 10 KB.
    if any(content.find(sign, body_at) >= 0 for sign in (b"  ", b"\t", b" \r\n")) or content.endswith(b" "):
        folded = _WHITE.sub(b" ", body).replace(b" \r\n", b"\r\n").rstrip(b" ")
        body = memoryview(folded)
    end = _without_blank_end(body)
    digest = hashlib.sha256(body[:end])
    if end:
        digest.update(b"\r\n")
    return base64.b64encode(digest.digest())


def signature(
    fields: Sequence[Field],
    body: bytes,
    domain: str,
    selector: str,
    key: rsa.RSAPrivateKey,
    *,
    extra: Sequence[bytes],
    now_unix: float,
) -> Field:
    """Return the DKIM-Signature field over `fields` (top to bottom, names in any case) and the body hash `body`.

    `extra` are further names to sign, in lower case. From is signed once more than it occurs: nobody can add another.
    """
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        by_name.setdefault(name.lower(), []).append(value)
    wanted = [name for name in dict.fromkeys([*SIGNED, *extra]) if name in by_name]
    signed = [name for name in wanted for _ in range(min(len(by_name[name]), _MOST_OF_ONE_NAME))]
    head = b" v=1; a=rsa-sha256; c=relaxed/relaxed; d=%s; s=%s;\r\n\tt=%d; h=%s;\r\n\tbh=%s;\r\n\tb=" % (
        domain.encode(),
        selector.encode(),
        now_unix,
        _fold_names([b"from", *signed]),
        body,
    )
    # of several fields of one name the lowest comes first (RFC 6376 5.4.2)
    lowest_first = {name: iter(values[::-1]) for name, values in by_name.items()}
    lines = [name + b":" + relaxed(next(lowest_first[name])) + b"\r\n" for name in signed]
    data = b"".join([*lines, b"dkim-signature:" + relaxed(head)])
    value = base64.b64encode(key.sign(data, padding.PKCS1v15(), hashes.SHA256()))
    return b"DKIM-Signature", head + b"\r\n\t ".join(value[at : at + 72] for at in range(0, len(value), 72))


def relaxed(value: bytes) -> bytes:
    """Canonicalise a header's value (RFC 6376 3.4.2)."""
    if b"\x0b" in value or b"\x0c" in value:  # white space to Python, not to the RFC
        return re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return b" ".join(value.split())


def lines(fields: Sequence[Field]) -> bytes:
    """Return fields as they go over the wire."""
    return b"".join(name + b":" + value + b"\r\n" for name, value in fields)


def _fold_names(names: Sequence[bytes]) -> bytes:
    rows, row = [], b""
    for name in names:
        if len(row) + len(name) > 70:
            rows.append(row)
            row = b""
        row += name + b":"
    return b"\r\n\t".join([*rows, row])[:-1]


def _without_blank_end(body: memoryview) -> int:
    """Where the body ends without the empty lines at its end, by windows: no copy of a large body."""
    end = len(body)
    while end:
        start = max(0, end - _TAIL_BYTES)
        kept = len(bytes(body[start:end]).rstrip(b"\r\n"))
        if kept:
            return start + kept
        end = start
    return 0
