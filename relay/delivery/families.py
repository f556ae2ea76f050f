"""IPv4 or IPv6: in which order the addresses of a next hop are tried (delivery.ip_version). Pure."""

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

from relay.delivery.destinations import Host

IpVersion = Literal["4-first", "6-first", "4", "6"]


def family_of(address: str) -> int:
    """4 or 6.

    >>> family_of("192.0.2.1"), family_of("2001:db8::1")
    (4, 6)
    """
    return 6 if ":" in address else 4


def in_order(hosts: Sequence[Host], version: IpVersion) -> list[Host]:
    """Return the hosts to try: MX order stays, the addresses of one name by family; "4" and "6" drop the other one.

    Empty when no host has an address of the only family allowed.
    """
    first = int(version[0])
    kept = hosts if version.endswith("first") else [host for host in hosts if family_of(host.address) == first]
    names = (list(same) for _, same in groupby(kept, key=lambda host: host.name))
    return [host for same in names for host in sorted(same, key=lambda host: family_of(host.address) != first)]
