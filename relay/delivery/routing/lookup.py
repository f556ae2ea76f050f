"""DNS as delivery asks it: one look-up, one Answer. What answers mean is the business of its callers.

A name server's AD bit is believed only if it runs on loopback or in `delivery.trusted_nameservers` (RFC 6698 A.3):
anybody on the path could set it elsewhere.
"""

import ipaddress
import logging
from dataclasses import dataclass
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.nameserver
import dns.resolver
import idna

from relay.delivery.replies import Category, OwnReply
from relay.reply import PermanentError, TransientError
from relay.settings import Delivery, split_listen

_log = logging.getLogger("mailweir.delivery")

MIN_TTL, MAX_TTL = 5.0, 86_400.0
_EDNS_BYTES = 1232  # what no path cuts to pieces (DNS flag day 2020)


@dataclass(frozen=True, slots=True)
class Answer:
    """The records at a name; None: the name does not exist. `name`: what it is an alias of, or itself.

    is_secure: DNSSEC proves it, says a name server whose word counts.
    """

    name: str
    records: tuple[Any, ...] | None
    ttl: float
    is_secure: bool = False


class Lookup:
    """Asks the name servers of the settings, else those of the system."""

    def __init__(self, delivery: Delivery) -> None:
        """Raises SettingsError when a name server is not host:port."""
        self._delivery = delivery
        for value in delivery.nameservers:
            _nameserver(value)
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def ask(self, name: str, kind: str) -> Answer:
        """Return the records of a kind at an ASCII name. Raises TransientError: nobody knows."""
        resolver = self._ready()
        try:
            answer = await resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as error:
            return Answer(name, None, _ttl(error))
        except (dns.exception.SyntaxError, dns.exception.FormError, UnicodeError):
            return Answer(name, None, MAX_TTL)  # a label of 64 bytes or an empty one: no such name can exist
        except (dns.exception.DNSException, OSError) as error:
            text = f"{kind} look-up of {name} failed: {failure_of(error)}"
            raise TransientError(OwnReply(451, "4.4.3", text, Category.DNS_FAILURE)) from error
        canonical = answer.canonical_name.to_text(omit_final_dot=True).lower()
        ttl = min(max(answer.chaining_result.minimum_ttl, MIN_TTL), MAX_TTL)
        is_secure = bool(answer.response.flags & resolver.flags & dns.flags.AD) if resolver.flags else False
        return Answer(canonical, tuple(answer.rrset or ()), ttl, is_secure)

    def _ready(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:  # reading resolv.conf may fail, which is no reason not to start
            self._resolver = make_resolver(self._delivery)
            if self._delivery.dane and not _is_trusted(self._resolver, self._delivery):
                _log.error(
                    "delivery.dane = true has no effect: a name server is neither on loopback nor in "
                    "delivery.trusted_nameservers. Run a validating resolver on this machine, or name its network"
                )
            elif self._delivery.dane:
                self._resolver.flags = dns.flags.RD | dns.flags.AD  # asks for AD (RFC 6840 section 5.7)
                self._resolver.use_edns(0, 0, _EDNS_BYTES)
        return self._resolver


def make_resolver(delivery: Delivery) -> dns.asyncresolver.Resolver:
    """Make a resolver that asks the name servers of the settings, else those of the system. Raises SettingsError."""
    nameservers = [_nameserver(value) for value in delivery.nameservers]
    resolver = dns.asyncresolver.Resolver(configure=not nameservers)
    resolver.lifetime = delivery.dns_timeout_seconds
    if nameservers:
        resolver.nameservers = list(nameservers)
    return resolver


def ascii_name(domain: str) -> str:
    """Return a domain as DNS knows it, in A-labels (IDNA 2008). Raises PermanentError: no such domain can exist.

    >>> ascii_name("Straße.example")
    'xn--strae-oqa.example'
    """
    if domain.isascii():
        return domain.lower().removesuffix(".")
    try:
        return idna.encode(domain, uts46=True).decode()
    except UnicodeError as error:  # idna.IDNAError is one
        text = f"the domain {domain} cannot exist: {error}"
        raise PermanentError(OwnReply(553, "5.1.2", text, Category.BAD_DOMAIN)) from error


def failure_of(error: Exception) -> str:
    """Say in words what went wrong with a look-up."""
    match error:
        case dns.exception.Timeout():
            return "timed out"
        case dns.resolver.NoNameservers():
            return "all name servers failed (SERVFAIL)"
        case dns.message.ChainTooLong():
            return "its chain of aliases does not end"
        case _:
            return type(error).__name__


def literal(text: str) -> str:
    """Return the address that a text is, as in an address literal without its brackets; "" when it is none."""
    try:
        return str(ipaddress.ip_address(text.removeprefix("IPv6:")))
    except ValueError:
        return ""


def _nameserver(value: str) -> dns.nameserver.Nameserver:
    address = literal(value.strip("[]"))
    host, port = (address, 53) if address else split_listen(value)
    return dns.nameserver.Do53Nameserver(host, port)


def _is_trusted(resolver: dns.asyncresolver.Resolver, delivery: Delivery) -> bool:
    """Whether each server that may answer is believed."""
    for server in resolver.nameservers:
        text = literal(server if isinstance(server, str) else str(getattr(server, "address", "")))
        if not text:
            return False
        address = ipaddress.ip_address(text)
        if not address.is_loopback and not any(address in network for network in delivery.trusted_nameservers):
            return False
    return bool(resolver.nameservers)


def _ttl(error: dns.resolver.NXDOMAIN) -> float:
    response = next(iter(error.responses().values()))  # type: ignore[no-untyped-call]
    return float(min(max(response.resolve_chaining().minimum_ttl, MIN_TTL), MAX_TTL))
