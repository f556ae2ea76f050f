"""Reports are fetched from a real IMAP server over TLS; one that cannot prove who it is gets no password."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from analytics.inbox.imap import ImapError, fetch
from analytics.inbox.intake import Intake
from relay.settings import Imap
from tests.analytics.conftest import room
from tests.analytics.test_inbox import PERSON, bounce
from tests.analytics.test_inbox_imap import intake
from tests.imap_dovecot import PASSWORD, PROGRAM, USER, Dovecot, dovecot

__all__ = ["intake", "room"]

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="dovecot is not installed (Debian: dovecot-imapd)")


@pytest.fixture
def server() -> Iterator[Dovecot]:
    with dovecot({"1.eml": bounce(), "2.eml": PERSON}) as running:
        yield running


def settings(server: Dovecot, **more: object) -> Imap:
    given = {"host": "localhost", "port": server.tls, "user": USER, "password": PASSWORD, "ca_file": server.authority}
    return Imap.model_validate(given | more)


@pytest.mark.parametrize("tls", ["tls", "starttls"])
def test_mail_is_taken_once_and_marked_as_seen(server: Dovecot, intake: Intake, tls: str) -> None:
    asked = settings(server, tls=tls, port=server.tls if tls == "tls" else server.starttls)

    first, second = fetch(asked, intake), fetch(asked, intake)

    assert (first, second) == ((2, 0, 0), (0, 0, 0))
    assert server.flags == {"1.eml": "S", "2.eml": "S"}


def test_what_was_taken_is_deleted_when_told(server: Dovecot, intake: Intake) -> None:
    fetch(settings(server, delete=True), intake)

    assert server.flags == {}


@pytest.mark.parametrize("tls", ["tls", "starttls"])
def test_a_server_whose_certificate_does_not_hold_gets_no_password(
    server: Dovecot, intake: Intake, tls: str, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "another.pem"))
    port = server.tls if tls == "tls" else server.starttls

    for more, why in (
        ({"ca_file": None}, "self-signed certificate in certificate chain|unable to get local issuer certificate"),
        ({"ca_file": tmp_path / "another.pem"}, "unable to get local issuer certificate|certificate verify failed"),
        ({"host": "127.0.0.1"}, "certificate is not valid for '127.0.0.1'"),
    ):
        with pytest.raises(ImapError, match=why) as refused:
            fetch(settings(server, tls=tls, port=port, **more), intake)
        assert "imap.ca_file" in str(refused.value)

    assert server.flags == {"1.eml": "", "2.eml": ""}
    assert USER not in (server.folder / "log").read_text()


def test_the_wrong_way_folder_and_password_are_said(
    server: Dovecot, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for more, why in (
        ({"folder": "Reports"}, r"(?i)mailbox doesn't exist.*Reports"),
        ({"port": server.starttls}, r"imap\.tls = 'starttls'"),
        ({"ca_file": "/nowhere.pem"}, r"imap\.ca_file = '/nowhere\.pem'"),
        ({"password": "other"}, r"(?i)authentication failed.*imap\.user"),
    ):
        with pytest.raises(ImapError, match=why):
            fetch(settings(server, **more), intake)
    monkeypatch.setattr("analytics.inbox.imap._TIMEOUT_SECONDS", 0.5)  # neither side speaks first
    with pytest.raises(ImapError, match=r"imap\.tls = 'tls'"):
        fetch(settings(server, tls="starttls"), intake)
