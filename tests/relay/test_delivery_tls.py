"""What a domain's owner asks of TLS is kept to: real name server, policy server, next hops with real certificates."""

import contextlib
import hashlib
import logging
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from relay.clock import SystemClock
from relay.delivery.routing.lookup import Lookup
from relay.delivery.tls.memory import TlsMemory
from relay.policy.signals.counters import Counters
from relay.reply import TransientError
from relay.settings import Settings, SettingsError
from tests.builders import free_port
from tests.delivering import Delivering, delivering, delivery_settings, story
from tests.nameserver import NameServer
from tests.policy_server import PolicyServer
from tests.sink import Manner, Sink

ZONE = """
a.example.           60 IN MX 10 mx1.a.example.
a.example.           60 IN MX 20 mx2.a.example.
mx1.a.example.       60 IN A 127.0.0.1
mx2.a.example.       60 IN A 127.0.0.2
plain.example.       60 IN MX 10 mx1.a.example.
_mta-sts.a.example.  60 IN TXT "v=STSv1; id=1;"
mta-sts.a.example.   60 IN A 127.0.0.1
"""


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


@dataclass
class Lab:
    """A domain with two hosts, mx1 and mx2, and all that its owner can get wrong."""

    folder: Path
    ca: trustme.CA
    dns: NameServer
    web: PolicyServer
    mx1: Sink
    mx2: Sink
    told: list[str] = field(default_factory=list)

    def certificate(self, kind: str) -> trustme.LeafCert:
        match kind:
            case "good":
                return self.ca.issue_cert("mx1.a.example")
            case "wildcard":
                return self.ca.issue_cert("*.a.example")
            case "wrong name":
                return self.ca.issue_cert("www.a.example")
            case "common name only":
                return self.ca.issue_cert("www.a.example", common_name="mx1.a.example")
            case "expired":
                return self.ca.issue_cert("mx1.a.example", not_after=datetime.now(UTC) - timedelta(days=1))
            case _:
                return trustme.CA().issue_cert("mx1.a.example")

    def present(self, kind: str) -> trustme.LeafCert:
        """Have mx1 show a certificate."""
        certificate = self.certificate(kind)
        self.mx1.manner.tls = _context(certificate)
        return certificate

    def settings(self, **delivery: Any) -> Settings:
        values = {
            "mode": "direct",
            "nameservers": [self.dns.address],
            "mx_port": self.mx1.port,
            "private_networks": ["127.0.0.0/8"],
            "mta_sts_port": self.web.port,
            "ca_file": self.folder / "ca.pem",
            "first_retry_seconds": 60,
            "dns_timeout_seconds": 10,
            **delivery,
        }
        return delivery_settings(self.folder / "run", 1, **values)

    async def one(self, to: str = "ann@a.example", tls: TlsMemory | None = None, **delivery: Any) -> Any:
        """Send one mail; return the record of its first try."""
        async with delivering(self.settings(**delivery), tls=tls) as room:
            room.courier.on_tls_failure(self.told.append)
            return await self._sent(room, to)

    async def _sent(self, room: Delivering, to: str) -> Any:
        await room.send(to)
        return (await room.until(1))[-1]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    web_tls = _context(ca.issue_cert("mta-sts.a.example"))
    with NameServer(ZONE) as dns, PolicyServer(web_tls) as web, Sink(Manner(), port=free_port()) as mx1:
        web.say(mx="*.a.example")
        with Sink(Manner(greeting=b"421 4.3.2 not now\r\n"), port=mx1.port, address="127.0.0.2") as mx2:
            yield Lab(tmp_path, ca, dns, web, mx1, mx2)


def _outcome(record: Any) -> tuple[str, str]:
    return type(record).__name__, record.enhanced


# ---- MTA-STS ----


@pytest.mark.parametrize("kind", ["good", "wildcard"])
@story
async def test_a_host_that_meets_an_enforced_policy_gets_mail(lab: Lab, kind: str) -> None:
    lab.present(kind)

    record = await lab.one()

    assert _outcome(record) == ("Delivery", "2.0.0")
    assert record.tls.startswith("TLSv1.3 ")
    assert record.tls.endswith(" (mta-sts)")
    assert (lab.told, len(lab.mx1.messages)) == ([], 1)


@pytest.mark.parametrize("kind", ["wrong name", "common name only", "expired", "unknown authority"])
@story
async def test_mail_waits_for_the_right_certificate_under_an_enforced_policy(lab: Lab, kind: str) -> None:
    lab.mx2.manner.greeting = b"220 mx2\r\n"  # without STARTTLS
    lab.present(kind)

    record = await lab.one()

    assert _outcome(record) == ("Deferral", "4.7.5")
    assert "MTA-STS policy of a.example" in record.text
    assert lab.mx1.messages == lab.mx2.messages == []
    assert lab.told == ["mta-sts", "mta-sts"]


@pytest.mark.parametrize(
    "manner",
    [
        {},
        {"breaks_tls": True},
        {"breaks_tls": True, "starttls_reply": b"454 4.7.0 not now\r\n"},
        {"breaks_tls": True, "starttls_reply": b"\xff\r\n"},
        {"breaks_tls": True, "starttls_reply": b""},
    ],
    ids=["not offered", "broken handshake", "454", "garbage", "cut"],
)
@story
async def test_mail_never_falls_back_to_clear_text_under_an_enforced_policy(lab: Lab, manner: dict[str, Any]) -> None:
    lab.mx1.manner = lab.mx2.manner = Manner(**manner)
    memory = TlsMemory()

    record = await lab.one(tls=memory)

    assert _outcome(record) == ("Deferral", "4.7.5")
    assert lab.mx1.messages == lab.mx2.messages == []
    assert memory.broken.dirty() == []


@story
async def test_the_next_host_is_tried_when_one_fails_an_enforced_policy(lab: Lab) -> None:
    lab.present("expired")
    lab.mx2.manner = Manner(tls=_context(lab.ca.issue_cert("mx2.a.example")))

    record = await lab.one()

    assert _outcome(record) == ("Delivery", "2.0.0")
    assert (len(lab.mx1.messages), len(lab.mx2.messages)) == (0, 1)
    assert lab.told == ["mta-sts"]


@story
async def test_a_host_that_an_enforced_policy_does_not_name_is_not_even_called(lab: Lab) -> None:
    lab.present("good")
    lab.web.say(mx="mx9.a.example")

    record = await lab.one()

    assert _outcome(record) == ("Deferral", "4.7.5")
    assert lab.mx1.sessions == lab.mx2.sessions == 0
    assert lab.told == ["mta-sts", "mta-sts"]


@pytest.mark.parametrize(
    ("kind", "mx", "told"),
    [
        ("good", "*.a.example", []),
        ("expired", "*.a.example", ["mta-sts testing"]),
        ("good", "mx9.a.example", ["mta-sts testing", "mta-sts testing"]),
    ],
)
@story
async def test_a_policy_in_testing_is_told_of_and_holds_nothing_back(
    lab: Lab, kind: str, mx: str, told: list[str]
) -> None:
    lab.present(kind)
    lab.web.say("testing", mx=mx)

    record = await lab.one()

    assert _outcome(record) == ("Delivery", "2.0.0")
    assert lab.mx1.messages[0].tls == "TLSv1.3"
    assert lab.told == told


@story
async def test_a_policy_in_testing_asks_no_tls_of_a_host_without_it(lab: Lab) -> None:
    lab.web.say("testing", mx="*.a.example")

    record = await lab.one()

    assert (_outcome(record), record.tls) == (("Delivery", "2.0.0"), "")
    assert lab.told == ["mta-sts testing"]


@pytest.mark.parametrize(("to", "delivery"), [("ann@plain.example", {}), ("ann@a.example", {"mta_sts": False})])
@story
async def test_without_a_policy_any_certificate_will_do(lab: Lab, to: str, delivery: dict[str, Any]) -> None:
    lab.present("expired")

    record = await lab.one(to, **delivery)

    assert _outcome(record) == ("Delivery", "2.0.0")
    assert record.tls.startswith("TLSv1.3 ")
    assert not record.tls.endswith(")")
    assert lab.web.asked == []


@story
async def test_an_enforced_policy_and_broken_tls_are_known_after_a_restart(lab: Lab, tmp_path: Path) -> None:
    async def run(to: str) -> Any:
        memory = TlsMemory()
        counters = Counters(tmp_path / "counters.sqlite", memory.tables(), SystemClock())
        await counters.start()
        record = await lab.one(to, memory)
        await counters.stop()
        return record

    lab.present("good")
    lab.mx2.manner = Manner()
    assert _outcome(await run("ann@a.example")) == ("Delivery", "2.0.0")
    lab.mx1.manner = Manner(breaks_tls=True)
    before = lab.mx1.sessions
    assert _outcome(await run("bob@plain.example")) == ("Delivery", "2.0.0")
    assert lab.mx1.sessions - before == 2

    lab.web.status = 500
    lab.dns.change("\n".join(line for line in ZONE.splitlines() if "TXT" not in line))
    assert _outcome(await run("eve@a.example")) == ("Deferral", "4.7.5")
    before = lab.mx1.sessions
    assert _outcome(await run("joe@plain.example")) == ("Delivery", "2.0.0")
    assert lab.mx1.sessions - before == 1


@story
async def test_a_wrong_ca_file_is_refused_at_start(lab: Lab) -> None:
    (lab.folder / "ca.pem").write_text("nothing")

    with pytest.raises(SettingsError, match=r"delivery\.ca_file"):
        await lab.one()


# ---- DANE ----


def _tlsa(certificate: bytes, usage: int, selector: int, matching: int) -> str:
    """A record's data for a certificate (PEM)."""
    loaded = x509.load_pem_x509_certificate(certificate)
    found = loaded.public_bytes(Encoding.DER)
    if selector:
        found = loaded.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = {0: found.hex(), 1: hashlib.sha256(found).hexdigest(), 2: hashlib.sha512(found).hexdigest()}
    return f"{usage} {selector} {matching} {digest[matching]}"


def _signed(lab: Lab, *records: str, zone: str = ZONE) -> None:
    """Publish TLSA records of mx1; mx2 has one that nothing fits."""
    port = lab.mx1.port
    lines = [f"_{port}._tcp.mx1.a.example. 60 IN TLSA {record}" for record in records]
    lines.append(f"_{port}._tcp.mx2.a.example. 60 IN TLSA 3 1 1 {'00' * 32}")
    lab.dns.is_validating = True
    lab.dns.change("\n".join([zone, *lines]))


@pytest.mark.parametrize("how", [(3, 1, 1), (3, 1, 2), (3, 0, 1), (3, 0, 2), (3, 1, 0), (3, 0, 0)])
@pytest.mark.parametrize("kind", ["good", "expired", "wrong name", "unknown authority"])
@story
async def test_a_certificate_that_its_tlsa_record_names_is_enough(
    lab: Lab, kind: str, how: tuple[int, int, int]
) -> None:
    certificate = lab.present(kind)
    _signed(lab, _tlsa(certificate.cert_chain_pems[0].bytes(), *how))

    record = await lab.one(dane=True)

    assert _outcome(record) == ("Delivery", "2.0.0")
    assert record.tls.endswith(" (dane)")


@story
async def test_dane_wins_over_a_policy_that_does_not_name_the_host(lab: Lab) -> None:
    certificate = lab.present("unknown authority")
    lab.web.say(mx="mx9.a.example")
    _signed(lab, _tlsa(certificate.cert_chain_pems[0].bytes(), 3, 1, 1))

    assert _outcome(await lab.one(dane=True)) == ("Delivery", "2.0.0")


@pytest.mark.parametrize(
    ("kind", "enhanced"), [("good", "2.0.0"), ("wildcard", "2.0.0"), ("wrong name", "4.7.5"), ("expired", "4.7.5")]
)
@pytest.mark.parametrize("selector", [0, 1])
@story
async def test_a_trust_anchor_record_checks_chain_name_and_date(
    lab: Lab, kind: str, enhanced: str, selector: int
) -> None:
    lab.ca = lab.ca.create_child_ca()
    certificate = lab.present(kind)
    _signed(lab, _tlsa(certificate.cert_chain_pems[1].bytes(), 2, selector, 1))

    assert (await lab.one("ann@plain.example", dane=True)).enhanced == enhanced


@pytest.mark.parametrize("record", ["3 1 1 " + "00" * 32, "2 0 1 " + "00" * 32])
@story
async def test_mail_waits_for_the_certificate_that_dane_asks_for(lab: Lab, record: str) -> None:
    lab.present("good")
    _signed(lab, record)

    found = await lab.one("ann@plain.example", dane=True)

    assert _outcome(found) == ("Deferral", "4.7.5")
    assert "DANE" in found.text
    assert lab.mx1.messages == []
    assert lab.told == ["dane"]


@pytest.mark.parametrize(("has_tls", "enhanced"), [(True, "2.0.0"), (False, "4.7.5")])
@story
async def test_unusable_records_ask_for_tls_with_any_certificate(lab: Lab, has_tls: bool, enhanced: str) -> None:
    if has_tls:
        lab.present("expired")
    _signed(lab, "1 1 1 " + "00" * 32, "3 1 9 " + "00" * 32)

    assert (await lab.one("ann@plain.example", dane=True)).enhanced == enhanced


@pytest.mark.parametrize("case", ["not validating", "insecure host", "dane off"])
@story
async def test_records_that_nothing_proves_are_ignored(lab: Lab, case: str) -> None:
    lab.present("expired")
    zone = ZONE.replace("plain.example.       60 IN MX 10 mx1.a", "plain.example.  60 IN MX 10 mx1.insecure")
    zone += f"mx1.insecure.example. 60 IN A 127.0.0.1\n_{lab.mx1.port}._tcp.mx1.insecure.example. 60 IN TLSA 3 1 1 00\n"
    _signed(lab, "3 1 1 " + "00" * 32, zone=zone if case == "insecure host" else ZONE)
    lab.dns.is_validating = case != "not validating"

    assert _outcome(await lab.one("ann@plain.example", dane=case != "dane off")) == ("Delivery", "2.0.0")


@story
async def test_mail_waits_while_nobody_knows_the_tlsa_records(lab: Lab) -> None:
    lab.present("good")
    _signed(lab)
    lab.dns.fails = "TLSA"

    found = await lab.one("ann@plain.example", dane=True)

    assert _outcome(found) == ("Deferral", "4.7.5")
    assert lab.mx1.sessions == 0


@story
async def test_a_name_server_elsewhere_is_not_believed(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    values: dict[str, Any] = {"dane": True, "nameservers": ["192.0.2.53"], "dns_timeout_seconds": 0.1}

    async def ask(**delivery: Any) -> None:
        with contextlib.suppress(TransientError):
            await Lookup(lab.settings(**values, **delivery).delivery).ask("a.example", "A")

    with caplog.at_level(logging.ERROR):
        await ask(trusted_nameservers=["192.0.2.0/24"])
        assert caplog.text == ""
        await ask()
    assert "delivery.dane = true has no effect" in caplog.text


# ---- domains that share hosts ----


@pytest.mark.parametrize("order", [("a.example", "plain.example"), ("plain.example", "a.example")])
@story
async def test_a_policy_is_its_own_domains_where_many_domains_have_the_same_provider(
    lab: Lab, order: tuple[str, str]
) -> None:
    lab.dns.change(
        ZONE.replace("mx1.a.example", "aspmx.l.google.com").replace("mx2.a.example", "alt1.aspmx.l.google.com")
    )
    lab.web.say(mx="*.l.google.com")
    lab.present("unknown authority")

    async with delivering(lab.settings()) as room:
        for domain in order:
            await room.send(f"ann@{domain}")
        records = await room.until(2)

    assert {record.recipient: type(record).__name__ for record in records} == {
        "ann@a.example": "Deferral",
        "ann@plain.example": "Delivery",
    }
    assert {record.destination for record in records} == {"google"}
