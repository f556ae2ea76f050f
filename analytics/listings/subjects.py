"""Who DNS lists are asked about: our own public addresses, and the domains that customers write and link to."""

import logging
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address

from analytics.warehouse import Warehouse
from relay.control.client import ControlClient, ControlError
from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import SourceView
from relay.delivery.egress.sources import SourceState
from relay.organisations import organisation_of

_log = logging.getLogger("mailweir.listings")

_MOST_DOMAINS = 5_000  # those in most messages; a list that is free for little mail would count more as abuse

_DOMAINS = """
SELECT domain
FROM (
    SELECT f_from_domain AS domain FROM message WHERE received_at >= $now - INTERVAL 1 DAY
    UNION ALL
    SELECT unnest(f_link_domains) FROM message WHERE received_at >= $now - INTERVAL 1 DAY
)
WHERE domain <> ''
GROUP BY domain
ORDER BY count(*) DESC, domain
LIMIT $most
"""


def domains(warehouse: Warehouse, now: datetime) -> list[str]:
    """The organisational domains in From and links of the last day, most used first."""
    found = warehouse.table(_DOMAINS, now=now, most=_MOST_DOMAINS).column(0).to_pylist()
    return list(dict.fromkeys(name for domain in found if (name := organisation_of(domain.lower()))))


class Addresses:
    """Our addresses: those of the settings, and the public ones of the relay's sources."""

    def __init__(self, configured: list[str], relay: Callable[[], ControlClient]) -> None:
        self._configured, self._relay = configured, relay
        self.sources: list[SourceView] = []

    def now(self) -> list[str]:
        """The addresses; the relay's as last known while it does not answer."""
        try:
            with self._relay() as client:
                self.sources = EgressCalls(client).sources()
        except ControlError as error:
            _log.warning("sources not known, the last known are used error=%s", error)
        public = [one.address for one in self.sources if one.state is not SourceState.RETIRED]
        return list(dict.fromkeys([*self._configured, *(text for text in public if ip_address(text).is_global)]))
