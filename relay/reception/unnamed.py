"""Mail of shared servers that names no end user: counted, and an alarm when it becomes usual.

All such mail of a server shares one key, so that one abuser in it stops everybody in it: its operator should know that
the header is missing before that happens. Must never decide anything about a message.
"""

import logging
from array import array

from relay.account import Account
from relay.events import AlarmRaised
from relay.front.identity import Identity
from relay.metrics import Metrics
from relay.policy.signals.counts import MINUTE_SECONDS, MINUTE_SLOTS, MINUTE_WIDTH, forget, slot_of
from relay.settings import Settings
from relay.spool.journal import Journal

_log = logging.getLogger("mailweir.identity")

CONDITION = "no_sender_id"
QUIET_SECONDS = 6 * 3_600.0  # one alarm of an account, then silence for


class UnnamedMail:
    """The counts of the last hour, by account: one window of minute, unnamed, seen each."""

    def __init__(self, settings: Settings, journal: Journal, metrics: Metrics) -> None:
        self._settings, self._journal, self._metrics = settings.identity, journal, metrics
        self._windows: dict[str, array[float]] = {}
        self._quiet_until: dict[str, float] = {}

    def take_up(self, settings: Settings) -> None:
        self._settings = settings.identity

    def note(self, account: Account, identity: Identity, now_unix: float) -> None:
        """Count a message; only those of shared hosts have somebody to name."""
        if not account.shared_host:
            return
        window = self._windows.setdefault(account.name, array("d"))
        minute = int(now_unix // MINUTE_SECONDS)
        slot_of(window, MINUTE_WIDTH, minute, MINUTE_SLOTS)
        window[-1] += 1.0
        if identity.is_named:
            return
        window[-2] += 1.0
        self._metrics.unnamed.inc()
        if now_unix >= self._quiet_until.get(account.name, 0.0):
            forget(window, MINUTE_WIDTH, minute - MINUTE_SLOTS)
            self._judge(account, window, now_unix)

    def _judge(self, account: Account, window: "array[float]", now_unix: float) -> None:
        unnamed, seen = int(sum(window[1::MINUTE_WIDTH])), int(sum(window[2::MINUTE_WIDTH]))
        if unnamed < self._settings.unnamed_alarm or unnamed <= self._settings.unnamed_share * seen:
            return
        self._quiet_until[account.name] = now_unix + QUIET_SECONDS
        text = (
            f"{unnamed} of {seen} messages of account {account.name} in the last hour name no end user "
            f"({100 * unnamed / seen:.0f} %); they share one limit and one standing"
        )
        _log.warning("alarm condition=%s account=%s unnamed=%d seen=%d", CONDITION, account.name, unnamed, seen)
        self._metrics.alarms.labels(CONDITION).inc()
        self._journal.append(
            AlarmRaised(
                **self._journal.stamp(),
                condition=CONDITION,
                account=account.name,
                reseller=account.reseller,
                text=text,
                evidence={"unnamed": unnamed, "seen": seen, "window_minutes": 60},
            )
        )
