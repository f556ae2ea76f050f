"""What the owner of a domain asks of TLS to its hosts, looked up: DANE where it is there, else MTA-STS.

DANE wins: DNSSEC proves which hosts are the domain's, so an MTA-STS policy has nothing to add (RFC 8461 section 2).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from relay.clock import Clock
from relay.delivery.replies import Category, OwnReply
from relay.delivery.routing.dns_memory import DnsMemory
from relay.delivery.routing.exchangers import Address, Exchanges
from relay.delivery.routing.lookup import Lookup
from relay.delivery.tls.dane import Tlsa, usable
from relay.delivery.tls.mta_sts import Mode, Policy
from relay.delivery.tls.mta_sts_cache import MtaSts
from relay.delivery.tls.policy import Check, Demand
from relay.reply import TransientError
from relay.settings import Delivery

_log = logging.getLogger("mailweir.delivery")

_TELL_SECONDS = 3600.0
_MOST_TOLD = 10_000


class TlsDemands:
    """Answers per domain."""

    def __init__(self, settings: Delivery, lookup: Lookup, mta_sts: MtaSts, clock: Clock) -> None:
        self._settings, self._lookup, self._mta_sts, self._clock = settings, lookup, mta_sts, clock
        self._tlsa = DnsMemory[tuple[bool, tuple[Tlsa, ...]]](clock, self._ask)
        self._told: dict[tuple[str, str], float] = {}
        self.on_failure: Callable[[str], None] = lambda _policy: None

    async def policy(self, domain: str) -> Policy | None:
        """Return the domain's MTA-STS policy where we keep to one; never raises."""
        return await self._mta_sts.policy(domain) if self._settings.mta_sts else None

    async def of(
        self, domain: str, exchanges: Exchanges, addresses: Sequence[Address], policy: Policy | None
    ) -> Mapping[str, Demand | None]:
        """Return the demand of each host that mail of the domain may go to, by name.

        Raises TransientError when none is left.
        """
        names = list(dict.fromkeys(item.name for item in addresses))
        found: dict[str, Demand | None] = {}
        why: OwnReply | None = None
        for name, records in zip(names, await self._records(names, exchanges, addresses), strict=True):
            if isinstance(records, TransientError):  # RFC 7672 section 2.1.1: nobody knows, so it is as if unreachable
                why = why or _dane_failure(records)
            elif records is not None:
                found[name] = Demand(Check.DANE, records, domain)
            elif policy is None:
                found[name] = None
            elif policy.allows(name):
                found[name] = Demand(Check.MTA_STS if policy.mode is Mode.ENFORCE else Check.TRIAL, (), domain)
            else:
                why = why or _not_in_policy(domain, name)
                self._tell(domain, name, policy)
                if policy.mode is not Mode.ENFORCE:
                    found[name] = None
        if not found:
            assert why is not None, "there is at least one address"
            raise TransientError(why)
        return found

    async def _records(
        self, names: Sequence[str], exchanges: Exchanges, addresses: Sequence[Address]
    ) -> list[tuple[Tlsa, ...] | TransientError | None]:
        """The usable TLSA records of each name; None: it has none, or nothing proves them."""
        if not (self._settings.dane and exchanges.is_secure):
            return [None] * len(names)
        insecure = {item.name for item in addresses if not item.is_secure}
        return list(await asyncio.gather(*(self._of_host(name, name in insecure) for name in names)))

    async def _of_host(self, name: str, is_insecure: bool) -> tuple[Tlsa, ...] | TransientError | None:
        if is_insecure:  # RFC 7672 section 2.2.2: its TLSA records are not even asked for
            return None
        try:
            has_any, records = await self._tlsa.get(name)
        except TransientError as error:
            return error
        return records if has_any else None

    async def _ask(self, name: str) -> tuple[tuple[bool, tuple[Tlsa, ...]], float]:
        answer = await self._lookup.ask(f"_{self._settings.mx_port}._tcp.{name}", "TLSA")
        has_any = bool(answer.records) and answer.is_secure
        return (has_any, usable(answer.records or ()) if has_any else ()), answer.ttl

    def _tell(self, domain: str, name: str, policy: Policy) -> None:
        """Once an hour: it is asked for each connection."""
        now = self._clock.unix()
        if self._told.get((domain, name), 0.0) > now:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[domain, name] = now + _TELL_SECONDS
        is_enforced = policy.mode is Mode.ENFORCE
        self.on_failure((Check.MTA_STS if is_enforced else Check.TRIAL).value)
        _log.warning("host not in mta-sts policy domain=%s host=%s mode=%s", domain, name, policy.mode.value)


def _not_in_policy(domain: str, name: str) -> OwnReply:
    text = f"{name} is an exchanger of {domain}, but its MTA-STS policy does not name it"
    return OwnReply(451, "4.7.5", text, Category.BAD_CONNECTION)


def _dane_failure(error: TransientError) -> OwnReply:
    return OwnReply(451, "4.7.5", f"DANE: {error.reply.text}", Category.DNS_FAILURE)
