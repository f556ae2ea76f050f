"""Whether a domain's SPF record lets an address send (RFC 7208): check_host() with its bounds, for `domain check`."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from relay.domains.lookups import LookupFailed, Lookups

_MOST_LOOKUPS, _MOST_VOID = 10, 2  # RFC 7208 4.6.4
_MOST_MX = 10
_TERM = re.compile(r"([+?~-]?)([a-z][a-z0-9]*)(?::([^/]*))?((?:/\d{1,3})?(?://\d{1,3})?)", re.IGNORECASE)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)
_MACRO = re.compile(r"%(?:([%_-])|\{([slodiphcrtv])(\d*)(r?)([.+,/_=-]*)\})", re.IGNORECASE)

Address = IPv4Address | IPv6Address


class SpfResult(StrEnum):
    """RFC 7208 2.6."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class SpfAnswer:
    """What the record means for one address; `term` matched it, `why` says what is wrong with a record in error."""

    result: SpfResult
    record: str = ""
    term: str = ""
    why: str = ""
    lookups: int = 0


class _Wrong(Exception):
    """The record cannot be evaluated: permerror."""


_RESULTS = {"+": SpfResult.PASS, "-": SpfResult.FAIL, "~": SpfResult.SOFTFAIL, "?": SpfResult.NEUTRAL}


async def check_host(dns: Lookups, address: str, domain: str) -> SpfAnswer:
    """Evaluate a domain's record for an address that sends for postmaster@domain."""
    check = _Check(dns, ip_address(address), domain)
    try:
        result, term = await check.evaluate(domain)
        return SpfAnswer(result, check.record, term, "", check.lookups)
    except LookupFailed as error:
        return SpfAnswer(SpfResult.TEMPERROR, check.record, "", str(error), check.lookups)
    except _Wrong as error:
        return SpfAnswer(SpfResult.PERMERROR, check.record, "", str(error), check.lookups)


def is_spf(text: str) -> bool:
    """Tell whether a TXT record is one (RFC 7208 4.5)."""
    return text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")


class _Check:
    def __init__(self, dns: Lookups, address: Address, sender: str) -> None:
        self._dns, self._address, self._sender = dns, address, sender
        self.record, self.lookups, self._void = "", 0, 0
        self._mechanisms: dict[str, Callable[[str, str, str], Awaitable[bool]]] = {
            "a": self._a,
            "mx": self._mx,
            "include": self._include,
            "exists": self._exists,
            "ptr": self._ptr,
            "ip4": self._network,
            "ip6": self._network,
        }

    async def evaluate(self, domain: str) -> tuple[SpfResult, str]:
        records = [text for text in await self._dns.texts(domain) if is_spf(text)]
        if len(records) > 1:
            raise _Wrong(f"{domain} has {len(records)} SPF records; there may be one")
        if not records:
            return SpfResult.NONE, ""
        self.record = self.record or records[0]
        redirect = ""
        for term in records[0].split()[1:]:
            if modifier := _MODIFIER.fullmatch(term):
                redirect = modifier[2] if modifier[1].lower() == "redirect" else redirect
                continue
            result = await self._term(term, domain)
            if result is not None:
                return result, term
        if not redirect:
            return SpfResult.NEUTRAL, ""
        self._count(f"redirect={redirect}")
        result, term = await self.evaluate(self._expanded(redirect, domain))
        if result is SpfResult.NONE:
            raise _Wrong(f"redirect={redirect}: no SPF record there")
        return result, term

    async def _term(self, term: str, domain: str) -> SpfResult | None:
        """The result of a mechanism that matches, None of one that does not."""
        found = _TERM.fullmatch(term)
        if found is None:
            raise _Wrong(f"{term!r} is no mechanism")
        sign, name, value, length = found[1] or "+", found[2].lower(), found[3] or "", found[4]
        if name == "all":
            return _RESULTS[sign]
        mechanism = self._mechanisms.get(name)
        if mechanism is None:
            raise _Wrong(f"{term!r} is no mechanism")
        if name not in ("ip4", "ip6"):
            self._count(term)
            value = self._expanded(value, domain) if value else domain
        return _RESULTS[sign] if await mechanism(value, length, term) else None

    def _count(self, term: str) -> None:
        self.lookups += 1
        if self.lookups > _MOST_LOOKUPS:
            raise _Wrong(f"more than {_MOST_LOOKUPS} look-ups, at {term!r}: receivers stop there (RFC 7208 4.6.4)")

    async def _a(self, name: str, length: str, _term: str) -> bool:
        found = await self._dns.of_family(name, self._address.version)
        self._note_void(found, name)
        return any(self._lies_in(address, length) for address in found)

    async def _mx(self, name: str, length: str, term: str) -> bool:
        exchangers = await self._dns.exchangers(name)
        self._note_void(exchangers, name)
        if len(exchangers) > _MOST_MX:
            raise _Wrong(f"{term!r} has more than {_MOST_MX} MX records")
        for host in exchangers:
            if any(self._lies_in(one, length) for one in await self._dns.of_family(host, self._address.version)):
                return True
        return False

    async def _include(self, name: str, _length: str, term: str) -> bool:
        result, _ = await self.evaluate(name)
        if result is SpfResult.NONE:
            raise _Wrong(f"{term!r}: no SPF record there")
        return result is SpfResult.PASS

    async def _exists(self, name: str, _length: str, _term: str) -> bool:
        found = await self._dns.of_family(name, 4)
        self._note_void(found, name)
        return bool(found)

    async def _ptr(self, name: str, _length: str, _term: str) -> bool:
        for host in (await self._dns.names(str(self._address)))[:_MOST_LOOKUPS]:
            if host == name or host.endswith(f".{name}"):
                return str(self._address) in await self._dns.of_family(host, self._address.version)
        return False

    async def _network(self, value: str, length: str, term: str) -> bool:
        try:
            return self._address in ip_network(f"{value}{length}", strict=False)
        except ValueError:
            raise _Wrong(f"{term!r} is no network") from None

    def _lies_in(self, address: str, length: str) -> bool:
        """Whether ours shares the prefix of that address; `length` is like /24, //64 or /24//64."""
        four, _, six = length.partition("//")
        prefix = four.removeprefix("/") if self._address.version == 4 else six
        try:
            return self._address in ip_network(f"{address}/{prefix}" if prefix else address, strict=False)
        except ValueError:
            raise _Wrong(f"{length!r} is no prefix length") from None

    def _note_void(self, found: object, name: str) -> None:
        if not found:
            self._void += 1
            if self._void > _MOST_VOID:
                raise _Wrong(f"more than {_MOST_VOID} look-ups without an answer, the last of {name}")

    def _expanded(self, text: str, domain: str) -> str:
        """A domain-spec with its macros filled in (RFC 7208 7)."""
        address = self._address
        dotted = str(address) if address.version == 4 else ".".join(f"{int(address):032x}")
        values = {"s": f"postmaster@{self._sender}", "l": "postmaster", "o": self._sender, "d": domain, "i": dotted}
        values |= {"h": self._sender, "v": "in-addr" if address.version == 4 else "ip6", "p": "unknown"}

        def filled(found: re.Match[str]) -> str:
            if found[1]:
                return {"%": "%", "_": " ", "-": "%20"}[found[1]]
            parts = re.split(f"[{re.escape(found[5] or '.')}]", values.get(found[2].lower(), "unknown"))
            parts = parts[::-1] if found[4] else parts
            return ".".join(parts[-int(found[3]) :] if found[3] and int(found[3]) else parts)

        return _MACRO.sub(filled, text).rstrip(".")
