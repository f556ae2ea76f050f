"""DKIM key pairs: made, kept in files, read, and as the TXT record that publishes them (RFC 6376 3.6.1, RFC 8463 4)."""

import base64
import os
from pathlib import Path
from typing import assert_never

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from relay.delivery.signing.algorithm import Algorithm

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def generate_key(algorithm: Algorithm) -> bytes:
    """Make a private key, as PEM. RSA takes a tenth of a second."""
    key: PrivateKey
    match algorithm:
        case Algorithm.RSA:
            key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        case Algorithm.ED25519:
            key = ed25519.Ed25519PrivateKey.generate()
        case _:
            assert_never(algorithm)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def ensure_key(path: Path) -> bytes:
    """Return the PEM at `path`; make an RSA-2048 key there (mode 0600) when there is none.

    Raises OSError, and ValueError for what is no such key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(generate_key(Algorithm.RSA))
    pem = path.read_bytes()
    load_key(pem)
    return pem


def load_key(pem: bytes, *, is_ours: bool = False) -> PrivateKey:
    """Read a private key. Raises ValueError unless it is Ed25519, or RSA of 2048 bits or more.

    `is_ours`: made by `generate_key`, so its numbers need no test of being prime, which takes 30 ms.
    """
    key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=is_ours)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < 2048:
        raise ValueError("a DKIM key must be RSA of at least 2048 bits: smaller ones are ignored by large providers")
    return key


def dns_record(pem: bytes) -> str:
    """Return the TXT record to publish at `<selector>._domainkey.<domain>`."""
    public = load_key(pem, is_ours=True).public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"
