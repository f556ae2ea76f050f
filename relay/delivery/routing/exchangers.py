"""The mail exchangers of a domain and their addresses (RFC 5321 section 5.1), remembered as long as DNS allows.

Two memories, as two asks: names tell who serves a domain and are wanted before mail is queued; addresses are wanted
when a connection is opened.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from relay.clock import Clock
from relay.delivery.replies import Category, OwnReply
from relay.delivery.routing.dns_memory import DnsMemory
from relay.delivery.routing.lookup import MAX_TTL, Lookup, ascii_name, literal
from relay.reply import PermanentError

_MAX_HOSTS = 8  # of one destination; RFC 5321 5.1 asks for at least two


class Address(NamedTuple):
    """One address of an exchanger. is_secure: DNSSEC proves that it belongs to the name."""

    name: str
    address: str
    is_secure: bool = False


@dataclass(frozen=True, slots=True)
class Exchanges:
    """The exchangers' names in order of preference, lower-case. is_secure: DNSSEC proves them."""

    names: tuple[str, ...]
    is_secure: bool = False


class Exchangers:
    """Answers by domain; the same question is asked of DNS once at a time."""

    def __init__(self, lookup: Lookup, clock: Clock) -> None:
        self._lookup = lookup
        self._names = DnsMemory[Exchanges](clock, self._find_names)
        self._addresses = DnsMemory[tuple[Address, ...]](clock, self._find_addresses)

    async def names(self, domain: str) -> Exchanges:
        """Raises TransientError or PermanentError with an OwnReply."""
        return await self._names.get(domain)

    async def addresses(self, domain: str) -> Sequence[Address]:
        """Return the addresses of the exchangers in order, IPv4 first within a name. Raises like names()."""
        return await self._addresses.get(domain)

    async def addresses_of(self, name: str) -> tuple[list[Address], float]:
        """Return the addresses of one host, and for how long. Raises TransientError."""
        four, six = await asyncio.gather(self._lookup.ask(name, "A"), self._lookup.ask(name, "AAAA"))
        found = [
            Address(name, record.address, answer.is_secure) for answer in (four, six) for record in answer.records or ()
        ]
        return found, min(four.ttl, six.ttl)

    async def _find_names(self, domain: str) -> tuple[Exchanges, float]:
        if domain.startswith("["):
            return Exchanges((domain,)), MAX_TTL
        name = ascii_name(domain)
        answer = await self._lookup.ask(name, "MX")
        if answer.records is None:
            raise _no_domain(f"the domain {domain} does not exist", "5.1.2", 550)
        found = [(record.preference, record.exchange.to_text(omit_final_dot=True).lower()) for record in answer.records]
        if found and all(exchange in (".", "") for _, exchange in found):  # RFC 7505
            raise _no_domain(f"the domain {domain} takes no mail (null MX)", "5.1.10", 556)
        # equal preferences share the load (RFC 5321 section 5.1); without MX the domain is its own exchanger
        order = sorted((preference, random.random(), exchange) for preference, exchange in found)  # noqa: S311
        names = tuple(dict.fromkeys(exchange for _, _, exchange in order if exchange not in (".", "")))
        return Exchanges(names or (name,), answer.is_secure), answer.ttl

    async def _find_addresses(self, domain: str) -> tuple[tuple[Address, ...], float]:
        if domain.startswith("["):
            address = literal(domain.removeprefix("[").removesuffix("]"))
            if not address:
                raise _no_domain(f"{domain} is not an address", "5.1.2", 550)
            return (Address(domain, address),), MAX_TTL
        names, ttl = await self._names.get_with_ttl(domain)
        answers = await asyncio.gather(
            *(self.addresses_of(name) for name in names.names[:_MAX_HOSTS]), return_exceptions=True
        )
        known = [answer for answer in answers if not isinstance(answer, BaseException)]
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        hosts = tuple(host for found, _ in known for host in found)
        if failures and not hosts:
            raise failures[0]
        if not hosts:
            text = f"no mail exchanger of {domain} has an address"
            raise PermanentError(OwnReply(550, "5.4.4", text, Category.ROUTING_ERRORS))
        return hosts, min([ttl, *(seconds for _, seconds in known)])


def _no_domain(text: str, enhanced: str, code: int) -> PermanentError:
    return PermanentError(OwnReply(code, enhanced, text, Category.BAD_DOMAIN))
