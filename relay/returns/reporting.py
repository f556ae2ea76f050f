"""Reports on their way into the queue: ours (bounces), and others' that came back to a return path of ours.

Mail from the null sender that nobody judges. Must never be answered by a report itself.
"""

from dataclasses import dataclass

from relay.clock import Clock
from relay.delivery.courier import Courier
from relay.delivery.headers import received_line
from relay.envelope import Submission
from relay.events import Action, Rcpt, Reception
from relay.settings import Settings
from relay.spool.journal import Journal
from relay.spool.origins import Origin
from relay.spool.store import Flags, Spool, SpooledMessage
from relay.tree import SenderId

LOOP_HEADER = "X-Mailweir-Loop"
_OURS, _NOTICE, _FORWARDED, _CASE = "report", "notice", "bounce_forward", "case_forward"


@dataclass(frozen=True, slots=True)
class _Notice:
    """A report, whom it goes to, and below which account. `came`: how it came in; None: it is ours."""

    content: bytes
    to: str
    account: str
    reseller: str
    flags: Flags
    came: Submission | None = None
    subject: str = "Delivery report"
    rule: str = _OURS


class Reporting:
    """Spools reports, from the null sender, under the account whose mail they are about."""

    def __init__(self, *, settings: Settings, clock: Clock, journal: Journal, spool: Spool, courier: Courier) -> None:
        self._settings, self._clock, self._journal = settings, clock, journal
        self._spool, self._courier = spool, courier

    async def submit(self, report: bytes, to: str, about: SpooledMessage) -> None:
        """Return when the report is stored. Raises SpoolFull."""
        await self._store(_Notice(report, to, about.account, about.reseller, about.flags))

    async def submit_digest(self, mail: bytes, to: str, account: str, reseller: str) -> None:
        """Return when the digest of an account is stored. Raises SpoolFull."""
        await self._store(_Notice(mail, to, account, reseller, _flags_of(mail)))

    async def submit_notice(self, mail: bytes, to: str, account: str, reseller: str) -> None:
        """Return when a notice of decisions is stored; account "": it is about several. Raises SpoolFull."""
        await self._store(_Notice(mail, to, account, reseller, _flags_of(mail), subject="Notice", rule=_NOTICE))

    async def forward(self, came: Submission, origin: Origin) -> str:
        """Return the id of the message that takes a report to the original envelope sender, once it is stored.

        The report itself goes on unchanged, below a Received line and what stops a loop. Raises SpoolFull.
        """
        flags = _flags_of(came.content) | (Flags.SMTPUTF8 if came.is_smtputf8 else Flags.NONE)
        forwarded = _Notice(
            came.content, origin.mail_from, origin.account, origin.reseller, flags, came, rule=_FORWARDED
        )
        return await self._store(forwarded)

    async def forward_case(self, came: Submission, to: str) -> str:
        """Return the id of the message that takes people's mail about abuse to the operator, once it is stored.

        Raises SpoolFull.
        """
        flags = _flags_of(came.content) | (Flags.SMTPUTF8 if came.is_smtputf8 else Flags.NONE)
        return await self._store(_Notice(came.content, to, "", "", flags, came, subject="Mail about abuse", rule=_CASE))

    async def _store(self, notice: _Notice) -> str:
        message = self._message(notice)
        record = self._reception(message, notice)
        recipients = await self._spool.store(message, notice.content, [notice.to], record, is_held=False)
        self._courier.enqueue(recipients, notice.content)
        return message.message_id

    def _message(self, notice: _Notice) -> SpooledMessage:
        number, hostname = self._spool.reserve(1), self._settings.node.hostname
        message_id, prefix = self._spool.message_id(number), b""
        if notice.came is not None:
            prefix = received_line(notice.came, hostname, message_id) + f"{LOOP_HEADER}: {hostname}\r\n".encode()
        return SpooledMessage(
            id=number,
            message_id=message_id,
            rcpts=1,
            account=notice.account,
            reseller=notice.reseller,
            sender=self._sender(notice).key,
            mail_from="",
            received_at=self._clock.now(),
            flags=notice.flags,
            prefix=prefix,
            subject=notice.subject,
            rule=notice.rule,
        )

    def _reception(self, message: SpooledMessage, notice: _Notice) -> Reception:
        came = notice.came
        return Reception(
            **self._journal.stamp(),
            message_id=message.message_id,
            account=notice.account,
            reseller=notice.reseller,
            sender=message.sender,
            sender_kind=self._sender(notice).kind,
            mail_from="",
            recipients=[Rcpt(message.id, notice.to)],
            client_ip=came.client_ip if came else "",
            helo=came.helo if came else "",
            tls=came.tls if came else "",
            door="inbox" if came else "report",
            size_bytes=len(notice.content),
            subject=message.subject,
            action=Action.ACCEPT,
            rule=message.rule,
            received_at=message.received_at,
            demo=self._settings.demo,
        )

    def _sender(self, notice: _Notice) -> SenderId:
        return SenderId(notice.account, "bounce", self._settings.node.hostname)


def _flags_of(content: bytes) -> Flags:
    return Flags.NONE if content.isascii() else Flags.EIGHT_BIT
