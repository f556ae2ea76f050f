"""Reports of ours (bounces) on their way into the queue: mail that no door received and nobody judges."""

from relay.clock import Clock
from relay.delivery.courier import Courier
from relay.events import Action, Rcpt, Reception
from relay.settings import Settings
from relay.spool.journal import Journal
from relay.spool.store import Spool, SpooledMessage
from relay.tree import SenderId

_RULE = "report"


class Reporting:
    """Spools reports, from the null sender, under the account whose mail they are about."""

    def __init__(self, *, settings: Settings, clock: Clock, journal: Journal, spool: Spool, courier: Courier) -> None:
        self._settings, self._clock, self._journal = settings, clock, journal
        self._spool, self._courier = spool, courier

    async def submit(self, report: bytes, to: str, about: SpooledMessage) -> None:
        """Return when the report is stored. Raises SpoolFull."""
        number = self._spool.reserve(1)
        now, sender = self._clock.now(), SenderId(about.account, "bounce", self._settings.node.hostname)
        message = SpooledMessage(
            id=number,
            message_id=self._spool.message_id(number),
            rcpts=1,
            account=about.account,
            reseller=about.reseller,
            sender=sender.key,
            mail_from="",
            received_at=now,
            flags=about.flags,
            prefix=b"",
            subject="Delivery report",
            rule=_RULE,
        )
        record = Reception(
            **self._journal.stamp(),
            message_id=message.message_id,
            account=about.account,
            reseller=about.reseller,
            sender=sender.key,
            sender_kind=sender.kind,
            mail_from="",
            recipients=[Rcpt(number, to)],
            client_ip="",
            door="report",
            size_bytes=len(report),
            subject=message.subject,
            action=Action.ACCEPT,
            rule=_RULE,
            received_at=now,
            demo=self._settings.demo,
        )
        recipients = await self._spool.store(message, report, [to], record, is_held=False)
        self._courier.enqueue(recipients, report)
