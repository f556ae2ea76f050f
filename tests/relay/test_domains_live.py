"""A customer's key in a relay of its own process: it signs as soon as its record was seen, without a restart."""

import smtplib
from pathlib import Path

import dkim
import pytest

from relay.account import Account
from relay.delivery.signing.algorithm import Algorithm
from relay.delivery.signing.dkim_keys import dns_record
from relay.domains.views import DomainOrder, NewDomain
from tests.builders import Installation, until
from tests.sink import Sink
from tests.zone import Zone, serving

BOTH = (Algorithm.RSA, Algorithm.ED25519)


def send(site: Installation, login: str, author: str) -> None:
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
        smtp.login(login, "secret")
        smtp.sendmail(author, ["b@d.example"], f"From: {author}\r\nSubject: hello\r\n\r\nSee  you \r\n")


def good(content: bytes, zone: Zone) -> list[str]:
    """d= and a= of the signatures, all of which hold by what stands in DNS."""
    message = dkim.DKIM(content)
    values = [value for name, value in message.headers if name.lower() == b"dkim-signature"]

    def ask(name: bytes, timeout: int = 5) -> bytes:
        return zone.records[name.decode().rstrip("."), "TXT"][0].encode()

    assert all(message.verify(idx=index, dnsfunc=ask) for index in range(len(values)))
    tags = [dict(part.split(b"=", 1) for part in b"".join(value.split()).split(b";")) for value in values]
    return [f"{tag[b'd'].decode()} {tag[b'a'].decode()}" for tag in tags]


@pytest.mark.parametrize("own", [True, False], ids=["beside the relay's key", "where nothing was signed"])
def test_mail_is_signed_from_the_check_on_and_nobody_elses(tmp_path: Path, own: bool) -> None:
    site = Installation(tmp_path)
    with Sink() as sink, serving(Zone()) as zone:
        more = f'nameservers = ["127.0.0.1:{zone.port}"]\n' + ('[dkim]\ndomain = "relay.example"\n' if own else "")
        site.write(sink.port, more, model="none")
        site.config.write_text(site.config.read_text().replace("[smtp]\n", "[smtp]\nauth_without_tls = true\n"))
        site.add_account(Account("acme"), "acme")
        site.add_account(Account("evil"), "evil")
        with site.running(), site.client() as client:
            if own:
                pem = (site.data / "dkim" / "relay.example.mw1.pem").read_bytes()
                zone.put("mw1._domainkey.relay.example", "TXT", dns_record(pem))
            view = client.add_domain(NewDomain(account="acme", domain="acme.example", algorithms=BOTH))
            client.add_domain(NewDomain(account="evil", domain="acme.example"))
            send(site, "acme", "a@acme.example")
            for record in view.records:
                zone.put(record.name, record.kind, record.value)
            report = client.check_domain("acme.example", DomainOrder(account="acme"))
            client.check_domain("acme.example", DomainOrder(account="evil"))
            if not own:  # the workers start now
                until(lambda: client.status()["content"]["workers"] > 0)
            send(site, "acme", "a@news.acme.example")
            send(site, "evil", "a@acme.example")
            send(site, "acme", "a@other.example")
            client.remove_domain("acme.example", DomainOrder(account="acme"))
            send(site, "acme", "z@acme.example")
            mails = sink.wait_for(5, 20)

    first = ["relay.example rsa-sha256"] if own else []
    found = [good(mail.content, zone) for mail in mails]
    assert len(report.activated) == 2
    assert found.count(first) == 4
    signed = next(mail for mail in mails if mail.mail_from == "a@news.acme.example")
    assert good(signed.content, zone) == [*first, "acme.example rsa-sha256", "acme.example ed25519-sha256"]
    assert "PRIVATE" not in (site.folder / "process.log").read_text()
