"""Where mail goes: a real name server on loopback, asked over UDP."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from relay.clock import SteppedClock
from relay.delivery.routing.destinations import Destinations
from relay.delivery.routing.public import is_public
from relay.delivery.routing.routes import Target
from relay.reply import PermanentError, RelayError, TransientError
from relay.settings import Delivery, Route, Settings, SettingsError
from tests.delivering import delivering, delivery_settings, story
from tests.nameserver import NameServer

ZONE = """
one.example.          300 IN MX 10 mx1.one.example.
mx1.one.example.      300 IN A 8.8.8.8
mx1.one.example.      300 IN AAAA 2001:4860:4860::8888
many.example.         300 IN MX 20 second.many.example.
many.example.         300 IN MX 10 first.many.example.
many.example.         300 IN MX 30 gone.many.example.
first.many.example.   300 IN A 9.9.9.9
second.many.example.  300 IN A 1.1.1.1
implicit.example.     300 IN A 8.8.4.4
null.example.         300 IN MX 0 .
alias.example.        300 IN CNAME one.example.
aliasmx.example.      300 IN MX 10 alias2.example.
alias2.example.       300 IN CNAME mx1.one.example.
dangling.example.     300 IN MX 10 nowhere.example.
local.example.        300 IN MX 10 localhost.example.
localhost.example.    300 IN A 127.0.0.1
private.example.      300 IN A 10.0.0.7
mapped.example.       300 IN AAAA ::ffff:c0a8:0101
mixed.example.        300 IN A 10.0.0.7
mixed.example.        300 IN A 8.8.8.8
halfdown.example.     300 IN MX 10 servfail.example.
halfdown.example.     300 IN MX 20 first.many.example.
xn--mnchen-3ya.example. 300 IN MX 10 mx1.one.example.
xn--strae-oqa.example. 300 IN A 8.8.4.4
loop1.example.        300 IN CNAME loop2.example.
loop2.example.        300 IN CNAME loop1.example.
equal.example.        300 IN MX 10 mx1.one.example.
equal.example.        300 IN MX 10 First.Many.example.
equal.example.        300 IN MX 5 second.many.example.
six.example.          300 IN AAAA 2001:4860:4860::8888
"""


@pytest.fixture(scope="module")
def name_server() -> Iterator[NameServer]:
    with NameServer(ZONE) as running:
        yield running


@pytest.fixture
def zone(name_server: NameServer) -> NameServer:
    name_server.asked = 0
    return name_server


def _destinations(
    zone: NameServer, clock: SteppedClock | None = None, *, has_ipv6: bool = True, **delivery: Any
) -> Destinations:
    values = {"nameservers": [zone.address], "dns_timeout_seconds": 10, **delivery}
    settings = Settings(delivery=Delivery.model_validate(values))
    clock = clock or SteppedClock(datetime(2026, 11, 24, tzinfo=UTC))
    return Destinations(settings, clock, has_ipv6=lambda: has_ipv6)


async def _addresses(destinations: Destinations, domain: str) -> list[str]:
    return [host.address for host in await destinations.hosts(destinations.target(domain))]


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("one.example", ["8.8.8.8", "2001:4860:4860::8888"]),
        ("many.example", ["9.9.9.9", "1.1.1.1"]),
        ("implicit.example", ["8.8.4.4"]),
        ("alias.example", ["8.8.8.8", "2001:4860:4860::8888"]),
        ("aliasmx.example", ["8.8.8.8", "2001:4860:4860::8888"]),
        ("mixed.example", ["8.8.8.8"]),
        ("halfdown.example", ["9.9.9.9"]),
        ("münchen.example", ["8.8.8.8", "2001:4860:4860::8888"]),
        ("Straße.example", ["8.8.4.4"]),
        ("[8.8.8.8]", ["8.8.8.8"]),
        ("[IPv6:2001:4860:4860::8888]", ["2001:4860:4860::8888"]),
    ],
)
@story
async def test_the_hosts_of_a_domain_in_order_ipv4_first(zone: NameServer, domain: str, expected: list[str]) -> None:
    assert await _addresses(_destinations(zone), domain) == expected


@pytest.mark.parametrize(
    ("domain", "error", "enhanced"),
    [
        ("nowhere.example", PermanentError, "5.1.2"),
        ("null.example", PermanentError, "5.1.10"),
        ("dangling.example", PermanentError, "5.4.4"),
        ("local.example", PermanentError, "5.4.4"),
        ("private.example", PermanentError, "5.4.4"),
        ("mapped.example", PermanentError, "5.4.4"),
        ("[127.0.0.1]", PermanentError, "5.4.4"),
        ("[IPv6:::1]", PermanentError, "5.4.4"),
        ("[IPv6:::127.0.0.1]", PermanentError, "5.4.4"),  # IPv4-compatible, NAT64, 6to4, site-local
        ("[IPv6:64:ff9b::a00:7]", PermanentError, "5.4.4"),
        ("[IPv6:2002:a00:7::1]", PermanentError, "5.4.4"),
        ("[IPv6:fec0::1]", PermanentError, "5.4.4"),
        ("x" * 64 + ".example", PermanentError, "5.1.2"),
        ("a..example", PermanentError, "5.1.2"),
        ("ü..example", PermanentError, "5.1.2"),
        ("ü" * 64 + ".example", PermanentError, "5.1.2"),
        ("\u2615\ufe0f\u200d.example", PermanentError, "5.1.2"),
        ("[no address]", PermanentError, "5.1.2"),
        ("loop1.example", TransientError, "4.4.3"),
        ("servfail.example", TransientError, "4.4.3"),
    ],
)
@story
async def test_domains_without_a_usable_host_fail_with_a_reason(
    zone: NameServer, domain: str, error: type[RelayError], enhanced: str
) -> None:
    with pytest.raises(error) as caught:
        await _addresses(_destinations(zone), domain)

    assert caught.value.reply.enhanced == enhanced


@story
async def test_answers_good_and_bad_are_remembered_for_their_time(zone: NameServer) -> None:
    clock = SteppedClock(datetime(2026, 11, 24, tzinfo=UTC))
    destinations = _destinations(zone, clock)

    async def ask() -> int:
        await _addresses(destinations, "one.example")
        with pytest.raises(PermanentError):
            await _addresses(destinations, "nowhere.example")
        return int(zone.asked)

    first = await ask()
    assert await ask() == first
    clock.advance(301)
    assert await ask() > first


@story
async def test_a_failure_to_look_up_is_asked_again(zone: NameServer) -> None:
    destinations = _destinations(zone)
    for _ in range(2):
        with pytest.raises(TransientError):
            await _addresses(destinations, "servfail.example")

    assert zone.asked >= 2


@story
async def test_the_names_of_the_exchangers_are_remembered_and_a_refusal_is_one_again(zone: NameServer) -> None:
    destinations = _destinations(zone)

    first, *others = await destinations.exchanges("equal.example")
    assert (first, sorted(others)) == ("second.many.example", ["first.many.example", "mx1.one.example"])
    asked = zone.asked
    assert await destinations.exchanges("equal.example") == (first, *others)
    assert zone.asked == asked
    assert await destinations.exchanges("implicit.example") == ("implicit.example",)
    assert zone.asked > asked
    for _ in range(2):
        with pytest.raises(PermanentError):
            await destinations.exchanges("null.example")


@story
async def test_who_asks_at_the_same_time_asks_dns_once(zone: NameServer) -> None:
    destinations = _destinations(zone)

    names = await asyncio.gather(*(destinations.exchanges("one.example") for _ in range(50)))

    assert set(names) == {("mx1.one.example",)}
    assert zone.asked == 1


@pytest.mark.parametrize(
    ("families", "has_ipv6", "expected"),
    [
        ((4, 6), True, [("8.8.8.8", True), ("2001:4860:4860::8888", False)]),
        ((6, 4), True, [("2001:4860:4860::8888", True), ("8.8.8.8", False)]),
        ((6,), True, [("2001:4860:4860::8888", False)]),
        ((6, 4), False, [("8.8.8.8", False)]),
        ((6,), False, [("2001:4860:4860::8888", False)]),
    ],
)
@story
async def test_the_kind_of_address_asked_for_comes_first_and_ipv6_only_where_it_works(
    zone: NameServer, families: tuple[int, ...], has_ipv6: bool, expected: list[tuple[str, bool]]
) -> None:
    destinations = _destinations(zone, has_ipv6=has_ipv6)

    hosts = await destinations.hosts(destinations.target("one.example"), families)

    assert [(host.address, host.has_spare) for host in hosts] == expected


@story
async def test_a_domain_without_an_address_of_the_kind_waits(zone: NameServer) -> None:
    destinations = _destinations(zone)

    with pytest.raises(TransientError, match=r"4\.4\.4"):
        await destinations.hosts(destinations.target("six.example"), (4,))


@story
async def test_a_private_network_that_the_operator_names_may_be_in_dns(zone: NameServer) -> None:
    destinations = _destinations(zone, private_networks=["10.0.0.0/8"], mx_port=2525)

    [host] = await destinations.hosts(destinations.target("private.example"))

    assert (host.address, host.port) == ("10.0.0.7", 2525)
    with pytest.raises(PermanentError, match="not on the public internet"):
        await _addresses(destinations, "local.example")


def test_the_most_special_route_wins() -> None:
    routes = [
        Route(domain="lab.example", host="10.0.0.1"),
        Route(account="acme", host="smart.acme.example", port=587, mode="smarthost", user="u", password="secret"),
        Route(account="acme", domain="Two.example", mode="direct"),
        Route(account="test", host="10.0.0.9", mode="sink"),
    ]
    settings = Settings(delivery=Delivery(mode="smarthost", smarthost="smart.example:587"), route=routes)
    destinations = Destinations(settings, SteppedClock(datetime(2026, 11, 24, tzinfo=UTC)))

    def name(domain: str, account: str) -> str:
        return destinations.target(domain, account).name

    assert name("lab.example", "other") == "lab.example"
    assert name("any.example", "other") == "smart.example"
    assert name("lab.example", "acme") == name("any.example", "acme") == "smart.acme.example"
    assert (name("two.example", "acme"), destinations.target("two.example", "acme").host) == ("two.example", "")
    assert destinations.target("lab.example", "test").mode == "sink"
    assert (destinations.account_of_routes("acme"), destinations.account_of_routes("other")) == ("acme", "")
    assert "secret" not in repr(destinations.target("any.example", "acme"))


@pytest.mark.parametrize(
    "route", [{"host": "a.example"}, {"domain": "a.example", "mode": "smarthost"}, {"account": "a", "user": "u"}]
)
def test_half_a_route_is_refused(route: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="a route"):
        Route.model_validate(route)


def test_routes_win_over_the_smarthost_and_not_over_the_sink() -> None:
    route = Route(domain="Example.NET", host="10.0.0.1", port=2525, provider="lab")
    clock = SteppedClock(datetime(2026, 11, 24, tzinfo=UTC))

    def target(mode: str, domain: str) -> Target:
        delivery = Delivery.model_validate({"mode": mode, "smarthost": "smart.example:587"})
        return Destinations(Settings(delivery=delivery, route=[route]), clock).target(domain)

    assert target("direct", "example.net").name == "lab"
    assert target("direct", "example.org").host == ""
    assert target("smarthost", "example.net").name == "lab"
    assert target("smarthost", "example.org").name == "smart.example"
    assert target("sink", "example.net").name == "smart.example"


@pytest.mark.parametrize("address", ["64:ff9b::808:808", "2002:808:808::1", "2001:4860:4860::8888", "8.8.8.8"])
def test_an_address_that_carries_a_public_one_is_public(address: str) -> None:
    assert is_public(address)


@story
async def test_a_route_may_name_a_private_address() -> None:
    settings = Settings(route=[Route(domain="lab.example", host="127.0.0.1", port=2525)])
    destinations = Destinations(settings, SteppedClock(datetime(2026, 11, 24, tzinfo=UTC)))

    assert await _addresses(destinations, "lab.example") == ["127.0.0.1"]


@pytest.mark.parametrize("value", ["", "smart.example", "smart.example:99999"])
def test_a_wrong_smarthost_is_refused_at_start(value: str) -> None:
    settings = Settings(delivery=Delivery(mode="smarthost", smarthost=value))

    with pytest.raises(SettingsError, match="host:port"):
        Destinations(settings, SteppedClock(datetime(2026, 11, 24, tzinfo=UTC)))


@story
async def test_mail_to_domains_without_hosts_bounces_and_the_rest_waits(zone: NameServer, tmp_path: Path) -> None:
    settings = delivery_settings(
        tmp_path,
        1,
        mode="direct",
        nameservers=[zone.address],
        dns_timeout_seconds=10,
        first_retry_seconds=60,
    )
    async with delivering(settings) as room:
        await room.send(
            "ann@nowhere.example", "bob@null.example", "joe@private.example", "eve@servfail.example", mail_from=""
        )
        await room.until(4, seconds=20)

        found = {
            record.recipient: (type(record).__name__, record.enhanced, record.is_hard)
            for record in room.records("Bounce")
        }
        assert found == {
            "ann@nowhere.example": ("Bounce", "5.1.2", True),
            "bob@null.example": ("Bounce", "5.1.10", True),
            "joe@private.example": ("Bounce", "5.4.4", False),
        }
        assert [record.category for record in room.records("Deferral")] == ["DNSFailure"]
