"""Puts the desk for domains together, for a running relay or the command line without one; and its hourly watch."""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from ipaddress import ip_address, ip_network

from relay.clock import Clock
from relay.control.state.memory import State
from relay.delivery.egress.sources import EgressSource, SourceState
from relay.domains.checks import Inspector
from relay.domains.desk import DomainDesk
from relay.domains.lookups import Lookups
from relay.domains.records import Ourselves
from relay.organisations import organisation_of
from relay.settings import Settings

_WATCH_SECONDS = 3600.0  # a customer who waits asks for a check; this is for those who do not
_INSIDE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128")
_log = logging.getLogger("mailweir.domains")


def make_desk(state: State, clock: Clock, settings: Callable[[], Settings]) -> DomainDesk:
    """`settings`: those in force at the moment of each command; name servers are those of the start."""
    first = settings()
    inspector = Inspector(Lookups(first.delivery), organisation_of, first.delivery.tls)

    def ourselves(account: str) -> Ourselves:
        now = settings()
        label = now.lockdown.labels[0] if now.is_lockdown_on and now.lockdown.labels else ""
        addresses = dict.fromkeys([*_public(state.egress.sources.values()), *now.dnsbl.addresses])
        return_path = state.brands.of_account(account).bounce_host or now.verp.domain
        return Ourselves(now.node.hostname, tuple(addresses), now.dkim.spf_include, label, return_path)

    return DomainDesk(state, clock, inspector, ourselves, lambda: timedelta(hours=settings().delivery.lifetime_hours))


async def watch(desk: DomainDesk, clock: Clock) -> None:
    """Look for the records of all domains each hour, until cancelled."""
    while True:
        await clock.sleep(_WATCH_SECONDS)
        try:
            await desk.look_again()
        except Exception:  # DNS or disk in trouble: the next hour may do, and no key may stop the relay
            _log.exception("domains not looked at")


def _public(sources: Iterable[EgressSource]) -> list[str]:
    """The addresses of sources that receivers see; behind address translation dnsbl.addresses says which they are."""
    inside = [ip_network(text) for text in _INSIDE]
    kept = (one.address for one in sources if one.state is not SourceState.RETIRED)
    return [text for text in kept if not any(ip_address(text) in network for network in inside)]
