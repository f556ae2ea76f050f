"""What a login is tied to, and its key for the HTTP door: exact, and never more than was written."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.account import Credential
from relay.control.checks import bound_network, checked_network, checked_sender_domain
from relay.control.errors import Invalid
from relay.front.bearer import bearer_of, login_of
from relay.front.bindings import may_come_from, may_send_as
from relay.front.identity_rules import parse_rule

_signs = st.characters(min_codepoint=33, max_codepoint=126)


def bound_to(*domains: str) -> Credential:
    return Credential("web1", "acme", "", sender_domains=tuple(checked_sender_domain(domain) for domain in domains))


@pytest.mark.parametrize(
    ("written", "allowed", "refused"),
    [
        ("acme.example", ["acme.example", "ACME.Example", "acme.example."], ["www.acme.example", "evilacme.example"]),
        ("*.acme.example", ["a.acme.example", "a.b.acme.example"], ["acme.example", "evilacme.example"]),
        (".acme.example", ["a.acme.example"], ["acme.example"]),
        ("xn--mller-kva.example", ["müller.example", "MÜLLER.example"], ["muller.example"]),
    ],
)
def test_a_login_sends_as_its_domains_only(written: str, allowed: list[str], refused: list[str]) -> None:
    for domain in allowed:
        assert may_send_as(bound_to(written).sender_domains, domain)
    for domain in [*refused, "", ".", "example", "acme.example.evil.example", "\udcff.example"]:
        assert not may_send_as(bound_to(written).sender_domains, domain)


def test_a_login_without_domains_sends_as_any() -> None:
    assert may_send_as((), "anything.example")
    assert may_send_as((), "")


def test_a_login_is_good_in_its_networks_only() -> None:
    bound = Credential("web1", "acme", "", networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))

    for ip in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "2001:db8::1%eth0"):
        assert may_come_from(bound, ip)
    for ip in ("192.0.3.7", "::ffff:192.0.3.7", "2001:db9::1", ""):
        assert not may_come_from(bound, ip)
    assert may_come_from(Credential("web1", "acme", ""), "")


@pytest.mark.parametrize(
    "written",
    [
        "0.0.0.0/0",
        "::/0",
        "::ffff:0:0/96",
        "::ffff:0.0.0.0/97",
        "0.0.0.0/7",
        "2000::/3",
        "2001::/31",
        "192.0.2.1/24",
        "x",
    ],
)
def test_a_network_that_is_half_the_world_or_none_is_refused(written: str) -> None:
    with pytest.raises(Invalid):
        checked_network(written)


def test_a_mapped_network_is_the_one_of_ipv4() -> None:
    assert str(checked_network("::ffff:192.0.2.0/120")) == "192.0.2.0/24"
    assert str(bound_network("::ffff:0:0/96")) == "0.0.0.0/0"


@given(login=st.text(_signs, min_size=1, max_size=255), password=st.text(_signs, min_size=1, max_size=64))
def test_a_key_names_its_login_and_password(login: str, password: str) -> None:
    assert login_of(bearer_of(login, password)) == (login.encode(), password.encode())


@given(st.one_of(st.text(), st.text("mw1.AQg_-+/= ü\n").map("mw1.".__add__)))
def test_whatever_else_is_presented_is_no_key_or_a_well_formed_one(presented: str) -> None:
    found = login_of(presented)

    if found is not None:
        assert presented.startswith("mw1.")
        assert found[1].decode() == presented.split(".", 2)[2]


@pytest.mark.parametrize(
    "presented", ["", "mw1", "mw1..x", "mw1.d2ViMQ.", "mw1.d2ViMQ", "mw2.d2ViMQ.x", "mw1.d.x", "mw1.ü.x"]
)
def test_a_broken_key_is_none(presented: str) -> None:
    assert login_of(presented) is None


@pytest.mark.parametrize("password", ["with space", "ümlaut", "", "a\r\nb"])
def test_a_password_that_no_header_carries_has_no_key(password: str) -> None:
    with pytest.raises(ValueError, match="ASCII"):
        bearer_of("web1", password)


@pytest.mark.parametrize("written", ["site", "=X", "Site=X", "site=X~(", "site=X~abc", "site=X~(a)(b)", "site="])
def test_a_broken_identity_rule_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"site|Site|=X"):
        parse_rule(written)
