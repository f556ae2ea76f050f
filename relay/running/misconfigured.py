"""Refusals that a customer's configuration causes (DNS records, TLS): an alarm that says how to mend it.

One a day for each account, sender's domain and rule: the same refusal comes with every message. Must never change what
becomes of the mail.
"""

import logging
from collections.abc import Callable, Iterable

from relay.delivery.replies import Category, classify
from relay.events import AlarmRaised, Bounce, Deferral, Record
from relay.reply import Reply
from relay.spool.journal import Journal
from relay.spool.store import SpooledRecipient

_log = logging.getLogger("mailweir.delivery")

CONDITION = "customer_configuration"
DAY_SECONDS = 86_400.0
_MAX_KEYS = 50_000


class Misconfigured:
    """Hears of every outcome. A counters.Source, so that a restart repeats no alarm."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.on_alarm: Callable[[str], object] = lambda _condition: None
        self._raised: dict[str, float] = {}
        self._dirty: dict[str, bytes] = {}

    def note(self, recipient: SpooledRecipient, record: Record, now_unix: float) -> None:
        """Raise the alarm of a refusal whose rule says that the customer's configuration is at fault."""
        if not isinstance(record, Bounce | Deferral) or record.category != Category.CONFIG_CUSTOMER:
            return
        domain = recipient.message.mail_from.rpartition("@")[2].lower()
        key = f"{record.account}|{domain}|{record.rule}"
        if now_unix < self._raised.get(key, -DAY_SECONDS) + DAY_SECONDS:
            return
        if len(self._raised) >= _MAX_KEYS:
            living = [(one, at) for one, at in self._raised.items() if now_unix < at + DAY_SECONDS]
            self._raised = dict(living[-_MAX_KEYS // 2 :])  # else each further one would look through all of them
        self._raised.pop(key, None)  # the youngest stands last
        self._raised[key], self._dirty[key] = now_unix, f"{now_unix:.0f}".encode()
        self._raise(record, domain)

    def dirty(self) -> list[tuple[str, bytes]]:
        rows, self._dirty = list(self._dirty.items()), {}
        return rows

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        unreadable = 0
        for key, value in rows:
            try:
                self._raised[key] = float(value)
            except ValueError:
                unreadable += 1
        return unreadable

    def _raise(self, record: Bounce | Deferral, domain: str) -> None:
        fix = classify(Reply(record.code, record.enhanced, record.text)).fix
        whose = f"mail of {domain}" if domain else "mail from the null sender"
        text = (
            f"{record.destination} refuses {whose} (account {record.account}) for its configuration: "
            f"{record.code} {record.enhanced} {record.text[:200]}. {fix}"
        )
        _log.warning("alarm condition=%s account=%s domain=%s rule=%s", CONDITION, record.account, domain, record.rule)
        self.on_alarm(CONDITION)
        self._journal.append(
            AlarmRaised(
                **self._journal.stamp(),
                condition=CONDITION,
                account=record.account,
                reseller=record.reseller,
                text=text,
                evidence={"domain": domain, "rule": record.rule, "destination": record.destination, "fix": fix},
            )
        )
