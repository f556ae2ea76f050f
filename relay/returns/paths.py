"""Which mail gets a return path of ours, which one, and what a return path says: the keys, the domains, one node.

VERP is a mode per sending domain (spec 2.8): off for shared hosting servers, on where the sender's domain has a
verified return-path host within its own organisation, so that SPF stays aligned (RFC 7489 section 3.1.2).
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from relay.account import Account
from relay.clock import Clock
from relay.delivery.queues import Parcel
from relay.delivery.verp import Key, Keyring, Traced
from relay.domains.keys import Domain
from relay.organisations import organisation_of
from relay.resellers.brand import NO_BRANDS, Brands
from relay.settings import Settings

# An older message (held for long, then released) goes out under its own sender: the token would end before the bounces
_LATEST = timedelta(days=20)


class ReturnPaths:
    """The return paths of one relay. `domain_of` says what is proved of a domain of an account."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        keys: Sequence[Key],
        domain_of: Callable[[str, str], Domain],
        brands: Brands = NO_BRANDS,
    ) -> None:
        self._node, self._own, self._clock = settings.node.name, settings.verp.domain.lower(), clock
        self._is_off = not settings.smtp.inbox_listen  # nobody would hear the bounces
        self._domain_of, self._brands = domain_of, brands
        organisation_of(settings.node.hostname)
        self._keyring = Keyring(keys)

    def take_up(self, keys: Sequence[Key]) -> None:
        """Sign and read by these keys from now on."""
        self._keyring = Keyring(keys)

    def domain_for(self, account: Account, mail_from: str) -> str:
        """Return the domain of the return path of an account's mail; "": bounces go to the envelope sender itself."""
        if account.shared_host or not mail_from or self._is_off:
            return ""
        domain = mail_from.rpartition("@")[2].lower()
        organisation = organisation_of(domain)
        if not organisation:
            return ""
        for name in dict.fromkeys((domain, organisation)):
            host = _proved(self._domain_of(account.name, name))
            if host and organisation_of(host) == organisation:
                return host
        own = self._brands.of_reseller(account.reseller).bounce_host or self._own
        return own if own and organisation_of(own) == organisation else ""

    def of(self, parcel: Parcel) -> str:
        """Return the address for MAIL FROM of a parcel, the same at each attempt."""
        message, recipients = parcel.message, parcel.recipients
        is_late = self._clock.now() - message.received_at > _LATEST
        if not message.return_domain or len(recipients) != 1 or is_late:
            return message.mail_from
        traced = Traced(self._node, message.id, recipients[0].id - message.id)
        return self._keyring.return_path(traced, message.received_at, message.return_domain)

    def read(self, address: str, now: datetime | None = None) -> Traced | None:
        """Return what a return path of this node says; None for any other address."""
        traced = self._keyring.read(address, now or self._clock.now())
        return traced if traced is not None and traced.node == self._node else None


def _proved(domain: Domain) -> str:
    return domain.return_path_host.lower() if domain.return_path_verified_at else ""
