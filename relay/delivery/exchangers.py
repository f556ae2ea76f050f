"""The mail exchangers of a domain and their addresses (RFC 5321 section 5.1), remembered as long as DNS allows.

Two memories, as two asks: names tell who serves a domain and are wanted before mail is queued; addresses are wanted
when a connection is opened.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from relay.clock import Clock
from relay.delivery.lookup import MAX_TTL, Lookup, ascii_name, literal
from relay.delivery.replies import Category, OwnReply
from relay.reply import PermanentError, RelayError

_MAX_HOSTS = 8  # of one destination; RFC 5321 5.1 asks for at least two
_CACHE_SIZE = 20_000
_MAX_FAILURE_SECONDS = 60.0  # of a domain that takes no mail: its owner may be mending it

_T = TypeVar("_T")


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
        self._names = _Memory[Exchanges](clock, self._find_names)
        self._addresses = _Memory[tuple[Address, ...]](clock, self._find_addresses)

    async def names(self, domain: str) -> Exchanges:
        """Raises TransientError or PermanentError with an OwnReply."""
        return await self._names.get(domain)

    def known(self, domain: str) -> Exchanges | None:
        """What names() would return without asking DNS; None when it would have to, or would raise."""
        return self._names.known(domain)

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


class _Known(NamedTuple, Generic[_T]):
    until_unix: float
    value: _T | None
    error: RelayError | None


class _Memory(Generic[_T]):
    """Values by domain, each until its time is over; refusals too, failures to know not."""

    def __init__(self, clock: Clock, find: Callable[[str], Awaitable[tuple[_T, float]]]) -> None:
        self._clock, self._find = clock, find
        self._cache: dict[str, _Known[_T]] = {}
        self._asking: dict[str, asyncio.Task[_Known[_T]]] = {}

    def known(self, domain: str) -> _T | None:
        entry = self._cache.get(domain)
        return entry.value if entry is not None and entry.until_unix > self._clock.unix() else None

    async def get(self, domain: str) -> _T:
        return (await self.get_with_ttl(domain))[0]

    async def get_with_ttl(self, domain: str) -> tuple[_T, float]:
        now = self._clock.unix()
        entry = self._cache.get(domain)
        if entry is None or entry.until_unix <= now:
            task = self._asking.get(domain)
            if task is None:
                task = self._asking[domain] = asyncio.create_task(self._ask(domain))
                task.add_done_callback(lambda _: self._asking.pop(domain, None))
            entry = await asyncio.shield(task)  # others wait for it too
        if entry.error is not None:
            raise entry.error
        assert entry.value is not None
        return entry.value, entry.until_unix - now

    async def _ask(self, domain: str) -> _Known[_T]:
        try:
            value, ttl = await self._find(domain)
            entry = _Known[_T](self._clock.unix() + ttl, value, None)
        except PermanentError as error:
            entry = _Known[_T](self._clock.unix() + _MAX_FAILURE_SECONDS, None, error)
        except RelayError as error:
            return _Known[_T](0.0, None, error)
        self._cache.pop(domain, None)  # the youngest stands last
        self._cache[domain] = entry
        if len(self._cache) > _CACHE_SIZE:
            del self._cache[next(iter(self._cache))]
        return entry


def _no_domain(text: str, enhanced: str, code: int) -> PermanentError:
    return PermanentError(OwnReply(code, enhanced, text, Category.BAD_DOMAIN))
