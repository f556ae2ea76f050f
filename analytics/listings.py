"""What DNS lists say of our addresses: listed, clean or unknown. Only a real listing code is a listing.

An error, a time-out and an answer in 127.255.255.0/24 (the list refuses us: open resolver, quota) are unknown; so is an
answer outside 127.0.0.0/8 (a parked zone answers everything).
"""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import dns.exception
import dns.resolver

from relay.clock import Clock
from relay.events import Listing
from relay.settings import Dnsbl, split_listen
from relay.spool.journal import Journal

_LISTING_CODES = IPv4Network("127.0.0.0/16")
_TIMEOUT_SECONDS = 5.0
_DNS_PORT = 53


class DnsLists:
    """Asks each list about each address; a list that does not answer is asked once per round."""

    def __init__(self, settings: Dnsbl) -> None:
        self._settings = settings
        self._resolver = dns.resolver.Resolver(configure=not settings.nameservers)
        self._resolver.lifetime = _TIMEOUT_SECONDS
        self._resolver.cache = None
        if settings.nameservers:
            servers = [_server(value) for value in settings.nameservers]
            self._resolver.nameservers = [host for host, _ in servers]
            self._resolver.nameserver_ports = dict(servers)

    def check(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield (address, zone, status, answer)."""
        for zone in self._settings.zones:
            silent = ""
            for address in self._settings.addresses:
                if silent:
                    yield address, zone, "unknown", silent
                    continue
                status, answer = self._ask(address, zone)
                if answer == "timeout":
                    silent = answer
                yield address, zone, status, answer

    def _ask(self, address: str, zone: str) -> tuple[str, str]:
        try:
            found = self._resolver.resolve(f"{reversed_name(address)}.{zone}", "A")
        except dns.resolver.NXDOMAIN:
            return "clean", ""
        except dns.exception.Timeout:
            return "unknown", "timeout"
        except dns.exception.DNSException as error:
            return "unknown", type(error).__name__
        return judge([str(record) for record in found])


def reversed_name(address: str) -> str:
    """The labels under which a list keeps an address (RFC 5782 2.1, 2.4).

    >>> reversed_name("192.0.2.99")
    '99.2.0.192'
    """
    match ip_address(address):
        case IPv4Address() as v4:
            return ".".join(reversed(str(v4).split(".")))
        case IPv6Address() as v6:
            return ".".join(reversed(v6.exploded.replace(":", "")))


def judge(answers: list[str]) -> tuple[str, str]:
    """Tell what A records of a list mean.

    >>> judge(["127.0.0.3"]), judge(["127.255.255.254"]), judge(["203.0.113.7"])
    (('listed', '127.0.0.3'), ('unknown', '127.255.255.254'), ('unknown', '203.0.113.7'))
    """
    text = " ".join(sorted(answers))
    is_listing = bool(answers) and all(ip_address(answer) in _LISTING_CODES for answer in answers)
    return ("listed" if is_listing else "unknown"), text


def check_job(settings: Dnsbl, journal: Journal, clock: Clock) -> Callable[[], str]:
    """The job that checks and journals what the lists say."""
    lists = DnsLists(settings)

    def check() -> str:
        counts = dict.fromkeys(("listed", "clean", "unknown"), 0)
        for address, zone, status, answer in lists.check():
            stamp = journal.stamp()
            journal.append(
                Listing(**stamp, address=address, zone=zone, status=status, answer=answer, checked_at=clock.now())
            )
            counts[status] += 1
        return ", ".join(f"{count} {status}" for status, count in counts.items())

    return check


def _server(value: str) -> tuple[str, int]:
    try:
        return str(ip_address(value.strip("[]"))), _DNS_PORT
    except ValueError:
        return split_listen(value)
