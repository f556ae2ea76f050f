"""What DNS says of a source: its address, the reverse name and the EHLO name should agree (FCrDNS, RFC 1912 2.1).

Gmail and others put off or refuse mail of addresses that have no such name (5.7.25).
"""

import asyncio
import ipaddress

import dns.asyncresolver
import dns.exception
import dns.resolver
import dns.reversename
import msgspec

from relay.control.egress.views import SourceView
from relay.delivery.routing.lookup import make_resolver
from relay.settings import Settings


class IpCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `names`: those the address points to; `confirmed`: those of them that point back to it."""

    address: str
    ehlo: str
    names: list[str]
    confirmed: list[str]
    ehlo_addresses: list[str]
    troubles: list[str]

    @property
    def is_well(self) -> bool:
        return not self.troubles

    def lines(self) -> list[str]:
        """For people."""
        found = f"{self.address} -> {', '.join(self.names) or 'no name'}; {self.ehlo} -> "
        found += ", ".join(self.ehlo_addresses) or "no address"
        return [found, *(self.troubles or ["address, reverse name and EHLO name agree"])]


def check(settings: Settings, view: SourceView) -> IpCheck:
    """Ask the name servers of the settings."""
    return asyncio.run(_check(make_resolver(settings.delivery), view.address, view.ehlo or settings.node.hostname))


async def _check(resolver: dns.asyncresolver.Resolver, address: str, ehlo: str) -> IpCheck:
    kind = "AAAA" if ":" in address else "A"
    troubles: list[str] = []
    names = await _ask(resolver, dns.reversename.from_address(address).to_text(), "PTR", troubles)
    confirmed = [name for name in names if _has(await _ask(resolver, name, kind, troubles), address)]
    ehlo_addresses = await _ask(resolver, ehlo, kind, troubles)
    if not troubles:  # where a look-up failed nobody knows
        troubles += _disagreements(address, ehlo, names, confirmed, ehlo_addresses)
    return IpCheck(
        address=address,
        ehlo=ehlo,
        names=names,
        confirmed=confirmed,
        ehlo_addresses=ehlo_addresses,
        troubles=troubles,
    )


def _disagreements(address: str, ehlo: str, names: list[str], confirmed: list[str], ehlo_has: list[str]) -> list[str]:
    found = []
    if not names:
        found.append(f"{address} has no reverse name: have its PTR record set to {ehlo}")
    elif not confirmed:
        found.append(f"{', '.join(names)} does not point back to {address}: set its address record")
    if not _has(ehlo_has, address):
        found.append(f"{ehlo} does not point to {address}: set its address record, or `mailweir ip set NAME --ehlo`")
    elif confirmed and ehlo.lower() not in confirmed:
        found.append(f"the EHLO name {ehlo} is not the reverse name {confirmed[0]}: make them the same")
    return found


async def _ask(resolver: dns.asyncresolver.Resolver, name: str, kind: str, troubles: list[str]) -> list[str]:
    try:
        answer = await resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
    except dns.resolver.NXDOMAIN:
        return []
    except (dns.exception.DNSException, UnicodeError, OSError) as error:
        troubles.append(f"the {kind} look-up of {name} failed: {type(error).__name__}; try again")
        return []
    return [record.to_text().rstrip(".").lower() for record in answer.rrset or ()]


def _has(addresses: list[str], address: str) -> bool:
    return any(ipaddress.ip_address(found) == ipaddress.ip_address(address) for found in addresses)
