"""Where the mail of a domain queues: under its mail operator's name, its route's, or its own.

Domains whose MX hosts all belong to one provider of rules/providers.toml are one destination: its limits and its
reputation are common to them. A site is the part of a destination that the same hosts serve.
"""

from dataclasses import dataclass

from relay.clock import Clock
from relay.delivery.routing.destinations import Destinations
from relay.delivery.routing.routes import Target
from relay.delivery.shaping.providers import Providers

_KNOWN_SECONDS = 600.0  # an operator changes rarely, and its hosts are looked up anew by the resolver's own cache
_MAX_KNOWN = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """`destination` is what queue, limits and records call it, `key` tells one set of hosts from another.

    exchanges: the names of the hosts, sorted, where other domains have the same ones. The domain that was first stands
    for all of them as long as its own records name these hosts: they belong to somebody else, and may change.
    """

    destination: str
    key: str
    target: Target
    exchanges: tuple[str, ...] = ()


class Sites:
    """The site of each domain, remembered."""

    def __init__(self, destinations: Destinations, providers: Providers, clock: Clock) -> None:
        self._destinations, self._providers, self._clock = destinations, providers, clock
        self._known: dict[tuple[str, str], tuple[float, Site]] = {}
        self._by_key: dict[str, Site] = {}

    def take_up(self, providers: Providers) -> None:
        """Follow other suffixes from the next look-up on."""
        self._providers = providers
        self._known.clear()

    def known(self, domain: str, account: str) -> Site | None:
        """The site of a recipient's domain; None: `find` has to ask the DNS."""
        found = self._known.get((domain, self._destinations.account_of_routes(account)))
        if found is not None and found[0] > self._clock.unix():
            return found[1]
        account = self._destinations.account_of_routes(account)
        target = self._destinations.target(domain, account)
        return self._remember(domain, account, self._routed(target)) if target.host else None

    async def find(self, domain: str, account: str) -> Site:
        """Return the site, by DNS where it must be. Raises TransientError or PermanentError with an OwnReply."""
        if (site := self.known(domain, account)) is not None:
            return site
        account = self._destinations.account_of_routes(account)
        target = self._destinations.target(domain, account)
        exchanges = await self._destinations.exchanges(domain)
        provider = self._providers.of(exchanges)
        if not provider.suffixes:
            site = Site(domain, target.key, target)
        elif target.tls or await self._destinations.has_tls_terms(domain):
            site = Site(provider.name, f"{provider.name} {target.key}", target)
        else:
            names = tuple(sorted(exchanges))
            site = Site(provider.name, f"{provider.name} {' '.join(names)}", target, names)
        return self._remember(domain, account, self._shared(site))

    def forget(self, site: Site) -> None:
        """The domain by which its hosts are looked up has others now: ask for each domain anew."""
        self._by_key.pop(site.key, None)
        self._known = {key: found for key, found in self._known.items() if found[1] is not site}

    def _routed(self, target: Target) -> Site:
        return self._shared(Site(target.name, target.key, target))

    def _shared(self, site: Site) -> Site:
        if len(self._by_key) >= _MAX_KNOWN:
            self._by_key.clear()
        return self._by_key.setdefault(site.key, site)

    def _remember(self, domain: str, account: str, site: Site) -> Site:
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[(domain, account)] = (self._clock.unix() + _KNOWN_SECONDS, site)
        return site
