"""ARC seals on forwarded mail, checked by another implementation; chains of others, whole, broken, and unknown."""

import smtplib
from pathlib import Path

import dkim
import pytest

from relay.account import Account
from relay.content.assess import Assessor
from relay.content.protocol import ArcOrder, ContentRequest, Signer
from relay.delivery.signing.algorithm import Algorithm
from relay.delivery.signing.arc_chain import chain_of
from relay.delivery.signing.dkim_keys import dns_record, generate_key
from tests.builders import Installation
from tests.interop.corpus import real_mail
from tests.sink import Sink
from tests.zone import Zone, serving

OWN, HOP, STRANGER = (generate_key(Algorithm.RSA) for _ in range(3))
OWN_NAME, HOP_NAME = "mw1._domainkey.relay.example", "hop._domainkey.hop.example"
KEYS = {OWN_NAME: dns_record(OWN), HOP_NAME: dns_record(HOP)}
SIGNER = Signer("relay.example", "mw1", "own")
MAIL = (
    b"Authentication-Results: hop.example; spf=pass smtp.mailfrom=a@author.example\r\n"
    b"From: a@author.example\r\nTo: b@d.example\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@a>\r\n"
    b"Subject: hello  there\r\n\r\nSee  you \r\n\r\n"
)


def forwarded(content: bytes, keys: dict[str, str] | None = None) -> bytes:
    order = ArcOrder(SIGNER, KEYS if keys is None else keys)
    request = ContentRequest(content, "a@b.example", "mx.relay.example", 1_795_500_000.0, sign=[SIGNER], arc=order)
    [result] = Assessor(None, {"own": OWN}).assess([request])
    assert result.error == ""
    return result.prefix + content


def by_hop(content: bytes) -> bytes:
    """The same mail after a hop that seals, by the other implementation."""
    head = b"".join(
        dkim.arc_sign(content, b"hop", b"hop.example", HOP, b"hop.example", include_headers=[b"from", b"subject"])
    )
    return head + content


def verdict(message: bytes) -> tuple[str, int, str]:
    """cv of the chain as a receiver finds it, how many sets there are, and what the top one says."""
    found = dkim.ARC(message)
    cv, _, _ = found.verify(dnsfunc=lambda name, timeout=5: KEYS.get(name.decode().rstrip("."), "").encode())
    sets = chain_of([(name.lower(), value) for name, value in found.headers]).sets
    said = sets[-1][2].partition(b"cv=")[2].partition(b";")[0].decode() if sets else ""
    return (cv or b"none").decode(), len(sets), said


def test_mail_without_a_chain_gets_the_first_set() -> None:
    message = forwarded(MAIL)

    assert verdict(message) == ("pass", 1, "none")
    assert message.startswith(b"ARC-Seal: i=1; ")
    assert b"ARC-Authentication-Results: i=1; mx.relay.example; arc=none\r\n" in message


def test_a_whole_chain_is_passed_on_whole() -> None:
    assert verdict(forwarded(by_hop(MAIL))) == ("pass", 2, "pass")
    assert verdict(forwarded(forwarded(forwarded(MAIL)))) == ("pass", 3, "pass")


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"See  you", b"Buy now"), (b"hello  there", b"other"), (b"spf=pass", b"spf=fail"), (b"cv=none", b"cv=pass")],
)
def test_a_chain_that_does_not_hold_is_said_to_have_failed(before: bytes, after: bytes) -> None:
    message = forwarded(by_hop(MAIL).replace(before, after))

    assert b"; arc=fail\r\n" in message
    assert b" cv=fail;" in message
    assert verdict(message)[0] != "pass"


def test_a_key_that_is_not_there_fails_and_one_nobody_knows_leaves_the_chain_alone() -> None:
    mail = by_hop(MAIL)

    assert b"; arc=fail\r\n" in forwarded(mail, KEYS | {HOP_NAME: ""})
    assert b"; arc=fail\r\n" in forwarded(mail, KEYS | {HOP_NAME: dns_record(STRANGER)})
    assert forwarded(mail, {OWN_NAME: KEYS[OWN_NAME]}).count(b"ARC-Seal:") == 1


def test_nobody_adds_to_a_chain_that_has_failed_before() -> None:
    failed = forwarded(by_hop(MAIL).replace(b"See  you", b"Buy now"))

    assert forwarded(failed).count(b"ARC-Seal:") == failed.count(b"ARC-Seal:") == 2


@pytest.mark.parametrize("kind", [b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results"])
def test_sets_that_are_not_whole_have_failed(kind: bytes) -> None:
    mail = by_hop(MAIL)
    again = mail[mail.index(kind) :].partition(b"\r\n")[0] + b"\r\n"
    for broken in (b"%s: i=1; x\r\n" % kind + mail, b"%s: i=3; x\r\n" % kind + mail, again + mail):
        message = forwarded(broken)
        assert b"; arc=fail\r\n" in message
        assert verdict(message)[0] != "pass"


def test_the_relays_signature_still_holds_beside_the_seal() -> None:
    message = forwarded(by_hop(MAIL))

    assert dkim.DKIM(message).verify(dnsfunc=lambda name, timeout=5: KEYS[OWN_NAME].encode())


def test_seals_hold_over_real_mail(corpora: Path) -> None:
    found = [verdict(forwarded(forwarded(content.replace(b"\n", b"\r\n")))) for content in real_mail(corpora, 40)]

    assert found == [("pass", 2, "pass")] * 40


def test_only_forwarded_mail_is_sealed_and_its_chain_is_looked_up(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    with Sink() as sink, serving(Zone()) as zone:
        zone.put(HOP_NAME, "TXT", KEYS[HOP_NAME])
        more = f'nameservers = ["127.0.0.1:{zone.port}"]\n[dkim]\ndomain = "relay.example"\n'
        site.write(sink.port, more, model="none")
        site.config.write_text(site.config.read_text().replace("[smtp]\n", "[smtp]\nauth_without_tls = true\n"))
        site.add_account(Account("web1", shared_host=True, domains=("web.example",)), "srv1")
        with site.running(), smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
            smtp.login("srv1", "secret")
            for number, head in enumerate([b"", b"X-Forwarded-To: b@d.example\r\n"]):
                smtp.sendmail(f"m{number}@author.example", ["b@d.example"], head + by_hop(MAIL))
            plain, sealed = sorted(sink.wait_for(2), key=lambda mail: mail.mail_from)

    assert plain.content.count(b"ARC-Seal:") == 1
    assert sealed.content.count(b"ARC-Seal:") == 2
    assert b"relay.example; arc=pass\r\n" in sealed.content
