"""What DNS says of a customer's domain, asked anew each time: whoever has just changed a record waits for the answer.

Never on the way of mail. "Nothing there" and "nobody knows" are two answers.
"""

import asyncio
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver
import dns.reversename

from relay.delivery.routing.lookup import failure_of, make_resolver
from relay.settings import Delivery

_LONGEST_SECONDS = 3.0  # of one look-up: a check asks a dozen, some one after the other, and somebody waits
_MOST_RECORDS = 50  # of one name


class LookupFailed(Exception):
    """DNS did not answer, or answered with an error; the text says for what."""


class Lookups:
    """The look-ups of one relay. Each raises LookupFailed; an empty list says that there is no such record."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def texts(self, name: str) -> list[str]:
        """TXT records, each with its strings joined."""
        records = await self._ask(name, "TXT")
        return [b"".join(record.strings).decode("utf-8", "replace") for record in records]

    async def addresses(self, name: str) -> list[str]:
        """IPv4 first."""
        four, six = await asyncio.gather(self.of_family(name, 4), self.of_family(name, 6))
        return [*four, *six]

    async def of_family(self, name: str, version: int) -> list[str]:
        """The addresses of one family, 4 or 6."""
        return [record.address for record in await self._ask(name, "A" if version == 4 else "AAAA")]

    async def exchangers(self, name: str) -> list[str]:
        """The names of MX records, the preferred first, in lower case without final dot."""
        records = sorted(await self._ask(name, "MX"), key=lambda record: record.preference)
        return [_plain(record.exchange) for record in records]

    async def names(self, address: str) -> list[str]:
        """The names an address has by its PTR records."""
        reverse = dns.reversename.from_address(address).to_text()
        return [_plain(record.target) for record in await self._ask(reverse, "PTR")]

    async def _ask(self, name: str, kind: str) -> list[Any]:
        if self._resolver is None:
            self._resolver = make_resolver(self._delivery)
            self._resolver.lifetime = min(self._delivery.dns_timeout_seconds, _LONGEST_SECONDS)
        try:
            answer = await self._resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
        except (dns.resolver.NXDOMAIN, dns.exception.SyntaxError, dns.exception.FormError, UnicodeError):
            return []  # no such name, or none that can exist
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailed(f"{kind} look-up of {name}: {failure_of(error)}") from error
        return list(answer.rrset or ())[:_MOST_RECORDS]


def _plain(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True)).lower()
