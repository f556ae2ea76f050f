"""The doors' certificate: made when none is given, refused in clear words when a given one is wrong."""

import logging
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relay.front.tls import CertificateWatch, ensure_certificate, served
from relay.settings import SettingsError

HOST = "relay.example.net"


def spoken(server: ssl.SSLContext, client: ssl.SSLContext, name: str = HOST) -> str | None:
    """Shake hands over a real socket and return the protocol version."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    theirs.settimeout(10)

    def serve() -> None:
        try:
            with server.wrap_socket(ours, server_side=True) as stream:
                stream.recv(1)
        except OSError:
            pass

    answering = threading.Thread(target=serve)
    answering.start()
    try:
        with client.wrap_socket(theirs, server_hostname=name) as stream:
            version = stream.version()
            stream.send(b".")
            return version
    finally:
        ours.close()
        answering.join()


@pytest.fixture
def issued(tmp_path: Path) -> tuple[Path, Path, trustme.CA]:
    authority = trustme.CA()
    pair = authority.issue_cert(HOST)
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in pair.cert_chain_pems))
    key.write_bytes(pair.private_key_pem.bytes())
    return certificate, key, authority


def test_a_certificate_is_made_at_first_start_and_said_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        server = ensure_certificate(None, None, tmp_path / "tls", HOST)

    client = ssl.create_default_context(cafile=tmp_path / "tls" / "cert.pem")
    assert spoken(server, client) == "TLSv1.3"
    assert "NO CERTIFICATE WAS GIVEN" in caplog.text
    made = x509.load_pem_x509_certificate((tmp_path / "tls" / "cert.pem").read_bytes())
    key = made.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_its_files_are_for_nobody_else(tmp_path: Path) -> None:
    ensure_certificate(None, None, tmp_path / "tls", HOST)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert modes == {"cert.pem": 0o600, "key.pem": 0o600}


def test_the_second_start_keeps_it_and_is_quiet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ensure_certificate(None, None, tmp_path, HOST)
    before = (tmp_path / "cert.pem").read_bytes()
    caplog.clear()

    ensure_certificate(None, None, tmp_path, HOST)

    assert before == (tmp_path / "cert.pem").read_bytes()
    assert caplog.text == ""


def test_a_key_left_alone_by_a_crash_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("half a ke")

    server = ensure_certificate(None, None, tmp_path, HOST)

    assert spoken(server, ssl.create_default_context(cafile=tmp_path / "cert.pem")) == "TLSv1.3"


def test_the_operators_certificate_is_served_with_its_chain(
    issued: tuple[Path, Path, trustme.CA], tmp_path: Path
) -> None:
    certificate, key, authority = issued
    client = ssl.create_default_context()
    authority.configure_trust(client)

    server = ensure_certificate(certificate, key, tmp_path / "unused", HOST)

    assert spoken(server, client) == "TLSv1.3"
    assert not (tmp_path / "unused").exists()


def test_key_and_certificate_may_share_one_file(issued: tuple[Path, Path, trustme.CA], tmp_path: Path) -> None:
    certificate, key, authority = issued
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    client = ssl.create_default_context()
    authority.configure_trust(client)

    assert spoken(ensure_certificate(both, None, tmp_path, HOST), client) == "TLSv1.3"


def test_tls_1_1_is_refused_and_1_2_spoken(issued: tuple[Path, Path, trustme.CA], tmp_path: Path) -> None:
    certificate, key, authority = issued
    server = ensure_certificate(certificate, key, tmp_path, HOST)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    client.maximum_version = ssl.TLSVersion.TLSv1_2

    assert spoken(server, client) == "TLSv1.2"
    assert server.minimum_version is ssl.TLSVersion.TLSv1_2


def refusal(certificate: Path | None, key: Path | None, folder: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        ensure_certificate(certificate, key, folder, HOST)
    return str(caught.value)


def test_what_is_wrong_with_given_files_names_key_path_and_fix(
    issued: tuple[Path, Path, trustme.CA], tmp_path: Path
) -> None:
    certificate, key, authority = issued
    other, locked, text = tmp_path / "other.pem", tmp_path / "locked.pem", tmp_path / "text.pem"
    other.write_bytes(authority.issue_cert(HOST).private_key_pem.bytes())
    text.write_text("hello")
    loaded = trustme.CA().issue_cert(HOST).private_key_pem.bytes()
    locked.write_bytes(
        serialization.load_pem_private_key(loaded, None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    missing = tmp_path / "missing.pem"

    assert refusal(missing, key, tmp_path) == (
        f"smtp.tls_certificate = {missing}: No such file or directory. Check the path, and who may read it"
    )
    assert refusal(certificate, missing, tmp_path).startswith(f"smtp.tls_key = {missing}: No such file")
    assert refusal(text, key, tmp_path).startswith(f"smtp.tls_certificate = {text}: no certificate in it. Give")
    assert refusal(certificate, text, tmp_path).startswith(f"smtp.tls_key = {text}: no private key in it. Give")
    assert refusal(certificate, other, tmp_path).startswith(f"smtp.tls_key = {other}: this key is of another")
    assert refusal(certificate, locked, tmp_path).startswith(f"smtp.tls_key = {locked}: the key is encrypted. Remove")
    assert refusal(None, key, tmp_path).startswith(f"smtp.tls_key = {key}: a key without its certificate. Set")
    assert refusal(certificate, None, tmp_path).startswith(f"smtp.tls_key = {certificate}: no private key in it")


def test_damaged_files_of_our_own_are_not_overwritten(tmp_path: Path) -> None:
    ensure_certificate(None, None, tmp_path, HOST)
    (tmp_path / "cert.pem").write_text("gone")

    assert f"remove both files from {tmp_path}" in refusal(None, None, tmp_path)
    assert (tmp_path / "cert.pem").read_text() == "gone"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert str(tmp_path / "file" / "tls") in refusal(None, None, tmp_path / "file" / "tls")


def test_a_new_certificate_with_another_kind_of_key_is_the_one_served(tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def put(authority: trustme.CA, kind: trustme.KeyType) -> None:
        pair = authority.issue_cert(HOST, key_type=kind)
        certificate.write_bytes(b"".join(blob.bytes() for blob in pair.cert_chain_pems))
        key.write_bytes(pair.private_key_pem.bytes())

    put(old, trustme.KeyType.ECDSA)
    server = ensure_certificate(certificate, key, tmp_path, HOST)
    watch = CertificateWatch(server, certificate, key)
    put(new, trustme.KeyType.RSA)
    client = ssl.create_default_context()
    new.configure_trust(client)

    assert watch.refresh()
    assert spoken(server, client) == "TLSv1.3"


def test_other_paths_are_served_from_the_next_handshake_on(
    issued: tuple[Path, Path, trustme.CA], tmp_path: Path
) -> None:
    certificate, key, authority = issued
    server = ensure_certificate(None, None, tmp_path / "own", HOST)
    watch = CertificateWatch(server, None, None)
    client = ssl.create_default_context()
    authority.configure_trust(client)

    watch.take_up(certificate, key, served(certificate, key))

    assert spoken(server, client) == "TLSv1.3"
    assert not watch.refresh()
