"""Reports of ours (bounces) on their way into the queue: mail that no door received and nobody judges."""

from relay.clock import Clock
from relay.delivery.courier import Courier
from relay.events import Action, Rcpt, Reception
from relay.settings import Settings
from relay.spool.journal import Journal
from relay.spool.store import Flags, Spool, SpooledMessage
from relay.tree import SenderId

_RULE = "report"


class Reporting:
    """Spools reports, from the null sender, under the account whose mail they are about."""

    def __init__(self, *, settings: Settings, clock: Clock, journal: Journal, spool: Spool, courier: Courier) -> None:
        self._settings, self._clock, self._journal = settings, clock, journal
        self._spool, self._courier = spool, courier

    async def submit(self, report: bytes, to: str, about: SpooledMessage) -> None:
        """Return when the report is stored. Raises SpoolFull."""
        await self._store(report, to, about.account, about.reseller, about.flags)

    async def submit_digest(self, mail: bytes, to: str, account: str, reseller: str) -> None:
        """Return when the digest of an account is stored. Raises SpoolFull."""
        await self._store(mail, to, account, reseller, Flags.NONE if mail.isascii() else Flags.EIGHT_BIT)

    async def _store(self, report: bytes, to: str, account: str, reseller: str, flags: Flags) -> None:
        number = self._spool.reserve(1)
        now, sender = self._clock.now(), SenderId(account, "bounce", self._settings.node.hostname)
        message = SpooledMessage(
            id=number,
            message_id=self._spool.message_id(number),
            rcpts=1,
            account=account,
            reseller=reseller,
            sender=sender.key,
            mail_from="",
            received_at=now,
            flags=flags,
            prefix=b"",
            subject="Delivery report",
            rule=_RULE,
        )
        record = Reception(
            **self._journal.stamp(),
            message_id=message.message_id,
            account=account,
            reseller=reseller,
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
