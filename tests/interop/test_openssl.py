"""The submission door, as OpenSSL's own client sees it."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.smarthost import Smarthost, smarthost


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smarthost]:
    if not shutil.which("openssl"):
        pytest.skip("no openssl command")
    with smarthost(tmp_path_factory.mktemp("relay")) as running:
        yield running


def client(relay: Smarthost, *options: str) -> tuple[int, str]:
    """Say EHLO over STARTTLS, then QUIT; gives exit code and all that was printed."""
    address = ("-starttls", "smtp", "-connect", f"127.0.0.1:{relay.port}")
    verify = ("-CAfile", str(relay.certificate), "-verify_hostname", "localhost", "-verify_return_error")
    done = subprocess.run(
        ["openssl", "s_client", *address, *verify, "-crlf", "-ign_eof", *options],
        input=b"EHLO laptop.example\nQUIT\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def test_the_certificate_holds_for_the_name_and_login_is_offered_inside_tls_only(relay: Smarthost) -> None:
    code, said = client(relay)

    assert code == 0, said
    assert "Verify return code: 0 (ok)" in said
    assert re.search(r"^250[- ]AUTH PLAIN LOGIN", said, re.MULTILINE)
    assert "250-STARTTLS" not in said  # `250 STARTTLS` is from before TLS


def test_tls_before_1_2_is_refused(relay: Smarthost) -> None:
    code, said = client(relay, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")

    assert code != 0
    assert "250 AUTH" not in said


def test_tls_1_2_is_enough(relay: Smarthost) -> None:
    code, said = client(relay, "-tls1_2")

    assert code == 0, said
    assert "Protocol  : TLSv1.2" in said


def test_a_session_is_resumed(relay: Smarthost, tmp_path: Path) -> None:
    session = str(tmp_path / "session.pem")

    first = client(relay, "-sess_out", session)[1]
    second = client(relay, "-sess_in", session)[1]

    assert "New, TLS" in first
    assert "Reused, TLS" in second
