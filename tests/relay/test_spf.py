"""SPF records against a real name server: what lets us send, what is wrong; never more than ten look-ups."""

import asyncio
from collections.abc import Iterator

import pytest

from relay.domains.lookups import Lookups
from relay.domains.spf import SpfAnswer, SpfResult, check_host
from relay.settings import Delivery
from tests.zone import Zone, serving

ADDRESS, OTHER, SIX = "192.0.2.7", "198.51.100.9", "2001:db8::7"
RECORDS = {
    "include.example": "v=spf1 include:_spf.relay.example -all",
    "_spf.relay.example": "v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/64 -all",
    "all.example": "V=SPF1 +all",
    "a.example": "v=spf1 a -all",
    "prefix.example": "v=spf1 a:a.example/28 -all",
    "mx.example": "v=spf1 mx ~all",
    "redirect.example": "v=spf1 redirect=_spf.relay.example",
    "ptr.example": "v=spf1 ptr:relay.example ?all",
    "exists.example": "v=spf1 exists:%{ir}.list.example -all",
    "macro.example": "v=spf1 include:%{d2}.%{l}.example -all",
    "neutral.example": "v=spf1 exp=why.example unknown=modifier",
    "typo.example": "v=spf1 ip4:192.0.2 -all",
    "unknown.example": "v=spf1 ip5:192.0.2.7 -all",
    "gone.example": "v=spf1 include:nothing.example -all",
    "loop.example": "v=spf1 include:loop.example -all",
    "void.example": "v=spf1 a:v1.example a:v2.example a:v3.example +all",
    "ten.example": "v=spf1 " + " ".join(["exists:x.example"] * 10) + " +all",
    "eleven.example": "v=spf1 " + " ".join(["mx:mx.example"] * 11) + " +all",
    "fragile.example": "v=spf1 include:broken.example -all",
    "first.example": "v=spf1 ip4:192.0.2.7 include:broken.example -all",
}


@pytest.fixture(scope="module")
def zone() -> Iterator[Zone]:
    made = Zone({(name, "TXT"): ["unrelated", text] for name, text in RECORDS.items()}, broken={"broken.example"})
    made.put("double.example", "TXT", "v=spf1 -all", "v=spf1 +all")
    made.put("none.example", "TXT", "v=spf10 +all", "hello")
    made.put("a.example", "A", "192.0.2.7")
    made.put("a.example", "AAAA", "2001:db8::7")
    made.put("mx.example", "MX", "10 a.example.", "20 b.example.")
    made.put("mail.relay.example", "A", ADDRESS)
    made.put("7.2.0.192.in-addr.arpa", "PTR", "mail.relay.example.")
    made.put("7.2.0.192.list.example", "A", "127.0.0.2")
    made.put("x.example", "A", ADDRESS)
    with serving(made):
        yield made


def evaluated(zone: Zone, domain: str, address: str = ADDRESS) -> SpfAnswer:
    delivery = Delivery(nameservers=[f"127.0.0.1:{zone.port}"], dns_timeout_seconds=10)
    return asyncio.run(check_host(Lookups(delivery), address, domain))


@pytest.mark.parametrize(
    ("domain", "address", "result"),
    [
        ("include.example", ADDRESS, SpfResult.PASS),
        ("include.example", SIX, SpfResult.PASS),
        ("include.example", OTHER, SpfResult.FAIL),
        ("include.example", "2001:db8:1::7", SpfResult.FAIL),
        ("all.example", OTHER, SpfResult.PASS),
        ("a.example", ADDRESS, SpfResult.PASS),
        ("a.example", SIX, SpfResult.PASS),
        ("a.example", OTHER, SpfResult.FAIL),
        ("prefix.example", "192.0.2.9", SpfResult.PASS),
        ("prefix.example", "192.0.2.99", SpfResult.FAIL),
        ("mx.example", ADDRESS, SpfResult.PASS),
        ("mx.example", OTHER, SpfResult.SOFTFAIL),
        ("redirect.example", ADDRESS, SpfResult.PASS),
        ("redirect.example", OTHER, SpfResult.FAIL),
        ("ptr.example", ADDRESS, SpfResult.PASS),
        ("ptr.example", OTHER, SpfResult.NEUTRAL),
        ("exists.example", ADDRESS, SpfResult.PASS),
        ("exists.example", OTHER, SpfResult.FAIL),
        ("neutral.example", ADDRESS, SpfResult.NEUTRAL),
        ("none.example", ADDRESS, SpfResult.NONE),
        ("nothing.example", ADDRESS, SpfResult.NONE),
        ("double.example", ADDRESS, SpfResult.PERMERROR),
        ("typo.example", ADDRESS, SpfResult.PERMERROR),
        ("unknown.example", ADDRESS, SpfResult.PERMERROR),
        ("gone.example", ADDRESS, SpfResult.PERMERROR),
        ("macro.example", ADDRESS, SpfResult.PERMERROR),
        ("loop.example", ADDRESS, SpfResult.PERMERROR),
        ("void.example", ADDRESS, SpfResult.PERMERROR),
        ("ten.example", ADDRESS, SpfResult.PASS),
        ("eleven.example", OTHER, SpfResult.PERMERROR),
        ("fragile.example", ADDRESS, SpfResult.TEMPERROR),
        ("first.example", ADDRESS, SpfResult.PASS),
        ("broken.example", ADDRESS, SpfResult.TEMPERROR),
    ],
)
def test_a_record_means_what_rfc_7208_says(zone: Zone, domain: str, address: str, result: SpfResult) -> None:
    assert result is evaluated(zone, domain, address).result


def test_the_answer_names_the_term_that_decided_and_what_is_wrong(zone: Zone) -> None:
    assert evaluated(zone, "include.example").term == "include:_spf.relay.example"
    assert evaluated(zone, "include.example").lookups == 1
    assert "more than 10 look-ups" in evaluated(zone, "loop.example").why
    assert "2 SPF records" in evaluated(zone, "double.example").why
    assert "SERVFAIL" in evaluated(zone, "fragile.example").why
