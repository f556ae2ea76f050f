"""DANE for SMTP (RFC 7672): which TLSA records are usable, and whether a host's certificates match them. Pure."""

import hashlib
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_TRUST_ANCHOR, _END_ENTITY = 2, 3
_WHOLE, _SPKI = 0, 1
_DIGESTS = {1: ("sha256", 32), 2: ("sha512", 64)}


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record; the numbers are those of RFC 6698 section 2.1."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def is_usable(self) -> bool:
        """RFC 7672 section 3.1: DANE-TA(2) and DANE-EE(3) only, with what we know how to compute."""
        if self.usage not in (_TRUST_ANCHOR, _END_ENTITY) or self.selector not in (_WHOLE, _SPKI):
            return False
        if self.matching == 0:
            return bool(self.data)
        return self.matching in _DIGESTS and len(self.data) == _DIGESTS[self.matching][1]

    def fits(self, certificate: x509.Certificate) -> bool:
        """Tell whether the record is of this certificate or its key."""
        if self.selector == _WHOLE:
            found = certificate.public_bytes(Encoding.DER)
        else:
            found = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if self.matching:
            found = hashlib.new(_DIGESTS[self.matching][0], found).digest()
        return found == self.data


def usable(records: Iterable[Any]) -> tuple[Tlsa, ...]:
    """Return those of DNS's TLSA records that can be checked."""
    found = (Tlsa(record.usage, record.selector, record.mtype, bytes(record.cert)) for record in records)
    return tuple(sorted({tlsa for tlsa in found if tlsa.is_usable}, key=repr))


def mismatch(records: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: datetime) -> str:
    """Return why a host's chain (DER, its own first) does not match any record; "" when it does.

    Of a DANE-EE record neither names nor dates count (RFC 7672 section 3.1.1); of a DANE-TA record both do, and the
    anchor has to be in the chain that the host sends (section 3.1.2).
    """
    if not chain:
        return "it sent no certificate"
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        if any(record.usage == _END_ENTITY and record.fits(certificates[0]) for record in records):
            return ""
        anchors = [record for record in records if record.usage == _TRUST_ANCHOR]
        why = _anchored(anchors, certificates, now) if anchors else "its certificate matches no TLSA record"
        return why or _misnamed(certificates[0], names)
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        return f"its certificate cannot be read: {error}"


def chain_of(tls: ssl.SSLObject) -> list[bytes]:
    """Return the certificates that the peer sent (DER, its own first), unverified."""
    if hasattr(tls, "get_unverified_chain"):  # Python 3.13
        return list(tls.get_unverified_chain() or ())
    found = tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in found or ()]


def _anchored(anchors: Sequence[Tlsa], certificates: Sequence[x509.Certificate], now: datetime) -> str:
    """Walk from the host's certificate to its issuers until one is an anchor."""
    current, rest = certificates[0], list(certificates[1:])
    while True:
        if not current.not_valid_before_utc <= now <= current.not_valid_after_utc:
            return "a certificate in its chain has expired or is not valid yet"
        issuer = next((other for other in rest if _is_issued_by(current, other)), None)
        if issuer is None:
            return "no certificate in its chain is a TLSA record's trust anchor"
        if any(anchor.fits(issuer) for anchor in anchors):
            is_valid = issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc
            return "" if is_valid else "its trust anchor has expired or is not valid yet"
        rest.remove(issuer)
        current = issuer


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        return issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False


def _misnamed(certificate: x509.Certificate, names: Sequence[str]) -> str:
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for found in alternative.get_values_for_type(x509.DNSName):
        pattern = found.lower()
        for name in (name.lower() for name in names):
            if pattern == name or (pattern.startswith("*.") and pattern[1:] == name[name.find(".") :]):
                return ""
    return f"its certificate is not for {names[0]}"
