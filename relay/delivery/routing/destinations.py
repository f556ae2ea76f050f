"""Where the mail of a recipient's domain goes: a route of the settings, the smarthost or sink, or the hosts of its MX.

A loopback or private address found in DNS is refused: only a route, smarthost or sink may name one, on purpose
(spec 2.8), or delivery.private_networks.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from relay.clock import Clock
from relay.delivery.replies import Category, OwnReply
from relay.delivery.routing.exchangers import Address, Exchangers
from relay.delivery.routing.lookup import Lookup, literal
from relay.delivery.routing.public import is_public
from relay.delivery.routing.routes import Routes, Target
from relay.delivery.tls.certificates import Contexts
from relay.delivery.tls.demands import TlsDemands
from relay.delivery.tls.mta_sts_cache import MtaSts, Policies
from relay.delivery.tls.mta_sts_fetch import PolicyFetcher
from relay.delivery.tls.policy import Demand
from relay.reply import PermanentError, TransientError
from relay.settings import Settings

_PROBE_SECONDS = 60.0
_ANY_IPV6 = ("2001:db8::25", 25)  # documentation (RFC 3849): choosing a route to it sends nothing
_NO_DEMANDS: Mapping[str, Demand | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Host:
    """One address of a next hop, and the name that TLS and log know it by.

    has_spare: another address of the same name follows, so that nobody should wait long for this one.
    demand: what the recipient's domain asks of TLS. Hosts are equal when they may share connections.
    """

    name: str
    address: str
    port: int
    has_spare: bool = field(default=False, compare=False)
    demand: Demand | None = None

    @property
    def key(self) -> str:
        return f"{self.address}:{self.port}"


class Destinations:
    """The routing table and what DNS says."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        has_ipv6: Callable[[], bool] | None = None,
        policies: Policies | None = None,
    ) -> None:
        """`policies`: those of MTA-STS that an earlier run knew.

        Raises SettingsError when the smarthost or a name server is not host:port, or delivery.ca_file holds nothing.
        """
        self._settings = delivery = settings.delivery
        self._routes = Routes(settings)
        self._lookup = Lookup(delivery)
        self._exchangers = Exchangers(self._lookup, clock)
        self._ipv6 = _Ipv6(clock, has_ipv6 or _has_ipv6)
        context = Contexts(delivery.ca_file).verifying
        fetcher = PolicyFetcher(self._lookup, self._is_public, context, delivery.mta_sts_port)
        mta_sts = MtaSts(self._lookup, fetcher, policies or Policies(), clock)
        self._demands = TlsDemands(delivery, self._lookup, mta_sts, clock)

    def on_tls_failure(self, listen: Callable[[str], None]) -> None:
        """Have `listen` called with the kind of policy that does not name a host of its domain."""
        self._demands.on_failure = listen

    def target(self, domain: str, account: str = "") -> Target:
        """Return the destination of a recipient's domain (lower-case) for mail of an account."""
        return self._routes.target(domain, account)

    def account_of_routes(self, account: str) -> str:
        """Return the account if it has routes of its own, else "": the mail of all others goes the same ways."""
        return account if self._routes.is_special(account) else ""

    async def exchanges(self, domain: str) -> tuple[str, ...]:
        """Return the names of a domain's mail exchangers, lower-case, in order of preference.

        From memory while DNS allows. Raises TransientError or PermanentError with an OwnReply.
        """
        return (await self._exchangers.names(domain)).names

    async def has_tls_terms(self, domain: str) -> bool:
        """Tell whether the domain's owner may ask for other TLS than the owners of other domains of the same hosts.

        Such a domain must share no connections with others (RFC 8461 section 3.4.1). Raises like exchanges().
        """
        if self._settings.tls == "none":
            return False
        policy, exchanges = await asyncio.gather(self._demands.policy(domain), self._exchangers.names(domain))
        return policy is not None or (self._settings.dane and exchanges.is_secure)

    async def hosts(self, target: Target, families: Sequence[int] = (4, 6)) -> Sequence[Host]:
        """Return the hosts to try, in order. Raises TransientError or PermanentError with an OwnReply.

        `families`: which kinds of addresses may be used, the first is tried first within each name.
        """
        if target.host:
            found = await self._named(target.host)
            return _hosts(self._usable(target.name, found, families), target.port, _NO_DEMANDS)
        domain, demands = target.name, _NO_DEMANDS
        if "none" in (self._settings.tls, target.tls):
            found = self._public(domain, await self._exchangers.addresses(domain))
        else:
            found, policy = await asyncio.gather(self._exchangers.addresses(domain), self._demands.policy(domain))
            found = self._public(domain, found)
            demands = await self._demands.of(domain, await self._exchangers.names(domain), found, policy)
            found = [item for item in found if item.name in demands]
        return _hosts(self._usable(domain, found, families), self._settings.mx_port, demands)

    async def _named(self, name: str) -> Sequence[Address]:
        """The addresses of a host that the operator named; any address is fine."""
        if address := literal(name):
            return [Address(name, address)]
        if self._settings.nameservers and name != "localhost":
            found, _ = await self._exchangers.addresses_of(name)
        else:
            found = await _system_addresses(name)
        if not found:
            raise TransientError(OwnReply(451, "4.4.3", f"{name}: no address found", Category.DNS_FAILURE))
        return found

    def _public(self, domain: str, found: Sequence[Address]) -> list[Address]:
        kept = [item for item in found if self._is_public(item.address)]
        if not kept:
            text = f"{domain} points to an address that is not on the public internet"
            raise PermanentError(OwnReply(550, "5.4.4", text, Category.ROUTING_ERRORS))
        return kept

    def _is_public(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._settings.private_networks) or is_public(address)

    def _usable(self, name: str, found: Sequence[Address], families: Sequence[int]) -> list[Address]:
        """Those of the families, the first one first within a name; IPv6 is the last resort of a node without it."""
        kept = [item for item in found if _family(item) in families]
        if not kept:
            text = f"{name} has no address of the kind that delivery may use"
            raise TransientError(OwnReply(451, "4.4.4", text, Category.ROUTING_ERRORS))
        if any(_family(item) == 4 for item in kept) and not self._ipv6.is_there():
            kept = [item for item in kept if _family(item) == 4]
        names = list(dict.fromkeys(item.name for item in kept))
        return sorted(kept, key=lambda item: (names.index(item.name), families.index(_family(item))))


def _hosts(found: Sequence[Address], port: int, demands: Mapping[str, Demand | None]) -> list[Host]:
    names = [item.name for item in found]
    return [
        Host(item.name, item.address, port, item.name in names[number + 1 :], demands.get(item.name))
        for number, item in enumerate(found)
    ]


def _family(item: Address) -> int:
    return 6 if ":" in item.address else 4


async def _system_addresses(name: str) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        text = f"{name}: {error.strerror or 'no address found'}"
        raise TransientError(OwnReply(451, "4.4.3", text, Category.DNS_FAILURE)) from error
    return [Address(name, address) for address in dict.fromkeys(str(entry[4][0]) for entry in found)]


class _Ipv6:
    """Whether this node has a way to the internet by IPv6, looked at now and then."""

    def __init__(self, clock: Clock, probe: Callable[[], bool]) -> None:
        self._clock, self._probe = clock, probe
        self._until, self._is_there = 0.0, False

    def is_there(self) -> bool:
        now = self._clock.unix()
        if self._until <= now:
            self._until, self._is_there = now + _PROBE_SECONDS, self._probe()
        return self._is_there


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(_ANY_IPV6)
    except OSError:
        return False
    return True
