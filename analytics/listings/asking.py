"""One question to a DNS list, and what came back. What an answer means stands in relay/dns_lists.py."""

import asyncio
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

import dns.asyncresolver
import dns.exception
import dns.resolver

from relay.dns_lists import Code, DnsList, Said
from relay.settings import Dnsbl, split_listen

NO_ANSWER = "no answer"
_TIMEOUT_SECONDS = 5.0
_AT_ONCE = 8  # questions open at one list: more looks like abuse
_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer: what it means, the codes that says it with, and the answer itself or why there is none."""

    said: Said
    text: str
    codes: tuple[Code, ...] = ()


class Asker:
    """Asks the name servers of the settings, else those of the system. For one event loop."""

    def __init__(self, settings: Dnsbl, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=not settings.nameservers)
        self._resolver.lifetime = timeout_seconds
        self._resolver.cache = None  # a listing is looked at twice on purpose
        if settings.nameservers:
            servers = [_server(value) for value in settings.nameservers]
            self._resolver.nameservers = [host for host, _ in servers]
            self._resolver.nameserver_ports = dict(servers)
        self._open: dict[str, asyncio.Semaphore] = {}

    async def ask(self, one: DnsList, name: str) -> Heard:
        """Ask a list about the labels of `name` (see `labels`). Raises nothing: no answer is one too."""
        turn = self._open.setdefault(one.zone, asyncio.Semaphore(_AT_ONCE))
        try:
            async with turn:
                found = await self._resolver.resolve(f"{name}.{one.asked_zone}.", "A", search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return Heard(Said.CLEAN, "")
        except dns.resolver.NoNameservers as error:
            return _failure(error)
        except dns.exception.Timeout:
            return Heard(Said.UNKNOWN, NO_ANSWER)
        except (dns.exception.DNSException, UnicodeError, OSError) as error:
            return Heard(Said.UNKNOWN, type(error).__name__)
        answers = sorted(record.to_text() for record in found)
        said, codes = one.meaning(answers)
        return Heard(said, " ".join(answers), codes)


def labels(subject: str) -> str:
    """The labels under which a list keeps an address (RFC 5782 2.1, 2.4), or a domain as it is.

    >>> labels("192.0.2.99"), labels("shop.example")
    ('99.2.0.192', 'shop.example')
    """
    try:
        address = ip_address(subject)
    except ValueError:
        return subject
    if isinstance(address, IPv4Address):
        return ".".join(reversed(subject.split(".")))
    return ".".join(reversed(address.exploded.replace(":", "")))


def _failure(error: dns.resolver.NoNameservers) -> Heard:
    """REFUSED is the list's will; everything else may pass."""
    codes = sorted({str(failure[3]) for failure in error.kwargs.get("errors", ())})
    text = " ".join(codes)[:200]
    return Heard(Said.REFUSED if codes == ["REFUSED"] else Said.UNKNOWN, text or "all name servers failed")


def _server(value: str) -> tuple[str, int]:
    try:
        return str(ip_address(value.strip("[]"))), _DNS_PORT
    except ValueError:
        return split_listen(value)
