"""The blocks of the panels' pages, in a real Exim with the panels' layout. No panel is here, only its mail server."""

import base64
import shlex
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization

from tests.interop.conftest import Start
from tests.interop.exim import Exim
from tests.interop.pages import blocks
from tests.interop.panel_exim import DKIM_DOMAIN, cpanel, directadmin
from tests.interop.servers import HOSTNAME, submit
from tests.interop.smarthost import Smarthost, sender_key

# these hold with the panels' layouts too
from tests.interop.test_mail_servers import (
    test_a_deferred_message_waits_alone_and_goes_through_once_there_is_room as test_451,
)
from tests.interop.test_mail_servers import (
    test_a_php_script_is_named_by_its_user_not_by_what_it_says as test_php,
)
from tests.interop.test_mail_servers import (
    test_a_refused_message_comes_back_to_its_author_with_our_words as test_550,
)
from tests.interop.test_mail_servers import (
    test_mail_of_cron_is_of_the_user_whose_job_it_is as test_cron,
)

__all__ = ["test_451", "test_550", "test_cron", "test_php"]

_AUTHOR = f"author@{DKIM_DOMAIN}"
_MAIL = f"From: {_AUTHOR}\nTo: x@dest.example\nSubject: hello\nX-AuthUser: ceo@site.example\n\nHello\n".encode()


@pytest.fixture(scope="module", params=[pytest.param(cpanel, id="cpanel"), pytest.param(directadmin, id="directadmin")])
def kind(request: pytest.FixtureRequest) -> Start:
    start: Start = request.param
    return start


@pytest.mark.parametrize(("login", "named"), [("bob@site.example", "bob@site.example"), ("acct", f"acct@{HOSTNAME}")])
def test_mailboxes_and_accounts_are_named_as_they_log_in(
    server: Exim, relay: Smarthost, login: str, named: str
) -> None:
    recipient = f"login-{login.partition('@')[0]}@dest.example"

    submit(server, login, _MAIL, _AUTHOR, recipient)

    message = relay.arrival(recipient, explain=server.log)
    assert sender_key(named) == relay.record(recipient)["sender"]
    assert b"x-authuser" not in message.content.lower()
    assert "A=mailweir_login" in server.log()
    assert "CV=yes" in server.log()


def test_sendmail_names_the_unix_user(server: Exim, relay: Smarthost) -> None:
    server.send(_MAIL, _AUTHOR, "unix@dest.example")

    relay.arrival("unix@dest.example", explain=server.log)
    assert sender_key(server.unix_sender) == relay.record("unix@dest.example")["sender"]


def test_a_script_that_speaks_smtp_to_its_own_machine_is_named(server: Exim, relay: Smarthost, kind: Start) -> None:
    submit(server, "", _MAIL, _AUTHOR, "script@dest.example")

    relay.arrival("script@dest.example", explain=server.log)
    named = "wpuser" if kind is cpanel else "unknown"  # only cPanel looks whose process it is
    assert sender_key(f"{named}@{HOSTNAME}") == relay.record("script@dest.example")["sender"]


def test_the_signature_of_the_customers_domain_stays_valid(server: Exim, relay: Smarthost) -> None:
    submit(server, "bob@site.example", _MAIL, _AUTHOR, "signed@dest.example")

    message = relay.arrival("signed@dest.example", explain=server.log)
    record = _public_key(server.folder)
    assert f"d={DKIM_DOMAIN}".encode() in message.content
    assert dkim.verify(message.content, dnsfunc=lambda name, timeout=5: record)


def test_a_long_line_goes_out_and_arrives_folded(server: Exim, relay: Smarthost) -> None:
    server.send(_MAIL + b"x" * 2_000 + b"\n", _AUTHOR, "folded@dest.example")

    message = relay.arrival("folded@dest.example", explain=server.log)
    assert max(map(len, message.content.split(b"\r\n"))) <= 998
    assert message.content.replace(b"\r\n ", b"").count(b"x" * 2_000) == 1


def test_plesks_page_sets_what_postfixs_page_sets() -> None:
    wanted = dict(line.split(" = ", 1) for line in blocks("postfix.md")["/etc/postfix/main.cf"].splitlines())

    said = [line for line in blocks("plesk.md")["postconf"].splitlines() if line.startswith("postconf -e ")]

    settings = dict(word.split(" = ", 1) for line in said for word in shlex.split(line)[2:])
    assert settings.items() <= wanted.items()
    assert {"header_checks", "smtpd_sasl_authenticated_header", "smtp_tls_security_level"} <= settings.keys()


def _public_key(folder: Path) -> bytes:
    """Return the DNS record that goes with the key which the panel would have made for the domain."""
    path = next(path for path in folder.glob(f"etc/**/{DKIM_DOMAIN}*") if path.exists())
    path = path / "dkim.private.key" if path.is_dir() else path
    key = serialization.load_pem_private_key(path.read_bytes(), password=None).public_key()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)
