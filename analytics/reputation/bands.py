"""Which addresses are poor at which destination, sent to the relay as one version: others of their pool then send more.

Sent when the answer is another one, and again before it ends; the relay forgets it by itself when analytics is down.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from analytics.warehouse import Warehouse
from relay.control.client import ControlClient
from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import BandRow, NewBands

LASTS = timedelta(hours=3)
_RENEW_AFTER = timedelta(hours=1)

_LOW = """
SELECT split_part(entity, '|', 1) AS address, split_part(entity, '|', 2) AS destination, band, score, low, high, n
FROM reputation_now
WHERE entity_kind = 'ip_provider' AND band IN ('poor', 'bad')
ORDER BY ALL
"""


class BandPublisher:
    """Remembers what it sent last. `relay` makes a client of the control API."""

    def __init__(self, warehouse: Warehouse, relay: Callable[[], ControlClient]) -> None:
        self._warehouse, self._relay = warehouse, relay
        self._sent: dict[tuple[str, str], str] | None = None
        self._sent_at = datetime.min

    def publish(self, now: datetime) -> int:
        """Send what is due; return how many are poor or bad. Raises ControlError: the next run sends it."""
        rows = [BandRow(**row) for row in self._warehouse.table(_LOW).to_pylist()]
        bands: dict[tuple[str, str], str] = {(row.address, row.destination): row.band for row in rows}
        if bands == (self._sent or {}) and (not bands or now - self._sent_at < _RENEW_AFTER):
            return len(rows)
        new = NewBands(version=int(now.timestamp() * 1000), rows=rows, ends_at=now + LASTS)
        with self._relay() as client:
            EgressCalls(client).set_bands(new)
        self._sent, self._sent_at = bands, now
        return len(rows)
