"""Reports of a running relay: to the sender who is surely the customer's, else to the account's contact."""

import smtplib
from pathlib import Path

import pytest

from relay.account import Account
from tests.builders import Installation, until
from tests.sink import Sink

REFUSED = "reject-550-5.1.1@d.example"


def send(site: Installation, mail_from: str, to: str = REFUSED) -> None:
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
        smtp.login("srv1@login.example", "secret")
        smtp.sendmail(mail_from, [to], b"Subject: hello\r\n\r\nhello\r\n")


@pytest.mark.parametrize(
    ("mail_from", "told", "what"),
    [
        ("joe@acme.example", "joe@acme.example", b"multipart/report"),
        ("srv1@login.example", "srv1@login.example", b"multipart/report"),  # the login itself
        ("victim@stranger.example", "desk@acme.example", b"from victim@stranger.example"),
    ],
)
def test_a_failure_is_told_to_the_customer_and_to_no_stranger(
    tmp_path: Path, mail_from: str, told: str, what: bytes
) -> None:
    site = Installation(tmp_path)
    with Sink() as sink:
        site.write(sink.port, "digest_minutes = 0.02\n", model="none")
        site.add_account(Account("acme", domains=("acme.example",), contact="desk@acme.example"), "srv1@login.example")
        with site.running():
            send(site, mail_from)
            until(lambda: bool(sink.messages))

    assert [(message.mail_from, message.recipients) for message in sink.messages] == [("", (told,))]
    assert what in sink.messages[0].content
