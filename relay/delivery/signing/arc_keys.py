"""Looks up the keys by which a chain of ARC seals can be checked, for forwarded mail only. Remembers them.

The client waits meanwhile, so briefly: what DNS does not tell in time stays unknown, and then the mail is not sealed.
"""

import asyncio

import dns.asyncresolver
import dns.exception
import dns.resolver

from relay.clock import Clock
from relay.content.head import split_head
from relay.content.protocol import ArcOrder, Signer
from relay.delivery.routing.lookup import make_resolver
from relay.delivery.signing.arc_chain import chain_of
from relay.settings import Delivery

_KNOWN_SECONDS = 3600.0  # keys change in months; a forwarder's mail has few of them
_LONGEST_WAIT_SECONDS = 2.0
_CACHE_SIZE = 10_000
_MOST_KEYS = 12  # of one message: each hop has one; a longer chain is not worth so many look-ups


class ArcKeys:
    """The look-ups of one relay."""

    def __init__(self, delivery: Delivery, clock: Clock, signer: Signer | None) -> None:
        """`signer`: the relay's own; None: nothing is sealed, and nothing asked."""
        self._delivery, self._clock, self._signer = delivery, clock, signer
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._cache: dict[str, tuple[float, str]] = {}

    async def order(self, header_block: bytes) -> ArcOrder | None:
        """Have forwarded mail sealed, with the keys of the chain it has."""
        if self._signer is None:
            return None
        # the search first: nearly all mail has no chain, and to take a header apart costs more
        names = chain_of(split_head(header_block).fields).key_names() if b"arc-seal" in header_block.lower() else []
        found = await asyncio.gather(*(self._key(name) for name in names if len(names) <= _MOST_KEYS))
        return ArcOrder(self._signer, {name: key for name, key in zip(names, found, strict=False) if key is not None})

    async def _key(self, name: str) -> str | None:
        """The key record at a name, "" where there is none; None: nobody knows."""
        until, known = self._cache.get(name, (0.0, ""))
        if until > self._clock.unix():
            return known
        if self._resolver is None:
            self._resolver = make_resolver(self._delivery)
            self._resolver.lifetime = min(self._delivery.dns_timeout_seconds, _LONGEST_WAIT_SECONDS)
        try:
            answer = await self._resolver.resolve(name, "TXT", raise_on_no_answer=False, search=False)
            texts = [b"".join(record.strings).decode("ascii", "replace") for record in list(answer.rrset or ())]
        except (dns.resolver.NXDOMAIN, dns.exception.SyntaxError, dns.exception.FormError, UnicodeError):
            texts = []
        except (dns.exception.DNSException, OSError):
            return None
        if len(self._cache) >= _CACHE_SIZE:
            self._cache.clear()
        key = texts[0] if texts else ""
        self._cache[name] = (self._clock.unix() + _KNOWN_SECONDS, key)
        return key
