"""Where the mail of a recipient's domain goes: a route of the settings, the smarthost or sink, or the hosts of its MX.

Owns DNS: dnspython, with a cache of ours that honours TTL and negative answers. A loopback or private address found in
DNS is refused: only a route, smarthost or sink may name one, on purpose (spec 2.8).
"""

import asyncio
import ipaddress
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver

from relay.clock import Clock
from relay.delivery.replies import Category, OwnReply
from relay.reply import PermanentError, RelayError, TransientError
from relay.settings import Delivery, Settings, split_listen

_MAX_HOSTS = 8  # of one destination; RFC 5321 5.1 asks for at least two
_CACHE_SIZE = 20_000
_MIN_TTL, _MAX_TTL = 5.0, 86_400.0
_SMTP_PORT = 25


@dataclass(frozen=True, slots=True)
class Host:
    """One address of a next hop, and the name that TLS and log know it by."""

    name: str
    address: str
    port: int

    @property
    def key(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """One destination: what shares a queue and its connections.

    `name` is what records show. `host` empty: by MX of `name`. is_smarthost: reached with the settings' login.
    """

    key: str
    name: str
    host: str = ""
    port: int = _SMTP_PORT
    is_smarthost: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    until_unix: float
    hosts: tuple[Host, ...]
    error: RelayError | None


class Destinations:
    """The routing table and the resolver."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Raises SettingsError when the smarthost or a name server is not host:port."""
        delivery = settings.delivery
        self._clock = clock
        self._all = _relay_host(delivery) if delivery.mode != "direct" else None
        # A sink takes everything: nothing of a test may ever leave.
        self._routes = {} if delivery.mode == "sink" else _routes(settings)
        self._lookup = _Lookup(delivery, clock)

    def target(self, domain: str) -> Target:
        """Return the destination of a recipient's domain (lower-case)."""
        return self._routes.get(domain) or self._all or Target(domain, domain)

    async def hosts(self, target: Target) -> Sequence[Host]:
        """Return the hosts to try, in order. Raises TransientError or PermanentError with an OwnReply."""
        if target.host:
            return await self._lookup.named(target.host, target.port)
        return await self._lookup.by_mx(target.name)


def _relay_host(delivery: Delivery) -> Target:
    host, port = split_listen(delivery.smarthost)
    return Target(delivery.smarthost, host, host, port, is_smarthost=delivery.mode == "smarthost")


def _routes(settings: Settings) -> dict[str, Target]:
    """domain -> Target. Domains of one provider share a destination if they have the same host and port."""
    found: dict[str, Target] = {}
    for route in settings.route:
        name = route.provider or route.domain.lower()
        key = f"{name} {route.host}:{route.port}"
        found[route.domain.lower()] = Target(key, name, route.host, route.port)
    return found


class _Lookup:
    """DNS, remembered."""

    def __init__(self, delivery: Delivery, clock: Clock) -> None:
        self._clock, self._delivery = clock, delivery
        self._nameservers = [_nameserver(value) for value in delivery.nameservers]
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._cache: dict[str, _Known] = {}

    async def named(self, name: str, port: int) -> Sequence[Host]:
        """The addresses of a host that the operator named; any address is fine."""
        literal = _literal(name)
        if literal:
            return [Host(name, literal, port)]
        if self._nameservers and name != "localhost":
            hosts, _ = await self._addresses(name, port)
        else:
            hosts = await self._system_addresses(name, port)
        if not hosts:
            raise TransientError(OwnReply(451, "4.4.3", f"{name}: no address found", Category.DNS_FAILURE))
        return hosts

    async def by_mx(self, domain: str) -> Sequence[Host]:
        """The hosts of a domain's mail exchangers, from memory while that holds."""
        now = self._clock.unix()
        known = self._cache.get(domain)
        if known is None or known.until_unix <= now:
            known = await self._asked(domain, now)
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[domain] = known
        if known.error is not None:
            raise known.error
        return known.hosts

    async def _asked(self, domain: str, now: float) -> _Known:
        literal = _literal(domain.removeprefix("[").removesuffix("]")) if domain.startswith("[") else ""
        try:
            if literal:
                hosts, ttl = [Host(domain, literal, _SMTP_PORT)], _MAX_TTL
            else:
                hosts, ttl = await self._exchangers(domain)
            return _Known(now + ttl, tuple(_public(domain, hosts)), None)
        except PermanentError as error:
            return _Known(now + 60, (), error)

    async def _exchangers(self, domain: str) -> tuple[list[Host], float]:
        answer, ttl = await self._ask(domain, "MX")
        if answer is None:
            text = f"the domain {domain} does not exist"
            raise PermanentError(OwnReply(550, "5.1.2", text, Category.BAD_DOMAIN))
        found = [(record.preference, record.exchange.to_text(omit_final_dot=True)) for record in answer]
        if [name for _, name in found] in (["."], [""]):  # RFC 7505
            text = f"the domain {domain} takes no mail (null MX)"
            raise PermanentError(OwnReply(556, "5.1.10", text, Category.BAD_DOMAIN))
        # equal preferences share the load (RFC 5321 section 5.1); without MX the domain is its own exchanger
        names = [name for _, _, name in sorted((p, random.random(), name) for p, name in found)] or [domain]  # noqa: S311
        answers = await asyncio.gather(
            *(self._addresses(name, _SMTP_PORT) for name in names[:_MAX_HOSTS]), return_exceptions=True
        )
        hosts = [host for item in answers if not isinstance(item, BaseException) for host in item[0]]
        failures = [item for item in answers if isinstance(item, BaseException)]
        if failures and not hosts:
            raise failures[0]
        if not hosts:
            text = f"no mail exchanger of {domain} has an address"
            raise PermanentError(OwnReply(550, "5.4.4", text, Category.ROUTING_ERRORS))
        return hosts, min([ttl, *(item[1] for item in answers if not isinstance(item, BaseException))])

    async def _addresses(self, name: str, port: int) -> tuple[list[Host], float]:
        """IPv4 first."""
        (four, ttl_four), (six, ttl_six) = await asyncio.gather(self._ask(name, "A"), self._ask(name, "AAAA"))
        records = [*(four or ()), *(six or ())]
        return [Host(name, record.address, port) for record in records], min(ttl_four, ttl_six)

    async def _system_addresses(self, name: str, port: int) -> list[Host]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except OSError as error:
            text = f"{name}: {error.strerror or 'no address found'}"
            raise TransientError(OwnReply(451, "4.4.3", text, Category.DNS_FAILURE)) from error
        addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
        return [Host(name, address, port) for address in sorted(addresses, key=lambda text: ":" in text)]

    async def _ask(self, name: str, kind: str) -> tuple[tuple[Any, ...] | None, float]:
        """The records and their TTL; None: the name does not exist. Raises TransientError: nobody knows."""
        try:
            answer = await self._ready().resolve(name, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as error:
            return None, _ttl(error)
        except (dns.exception.SyntaxError, dns.exception.FormError, UnicodeError):
            return None, _MAX_TTL  # a label of 64 bytes or an empty one: no such name can exist
        except (dns.exception.DNSException, OSError) as error:
            text = f"{kind} look-up of {name} failed: {failure_of(error)}"
            raise TransientError(OwnReply(451, "4.4.3", text, Category.DNS_FAILURE)) from error
        ttl = min(max(answer.chaining_result.minimum_ttl, _MIN_TTL), _MAX_TTL)
        return tuple(answer.rrset or ()), ttl

    def _ready(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:  # reading resolv.conf may fail, which is no reason not to start
            self._resolver = make_resolver(self._delivery)
        return self._resolver


def make_resolver(delivery: Delivery) -> dns.asyncresolver.Resolver:
    """Make a resolver that asks the name servers of the settings, else those of the system. Raises SettingsError."""
    nameservers = [_nameserver(value) for value in delivery.nameservers]
    resolver = dns.asyncresolver.Resolver(configure=not nameservers)
    resolver.lifetime = delivery.dns_timeout_seconds
    if nameservers:
        resolver.nameservers = list(nameservers)
    return resolver


def _nameserver(value: str) -> dns.nameserver.Nameserver:
    literal = _literal(value.strip("[]"))
    host, port = (literal, 53) if literal else split_listen(value)
    return dns.nameserver.Do53Nameserver(host, port)


def _ttl(error: dns.resolver.NXDOMAIN) -> float:
    response = next(iter(error.responses().values()))  # type: ignore[no-untyped-call]
    return float(min(max(response.resolve_chaining().minimum_ttl, _MIN_TTL), _MAX_TTL))


def failure_of(error: Exception) -> str:
    """Say in words what went wrong with a look-up."""
    match error:
        case dns.exception.Timeout():
            return "timed out"
        case dns.resolver.NoNameservers():
            return "all name servers failed (SERVFAIL)"
        case _:
            return type(error).__name__


def _literal(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.removeprefix("IPv6:")))
    except ValueError:
        return ""


def _public(domain: str, hosts: Sequence[Host]) -> list[Host]:
    kept = [host for host in hosts if _is_public(host.address)]
    if not kept:
        text = f"{domain} points to an address that is not on the public internet"
        raise PermanentError(OwnReply(550, "5.4.4", text, Category.ROUTING_ERRORS))
    return kept


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    inner = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None) or parsed
    return inner.is_global and not inner.is_multicast
