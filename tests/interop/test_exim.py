"""What is Exim's own: the blocks of docs/integrations/exim.md in Debian's split configuration."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.interop.conftest import Start
from tests.interop.debian_exim import debian_exim
from tests.interop.exim import Exim
from tests.interop.scripts import cron_mail_names_the_user
from tests.interop.servers import HOSTNAME, submit
from tests.interop.smarthost import ACCOUNT, Smarthost, sender_key

_MAIL = b"Subject: hello\n\nHello\n"


@pytest.fixture(scope="module")
def kind() -> Start:
    return debian_exim


def test_auth_at_mail_names_the_sender_when_the_header_does_not(server: Exim, relay: Smarthost) -> None:
    with _without_header(server):
        server.send(_MAIL, "alice@site.example", "auth@dest.example")

        relay.arrival("auth@dest.example", explain=server.log)
    assert f"web1|auth|{server.unix_sender}" == relay.record("auth@dest.example")["sender"]


def test_a_login_without_a_domain_gets_the_name_of_the_server(server: Exim, relay: Smarthost) -> None:
    submit(server, "siteacct", _MAIL, "shop@site.example", "account@dest.example")

    relay.arrival("account@dest.example", explain=server.log)
    assert sender_key(f"siteacct@{HOSTNAME}") == relay.record("account@dest.example")["sender"]


def test_forwarded_mail_is_of_the_address_that_forwards(server: Exim, relay: Smarthost) -> None:
    # from outside means from another address than the loopback this test has
    command = [*server.command, "-odb", "-bs", "-oMa", "192.0.2.7"]
    said = subprocess.run(
        command,
        input=f"EHLO mx.outside.example\r\nMAIL FROM:<friend@outside.example>\r\nRCPT TO:<forwarder@{HOSTNAME}>\r\n"
        "DATA\r\nSubject: hello\r\n\r\nHello\r\n.\r\nQUIT\r\n".encode(),
        capture_output=True,
        check=True,
        timeout=30,
    ).stdout
    assert b"250 OK id=" in said, said

    for recipient in ("away@dest.example", "away@elsewhere.example"):
        relay.arrival(recipient, explain=server.log)
        assert relay.record(recipient)["sender"] == f"{ACCOUNT}|forwarded|forwarder@{HOSTNAME}"


def test_a_bounce_made_by_the_server_is_of_the_server(server: Exim, relay: Smarthost) -> None:
    submit(server, "bob@site.example", _MAIL, "bob@home.example", f"bad@{'x' * 64}.example")

    relay.arrival("bob@home.example", explain=server.log)
    assert sender_key(f"bounce@{HOSTNAME}") == relay.record("bob@home.example")["sender"]


def test_the_folder_a_script_ran_in_is_in_the_log(server: Exim, relay: Smarthost) -> None:
    cron_mail_names_the_user(server, relay)

    assert "cwd=/var/tmp" in server.log()


@contextmanager
def _without_header(server: Exim) -> Iterator[None]:
    """Run with a configuration that lacks the page's headers_add; Exim reads the file for each delivery."""
    config = server.config
    whole = config.read_text()
    bare, count = re.subn(r"^  headers_add = X-AuthUser:(.*\\\n)*.*\n", "", whole, flags=re.MULTILINE)
    assert count == 1
    config.write_text(bare)
    try:
        yield
    finally:
        config.write_text(whole)
