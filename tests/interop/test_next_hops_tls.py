"""TLS towards a real Postfix: what its doors show, what MTA-STS and providers.toml ask for, and what waits for it."""

import re

import pytest

from tests.builders import until
from tests.interop.hops import Hops, Mailbox, letter, received_with_tls
from tests.interop.postfix import Postfix

At = tuple[Postfix, Mailbox]


@pytest.mark.parametrize(
    ("domain", "is_encrypted"),
    [
        ("plain.hop.example", False),
        ("self.hop.example", True),
        ("broken.hop.example", False),
        ("sealed.hop.example", True),
        ("sts-good.hop.example", True),
        ("sts-testing.hop.example", True),
    ],
    ids=[
        "in clear text where there is no TLS",
        "in TLS where the certificate is self-signed",
        "in clear text where TLS is broken",
        "in TLS where the provider's row requires it",
        "in TLS where the certificate fits the policy",
        "in TLS where it does not but the policy is in testing",
    ],
)
def test_mail_arrives(at_postfix: At, direct: Hops, domain: str, is_encrypted: bool) -> None:
    server, mailbox = at_postfix
    content = letter()

    direct.send(content, f"tls@{domain}")

    copies = mailbox.wait(content, explain=server.log)
    assert [is_encrypted] == received_with_tls(copies)
    (record,) = direct.wait_for("Delivery", f"tls@{domain}")
    assert is_encrypted == bool(record["tls"])


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("clear.hop.example", "TLS"),
        ("sts-bare.hop.example", "MTA-STS"),
        ("sts-wrong.hop.example", "MTA-STS"),
    ],
    ids=["the provider's row asks for", "an enforced policy asks for", "an enforced policy asks for a certificate to"],
)
def test_mail_waits_for_the_tls_that(at_postfix: At, direct: Hops, domain: str, said: str) -> None:
    server, mailbox = at_postfix
    content = letter()

    direct.send(content, f"bob@{domain}")

    # twice: neither does the second try give way
    deferrals = direct.wait_for("Deferral", f"bob@{domain}", 2)
    assert all(said in record["text"] and record["enhanced"].startswith("4.7.") for record in deferrals), deferrals
    assert direct.is_waiting(f"bob@{domain}")
    assert not mailbox.copies(content)
    assert not direct.records("Delivery", f"bob@{domain}")
    assert f"bob@{domain}" not in server.log()


def test_a_hop_with_a_broken_certificate_is_remembered(at_postfix: At, direct: Hops) -> None:
    server, mailbox = at_postfix
    first, second = letter(), letter()

    direct.send(first, "cem@broken.hop.example")
    mailbox.wait(first, explain=server.log)
    until(lambda: re.search(r"door-broken/smtpd\[\d+\]: disconnect", server.log()), 30, server.log)
    tried = server.log().count("454 4.7.0") + server.log().count("TLS not available")
    direct.send(second, "cem@broken.hop.example")
    mailbox.wait(second, explain=server.log)

    assert tried == server.log().count("454 4.7.0") + server.log().count("TLS not available")
    assert received_with_tls(mailbox.copies(first) + mailbox.copies(second)) == [False, False]
