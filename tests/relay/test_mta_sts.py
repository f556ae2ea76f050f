"""MTA-STS: records and policy files as text, and which policy holds when, with a real name server and web server."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from relay.clock import SteppedClock
from relay.delivery.routing.lookup import Lookup
from relay.delivery.tls.certificates import Contexts
from relay.delivery.tls.mta_sts import Mode, Policy, announced_id, parse_policy
from relay.delivery.tls.mta_sts_cache import MtaSts, Policies
from relay.delivery.tls.mta_sts_fetch import PolicyFetcher
from relay.settings import Delivery
from tests.delivering import eventually, story
from tests.nameserver import NameServer
from tests.policy_server import PolicyServer

RFC_EXAMPLE = (
    b"version: STSv1\nmode: enforce\n"
    b"mx: mail.example.com\nmx: *.example.net\nmx: backupmx.example.com\nmax_age: 604800\n"
)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=1"], "1"),
        (["v=STSv1 ;\tid=abc ; other=x"], "abc"),
        (["v=spf1 -all", "v=STSv1; id=1"], "1"),
        ([], ""),
        (["v=STSv1; id=1", "v=STSv1; id=2"], ""),
        (["v=STSv12; id=1"], ""),
        (["id=1; v=STSv1"], ""),
        (["v=STSv1; id="], ""),
        (["v=STSv1; id=with space"], ""),
        (["v=STSv1; id=" + "x" * 33], ""),
    ],
)
def test_the_id_is_read_from_exactly_one_record(texts: list[str], expected: str) -> None:
    assert announced_id(texts) == expected


def test_the_policy_of_the_rfc_is_read() -> None:
    policy = parse_policy(RFC_EXAMPLE)

    assert policy == Policy(Mode.ENFORCE, 604_800, ("mail.example.com", "*.example.net", "backupmx.example.com"))
    assert parse_policy(RFC_EXAMPLE.replace(b"\n", b"\r\n")) == policy


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        RFC_EXAMPLE.replace(b"STSv1", b"STSv2"),
        RFC_EXAMPLE.replace(b"enforce", b"enforced"),
        b"version: STSv1\nmode: enforce\nmax_age: 1\n",
        RFC_EXAMPLE.replace(b"604800", b"-1"),
        RFC_EXAMPLE.replace(b"604800", b"a week"),
        RFC_EXAMPLE.replace(b"604800", b"9" * 11),
        RFC_EXAMPLE.replace(b"max_age", b"maxage"),
        b"<html>" + RFC_EXAMPLE,
        RFC_EXAMPLE + b"no colon here\n",
    ],
)
def test_half_a_policy_is_none(raw: bytes) -> None:
    with pytest.raises(ValueError):
        parse_policy(raw)


def test_a_policy_of_none_needs_no_mx_and_a_long_max_age_is_cut_to_a_year() -> None:
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 86400\n").hosts == ()
    assert parse_policy(RFC_EXAMPLE.replace(b"604800", b"4000000000")).max_age_seconds == 31_557_600


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mail.example.com", True),
        ("MAIL.example.com.", True),
        ("x.example.net", True),
        ("example.net", False),
        ("x.y.example.net", False),
        ("evil-example.net", False),
        ("mail.example.com.evil.example", False),
        ("", False),
    ],
)
def test_a_star_stands_for_one_label(name: str, expected: bool) -> None:
    assert parse_policy(RFC_EXAMPLE).allows(name) is expected


@given(st.binary(max_size=300))
def test_whatever_the_file_holds_is_a_policy_or_a_value_error(raw: bytes) -> None:
    for draft in (raw, RFC_EXAMPLE + raw):
        try:
            assert parse_policy(draft).mode in Mode
        except ValueError:
            pass


# ---- which policy holds when ----

ZONE = """
_mta-sts.a.example.  60 IN TXT "v=STSv1; id={id};"
mta-sts.a.example.   60 IN A 127.0.0.1
"""


class Site:
    """A domain with a policy: its DNS, its web server, and what we know of it."""

    def __init__(self, dns: NameServer, web: PolicyServer, ca: trustme.CA, folder: Path) -> None:
        self.dns, self.web, self.ca = dns, web, ca
        self.clock = SteppedClock(datetime(2026, 11, 24, tzinfo=UTC))
        self.is_allowed = lambda address: address == "127.0.0.1"
        self._ca_file = folder / "ca.pem"
        ca.cert_pem.write_to_path(self._ca_file)
        self.policies = Policies()
        self.restart()

    def restart(self) -> None:
        """What is not in the counters' file is forgotten."""
        rows = self.policies.dirty()
        self.policies = Policies()
        assert self.policies.load(rows) == 0
        lookup = Lookup(Delivery(nameservers=[self.dns.address], dns_timeout_seconds=10))
        context = Contexts(self._ca_file).verifying
        fetcher = PolicyFetcher(lookup, lambda address: self.is_allowed(address), context, self.web.port)
        self._mta_sts = MtaSts(lookup, fetcher, self.policies, self.clock)

    def announce(self, new_id: str) -> None:
        self.dns.change(ZONE.format(id=new_id))

    async def mode(self) -> str:
        policy = await self._mta_sts.policy("a.example")
        return policy.mode.value if policy else ""

    def fetched_unix(self) -> float:
        """When the policy in force was fetched."""
        known = self.policies.get("a.example", self.clock.unix())
        return known.fetched_unix if known else 0.0


def served_as(ca: trustme.CA, *names: str, **about: datetime) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(*names, **about).configure_cert(context)  # type: ignore[arg-type]
    return context


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    ca = trustme.CA()
    with NameServer() as dns, PolicyServer(served_as(ca, "mta-sts.a.example")) as web:
        web.say()
        found = Site(dns, web, ca, tmp_path)
        found.announce("1")
        yield found


@story
async def test_a_policy_is_fetched_once_and_kept(site: Site) -> None:
    modes = await asyncio.gather(*(site.mode() for _ in range(20)))

    assert set(modes) == {"enforce"}
    assert site.web.asked == ["mta-sts.a.example/.well-known/mta-sts.txt"]


@story
async def test_no_record_means_no_policy_and_nothing_is_fetched(site: Site) -> None:
    site.dns.change("mta-sts.a.example. 60 IN A 127.0.0.1")

    assert await site.mode() == ""
    assert site.web.asked == []


@pytest.mark.parametrize(
    "fault", ["status", "redirect", "type", "size", "text", "name", "authority", "expired", "address"]
)
@story
async def test_a_policy_that_cannot_be_had_is_none_and_is_not_asked_for_again_at_once(site: Site, fault: str) -> None:
    match fault:
        case "status":
            site.web.status = 404
        case "redirect":
            site.web.status, site.web.headers = 302, {"Location": f"https://127.0.0.1:{site.web.port}/elsewhere"}
        case "type":
            site.web.content_type = "text/html; charset=utf-8"
        case "size":
            site.web.body += b"x: y\n" * 20_000
        case "text":
            site.web.body = b"not a policy\n"
        case "name":
            site.web.serve_as(served_as(site.ca, "a.example"))
        case "authority":
            site.web.serve_as(served_as(trustme.CA(), "mta-sts.a.example"))
        case "expired":
            past = datetime.now(UTC) - timedelta(days=1)
            site.web.serve_as(served_as(site.ca, "mta-sts.a.example", not_after=past))
        case "address":
            site.is_allowed = lambda _address: False

    assert [await site.mode(), await site.mode()] == ["", ""]
    assert len(site.web.asked) == (0 if fault in ("name", "authority", "expired", "address") else 1)

    site.web.status, site.web.headers, site.web.content_type = 200, {}, "text/plain"
    site.web.say()
    site.web.serve_as(served_as(site.ca, "mta-sts.a.example"))
    site.is_allowed = lambda _address: True
    site.clock.advance(301)
    assert await site.mode() == "enforce"


@story
async def test_a_slow_web_server_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.delivery.tls.mta_sts_fetch._FETCH_SECONDS", 0.3)
    site.web.delay_seconds = 2

    assert await site.mode() == ""


@story
async def test_a_new_id_brings_the_new_policy_at_once(site: Site) -> None:
    assert await site.mode() == "enforce"
    site.web.say("testing")
    site.clock.advance(61)
    assert await site.mode() == "enforce"  # the id is the same

    site.announce("2")
    site.clock.advance(61)

    assert await site.mode() == "testing"


@story
async def test_a_domain_can_take_its_policy_back(site: Site) -> None:
    assert await site.mode() == "enforce"
    site.web.say("none")
    site.announce("2")
    site.clock.advance(61)

    assert await site.mode() == ""


@pytest.mark.parametrize("trouble", ["record gone", "dns fails", "web fails"])
@story
async def test_a_known_policy_holds_until_its_age_is_over_whatever_fails(site: Site, trouble: str) -> None:
    assert await site.mode() == "enforce"
    match trouble:
        case "record gone":
            site.dns.change("")
        case "dns fails":
            site.dns.resolve = _fails  # type: ignore[method-assign]
        case "web fails":
            site.announce("2")
            site.web.status = 500

    site.clock.advance(604_000)
    assert await site.mode() == "enforce"
    site.clock.advance(900)
    assert await site.mode() == ""


def _fails(request: object, _handler: object) -> object:
    reply = request.reply()  # type: ignore[attr-defined]
    reply.header.rcode = 2
    return reply


@story
async def test_a_policy_is_renewed_in_the_background_when_half_its_age_is_over(site: Site) -> None:
    assert await site.mode() == "enforce"
    site.clock.advance(302_000)
    assert await site.mode() == "enforce"
    assert len(site.web.asked) == 1

    site.clock.advance(900)
    assert await site.mode() == "enforce"
    await eventually(lambda: site.fetched_unix() == site.clock.unix())
    assert len(site.web.asked) == 2
    site.clock.advance(604_000)
    site.dns.change("")

    assert await site.mode() == "enforce"  # twice its age after it was first seen


@story
async def test_a_known_policy_survives_a_restart(site: Site) -> None:
    assert await site.mode() == "enforce"
    site.restart()
    site.dns.change("")
    site.web.status = 500

    assert await site.mode() == "enforce"
    site.clock.advance(604_801)
    assert await site.mode() == ""


def test_rows_that_cannot_be_read_are_counted() -> None:
    assert Policies().load([("a.example", b"{}"), ("b.example", b"\xff")]) == 2
