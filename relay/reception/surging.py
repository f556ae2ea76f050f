"""The alarm about an account whose volume is far above its own: its operator should look. Must never touch mail."""

import logging

from relay.events import AlarmRaised
from relay.metrics import Metrics
from relay.policy.signals.surges import Surges
from relay.reception.case import UNREAD, Arrival
from relay.spool.journal import Journal

_log = logging.getLogger("mailweir.policy")

CONDITION = "account_volume"


class AccountVolume:
    """Hears of every message that was read."""

    def __init__(self, surges: Surges, journal: Journal, metrics: Metrics) -> None:
        self._surges, self._journal, self._metrics = surges, journal, metrics

    def note(self, arrival: Arrival, now_unix: float) -> None:
        """Count a message, and raise the alarm where it is due."""
        account, recipients = arrival.submission.account, len(arrival.submission.recipients)
        if arrival.result is UNREAD or (surge := self._surges.note(account.name, recipients, now_unix)) is None:
            return
        text = (
            f"account {account.name} has sent to {surge.volume} recipients in this hour; in this hour of the week "
            f"usually at most {surge.usual:g} (95th percentile of 14 days). Nobody was slowed down for it"
        )
        _log.warning("alarm condition=%s account=%s volume=%d", CONDITION, account.name, surge.volume)
        self._metrics.alarms.labels(CONDITION).inc()
        self._journal.append(
            AlarmRaised(
                **self._journal.stamp(),
                condition=CONDITION,
                account=account.name,
                reseller=account.reseller,
                text=text,
                evidence={"volume": surge.volume, "usual": surge.usual, "window_minutes": 60},
            )
        )
