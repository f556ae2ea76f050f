"""The certificate of the doors: the operator's, or a self-signed one made at first start."""

import logging
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relay.settings import SettingsError

log = logging.getLogger("mailweir.tls")

SELF_SIGNED_DAYS = 3_650


def ensure_certificate(certificate: Path | None, key: Path | None, folder: Path, hostname: str) -> ssl.SSLContext:
    """Return a server context, TLS 1.2 or newer, with the operator's files, else with those in `folder`.

    Without either, a self-signed ECDSA P-256 certificate for `hostname` is written there, 0600. Raises SettingsError.
    """
    if certificate is not None:
        return _load(certificate, key or certificate, "smtp.tls_certificate", "smtp.tls_key")
    if key is not None:
        raise SettingsError(f"smtp.tls_key = {key}: a key without its certificate. Set smtp.tls_certificate too")
    own_certificate, own_key = folder / "cert.pem", folder / "key.pem"
    if not own_certificate.exists():  # it is written last: a key alone is what a crash in between leaves
        _make(own_certificate, own_key, hostname)
    try:
        return _load(own_certificate, own_key, "the relay's own certificate", "its key")
    except SettingsError as error:
        raise SettingsError(f"{error}. Or remove both files from {folder}: new ones are made at start") from None


def served(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """Return a server context with the operator's files. Raises SettingsError."""
    return _load(certificate, key or certificate, "smtp.tls_certificate", "smtp.tls_key")


class CertificateWatch:
    """Takes up new files of the operator's without dropping a session: a handshake uses what is there when it begins.

    `refresh` is cheap when nothing changed. Files that do not fit each other, as between two renames, change nothing.
    """

    def __init__(self, context: ssl.SSLContext, certificate: Path | None, key: Path | None) -> None:
        self._context, self._certificate, self._key = context, certificate, key or certificate
        self._seen = self._stamp()

    def take_up(self, certificate: Path, key: Path | None, fresh: ssl.SSLContext) -> None:
        """Serve other files from the next handshake on; `fresh` is the context with them."""
        self._certificate, self._key = certificate, key or certificate
        self._seen = self._stamp()
        self._serve(fresh)

    def refresh(self) -> bool:
        """Load the files if they are others than before; tell whether they were taken up."""
        stamp = self._stamp()
        if stamp == self._seen or self._certificate is None:
            return False
        self._seen = stamp
        try:
            self._serve(served(self._certificate, self._key))
        except SettingsError as error:
            log.error("new certificate not taken up, the old one stays: %s", error)
            return False
        log.info("certificate taken up path=%s", self._certificate)
        return True

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_file_stamp(path) for path in (self._certificate, self._key) if path)

    def _serve(self, fresh: ssl.SSLContext) -> None:
        # A context keeps one certificate of each kind of key: an RSA one loaded into it would stand beside the ECDSA
        # one it replaces, and clients would be served the old. So each handshake changes to the fresh context.
        def change(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = fresh

        self._context.sni_callback = change


def _file_stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _load(certificate: Path, key: Path, certificate_name: str, key_name: str) -> ssl.SSLContext:
    found = _read_certificate(certificate, certificate_name)
    _check_key(key, key_name, found)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{certificate_name} = {certificate}: {_reason(error)}") from None
    if found.not_valid_after_utc <= datetime.now(UTC):
        log.warning("certificate expired path=%s ended_at=%s", certificate, found.not_valid_after_utc.isoformat())
    return context


def _read_certificate(path: Path, name: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(_read(path, name))[0]
    except ValueError:
        raise SettingsError(
            f"{name} = {path}: no certificate in it. Give a PEM file, the server's own first, then the chain"
        ) from None


def _check_key(path: Path, name: str, certificate: x509.Certificate) -> None:
    try:
        key = serialization.load_pem_private_key(_read(path, name), password=None)
    except TypeError:
        raise SettingsError(f"{name} = {path}: the key is encrypted. Remove its password: openssl pkey") from None
    except ValueError:
        raise SettingsError(f"{name} = {path}: no private key in it. Give the PEM key of the certificate") from None
    kind = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*kind) != certificate.public_key().public_bytes(*kind):
        raise SettingsError(f"{name} = {path}: this key is of another certificate. Give the key it was requested with")


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{name} = {path}: {error.strerror}. Check the path, and who may read it") from None


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)


def _make(certificate_path: Path, key_path: Path, hostname: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, hostname)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        certificate_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(key_path, pem)
        _write(certificate_path, certificate.public_bytes(serialization.Encoding.PEM))
    except OSError as error:
        raise SettingsError(
            f"dir: a self-signed certificate cannot be written to {certificate_path.parent}: {error.strerror}"
        ) from None
    log.warning(
        "NO CERTIFICATE WAS GIVEN: a self-signed one was made, clients that verify will refuse it. "
        "Set smtp.tls_certificate and smtp.tls_key. path=%s hostname=%s sha256=%s",
        certificate_path,
        hostname,
        certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _self_signed(key: ec.EllipticCurvePrivateKey, hostname: str) -> x509.Certificate:
    # a common name has at most 64 characters (RFC 5280, ub-common-name); clients look at the alternative name
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    now = datetime.now(UTC)  # the machine's clock, not a Clock: peers judge it by theirs
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read, whole or not at all."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
