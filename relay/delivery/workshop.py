"""What all destinations share, and how one of their connections is opened: the hosts in order, those known to be down
left out."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from relay.clock import Clock
from relay.delivery.channel import Link
from relay.delivery.client import Connection
from relay.delivery.egress.egress import Egress, Source
from relay.delivery.handshake import Handshake, Manners, Unreachable, manners_towards
from relay.delivery.outcomes import Bookkeeper
from relay.delivery.queues import Parcel
from relay.delivery.replies import OwnReply
from relay.delivery.routing.destinations import Destinations, Host
from relay.delivery.routing.sites import Site
from relay.delivery.shaping.providers import load_providers
from relay.delivery.shaping.shaper import Shaper
from relay.delivery.tls.memory import TlsMemory
from relay.reply import RelayError
from relay.settings import Delivery, Settings
from relay.spool.store import Spool

_MAX_HOSTS_DOWN = 10_000


class NoAddress(Exception):
    """None of the hosts has an address of the source's family."""


class Parted(Exception):
    """The domain by which a site's hosts are looked up shares them with the others no more."""


@dataclass(slots=True)
class Memory:
    """What all queues hold together."""

    parcels: int = 0
    content_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Ways:
    """How mail may leave, as the operator has it: from which sources, how fast, and where its bounces go; and what an
    earlier run knew about TLS."""

    shaper: Shaper
    egress: Egress
    return_path: Callable[[Parcel], str]
    tls: TlsMemory = field(default_factory=TlsMemory)


def usual_ways(settings: Settings) -> Ways:
    """One source, the packaged providers, bounces to the senders. Raises SettingsError."""
    shaper = Shaper(load_providers(None, settings.delivery))
    return Ways(shaper, Egress(settings.node.hostname), lambda parcel: parcel.message.mail_from)


@dataclass(slots=True)
class Workshop:
    """What all destinations share; only its settings ever change."""

    spool: Spool
    clock: Clock
    settings: Delivery
    destinations: Destinations
    handshake: Handshake
    ways: Ways
    books: Bookkeeper
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    sort: Callable[[Parcel], None]
    forget_site: Callable[[Site], None]
    memory: Memory = field(default_factory=Memory)
    _hosts_down: dict[str, tuple[float, OwnReply]] = field(default_factory=dict)

    @property
    def shaper(self) -> Shaper:
        return self.ways.shaper

    @property
    def egress(self) -> Egress:
        return self.ways.egress

    def take_up(self, settings: Delivery) -> None:
        self.settings = settings
        self.handshake.take_up(settings)

    def failure_until(self) -> float:
        """Until when a host that failed now is left alone (spec 2.8)."""
        return self.clock.unix() + self.settings.host_failure_seconds

    async def open(self, link: Link) -> Connection:
        """Return a connection to the first host of the link's site that takes us.

        Raises Unreachable with the last host's reply, RelayError when the DNS has no host, NoAddress, Parted.
        """
        hosts = _reachable_from(link.source, await self._hosts(link.channel.site))
        if not hosts:
            raise NoAddress(link.source.name)
        last: Unreachable | None = None
        manners = self._manners(link)
        for host in hosts:
            until, reply = self._hosts_down.get(_key(host, link.source), (0.0, None))
            if reply is not None and until > self.clock.unix():
                last = Unreachable(reply, is_connected=False)
                continue
            try:
                return await self.handshake.open(host, manners)
            except Unreachable as error:
                last = error
                if not error.is_connected and not link.channel.sessions > 1:
                    self._note_down(_key(host, link.source), error.reply)
        assert last is not None
        raise last

    async def _hosts(self, site: Site) -> Sequence[Host]:
        """Whoever owns the domain that a shared site is looked up by must not say where the mail of the others goes,
        nor keep it waiting."""
        if not site.exchanges:
            return await self.destinations.hosts(site.target, self._families())
        try:
            names = await self.destinations.exchanges(site.target.name)
        except RelayError as error:
            raise Parted(site.target.name) from error
        if tuple(sorted(names)) != site.exchanges:
            raise Parted(site.target.name)
        hosts = await self.destinations.hosts(site.target, self._families())
        if any(host.name not in site.exchanges for host in hosts):  # changed in between
            raise Parted(site.target.name)
        return hosts

    def _families(self) -> Sequence[int]:
        version = self.settings.ip_version
        first = int(version[0])
        return (first, 10 - first) if version.endswith("first") else (first,)

    def _note_down(self, key: str, reply: OwnReply) -> None:
        down, now = self._hosts_down, self.clock.unix()
        if len(down) >= _MAX_HOSTS_DOWN:
            for old in [old for old, (until, _) in down.items() if until <= now]:
                del down[old]
        down[key] = (self.failure_until(), reply)

    def _manners(self, link: Link) -> Manners:
        site, source = link.channel.site, link.source
        tls = self.shaper.tls_of(site.destination)
        manners = manners_towards(site.target, self.settings, source.ehlo, tls)
        limit = self.shaper.messages_per_connection(site.destination, source.name, self.clock.unix())
        return replace(manners, address=source.address, max_parcels=limit)


def _key(host: Host, source: Source) -> str:
    return f"{source.name} {host.key}"


def _reachable_from(source: Source, hosts: Sequence[Host]) -> Sequence[Host]:
    if not source.address:
        return hosts
    is_six = ":" in source.address
    return [host for host in hosts if (":" in host.address) == is_six]
