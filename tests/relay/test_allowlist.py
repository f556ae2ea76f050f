"""Allowed networks: the narrowest wins, however many there are, and a change counts at once."""

from ipaddress import IPv4Address, IPv6Address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from relay.account import AllowedNetwork
from relay.control.state.allowlist import Allowlist, plain


def allowed(network: str, account: str) -> AllowedNetwork:
    return AllowedNetwork(ip_network(network, strict=False), account)


_prefixes = st.integers(0, 8).map(lambda bits: f"10.0.0.0/{24 + bits}") | st.tuples(
    st.integers(0, 255), st.integers(22, 32)
).map(lambda pair: f"10.0.{pair[0] % 4}.{pair[0]}/{pair[1]}")


@given(
    st.dictionaries(_prefixes.map(lambda text: str(ip_network(text, strict=False))), st.just(""), max_size=20),
    st.data(),
)
def test_it_finds_what_a_walk_through_all_networks_finds(networks: dict[str, str], data: st.DataObject) -> None:
    known = [allowed(network, network) for network in networks]
    found = Allowlist(known)
    gone = data.draw(st.sets(st.sampled_from(known), max_size=5)) if known else set()
    for one in gone:
        found.remove(one)
    kept = sorted((one for one in known if one not in gone), key=lambda one: -one.network.prefixlen)

    for ip in (f"10.0.{third}.{fourth}" for third in range(5) for fourth in (0, 1, 63, 128, 255)):
        expected = next((one.account for one in kept if plain(ip) in one.network), "")
        assert found.account_of(ip) == found.account_of(f"::ffff:{ip}") == expected
    assert {one.account for one in found} == {one.account for one in kept}


def test_both_families_are_found_among_ten_thousand() -> None:
    known = [AllowedNetwork(ip_network((int(IPv4Address("10.0.0.0")) + n * 256, 24)), f"a{n}") for n in range(5_000)]
    known += [
        AllowedNetwork(ip_network((int(IPv6Address("2001:db8::")) + (n << 64), 64)), f"b{n}") for n in range(5_000)
    ]
    found = Allowlist(known)

    assert found.account_of("10.0.3.77") == "a3"
    assert found.account_of("2001:db8:0:1387::99") == "b4999"
    assert found.account_of("10.200.0.1") == found.account_of("2001:db9::1") == found.account_of("") == ""


def test_a_change_counts_at_once() -> None:
    one = allowed("192.0.2.0/24", "acme")
    found = Allowlist([])

    assert found.account_of("192.0.2.1") == ""
    found.add(one)
    assert found.account_of("192.0.2.1") == "acme"
    found.add(allowed("192.0.2.1/32", "shop"))
    assert found.account_of("192.0.2.1") == "shop"
    found.remove(allowed("192.0.2.1/32", "shop"))
    assert found.account_of("192.0.2.1") == "acme"
    found.remove(one)
    assert found.account_of("192.0.2.1") == ""
