"""Who hears what of a message's recipients: reports to senders, lines of an account's digest, or nothing.

A failed recipient leaves the spool after its report (DSN) is stored, or together with its digest's line coming in: a
crash in between repeats the try, and never swallows the report.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from relay.clock import Clock
from relay.delivery.dsn import (
    MAX_HEADER_BYTES,
    FailedRecipient,
    Failure,
    delayed_report,
    failure_report,
    relayed_report,
)
from relay.delivery.queues import Parcel, expires_at
from relay.dsn_options import DELAY, FAILURE, notify_of, option
from relay.events import Bounce, Expiration, Record
from relay.notices.addressee import Addressee, Told
from relay.reply import Reply
from relay.settings import Settings
from relay.spool.digests import DigestLine
from relay.spool.large import LARGE_BYTES
from relay.spool.store import CorruptEntry, Spool, SpooledMessage, SpooledRecipient

_log = logging.getLogger("mailweir.delivery")

_REPLY_LENGTH = 200  # of a digest's line
_SUBJECT_LENGTH = 80
_bulk_field = re.compile(rb"^(?:List-Id[ \t]*:|Precedence[ \t]*:[ \t]*(?:bulk|list|junk)\b)", re.I | re.M).search
_NOT_ASKED = Addressee(Told.NOBODY, "NOTIFY does not ask for it")


class News(NamedTuple):
    """The last word about a recipient, and its record."""

    recipient: SpooledRecipient
    reply: Reply
    record: Record


class Late(NamedTuple):
    """A recipient who still waits, and why."""

    recipient: SpooledRecipient
    reply: Reply


class Finish(Protocol):
    """End a recipient, its digest's line coming in as it goes."""

    def __call__(self, recipient: SpooledRecipient, record: Record, line: DigestLine | None = None) -> None: ...


class Teller:
    """Ends recipients whose end somebody may have to hear of."""

    def __init__(
        self,
        *,
        spool: Spool,
        settings: Settings,
        clock: Clock,
        submit_dsn: Callable[[bytes, str, SpooledMessage], Awaitable[None]],
        audience: Callable[[SpooledMessage], Addressee],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        finish: Finish,
        postpone: Callable[[SpooledRecipient, float, Record | None], None],
        leave: Callable[[SpooledRecipient], None],
    ) -> None:
        self._spool, self._settings, self._clock = spool, settings, clock
        self._submit_dsn, self._audience, self._spawn = submit_dsn, audience, spawn
        self._finish, self._postpone, self._leave = finish, postpone, leave

    def take_up(self, settings: Settings) -> None:
        self._settings = settings

    def failed(self, parcel: Parcel, failed: Sequence[News]) -> None:
        """RFC 5321 4.5.5: no report about a report; RFC 3461 4.1: nor one the sender does not want."""
        message, audience = parcel.message, self._audience(parcel.message)
        reported: list[News] = []
        for recipient, reply, record in failed:
            is_asked = FAILURE in (notify_of(recipient.dsn) or (FAILURE,))
            whom = audience if is_asked or not message.mail_from else _NOT_ASKED
            assert isinstance(record, Bounce | Expiration)
            record = msgspec.structs.replace(record, told=whom.told.value, told_why=whom.why)
            _log.info(
                "%s message=%s account=%s told=%s why=%s reply=%s",
                *(type(record).__name__, message.message_id, message.account, whom.told, whom.why, reply),
            )
            match whom.told:
                case Told.SENDER:
                    reported.append(News(recipient, reply, record))
                case Told.DIGEST:
                    self._finish(recipient, record, self._line(recipient, reply, whom))
                case Told.NOBODY:
                    self._finish(recipient, record)
        if reported:
            self._spawn(self._report(message, failure_report(self._failure(parcel, reported)), reported))

    def relayed(self, parcel: Parcel, relayed: Sequence[News]) -> None:
        """RFC 3461 5.2.2: the next hop knows no DSN, so whoever wanted to hear of success hears that it went on."""
        if self._audience(parcel.message).told is not Told.SENDER:
            for recipient, _, record in relayed:
                self._finish(recipient, record)
            return
        report = relayed_report(self._failure(parcel, relayed))
        self._spawn(self._report(parcel.message, report, relayed, must_be_told=False))

    def hears_of_delay(self, recipient: SpooledRecipient) -> bool:
        """RFC 3461 4.1: who said nothing may be told; never about a report, nor anybody but the customer."""
        if not recipient.message.mail_from or DELAY not in (notify_of(recipient.dsn) or (DELAY,)):
            return False
        return self._audience(recipient.message).told is Told.SENDER

    def late(self, parcel: Parcel, late: Sequence[Late]) -> None:
        """Tell a sender, once for each recipient, that it waits. Noted before: rather never than twice."""
        news = self._spool.note_late([item.recipient for item in late])
        message, head = parcel.message, self._head(parcel) if news else b""
        if not news or _is_bulk(message.prefix + head):
            return
        replies = {item.recipient.id: item.reply for item in late}
        report = Failure(
            message=message,
            content=head,
            hostname=self._settings.node.hostname,
            bounce_sender=self._settings.delivery.bounce_sender,
            now=self._clock.now(),
            recipients=tuple(
                FailedRecipient(one.address, replies[one.id], orcpt=option(one.dsn, "ORCPT")) for one in news
            ),
            retry_until=expires_at(message.waits_since, self._settings.delivery),
        )
        _log.info("delay reported message=%s account=%s recipients=%d", message.message_id, message.account, len(news))
        self._spawn(self._say_late(message, delayed_report(report)))

    async def _say_late(self, message: SpooledMessage, report: bytes) -> None:
        try:
            await self._submit_dsn(report, message.mail_from, message)
        except Exception:
            _log.exception("delay report not stored message=%s", message.message_id)

    def _line(self, recipient: SpooledRecipient, reply: Reply, whom: Addressee) -> DigestLine:
        message = recipient.message
        return DigestLine(
            account=message.account,
            reseller=message.reseller,
            failed_unix=self._clock.unix(),
            sender=message.sender,
            mail_from=message.mail_from,
            recipient=recipient.address,
            subject=message.subject[:_SUBJECT_LENGTH],
            reply=str(reply)[:_REPLY_LENGTH],
            is_stopped=whom.is_stopped,
        )

    def _failure(self, parcel: Parcel, told: Sequence[News]) -> Failure:
        return Failure(
            message=parcel.message,
            content=self._head(parcel),
            hostname=self._settings.node.hostname,
            bounce_sender=self._settings.delivery.bounce_sender,
            now=self._clock.now(),
            recipients=tuple(
                FailedRecipient(
                    recipient.address,
                    reply,
                    is_expired=isinstance(record, Expiration),
                    orcpt=option(recipient.dsn, "ORCPT"),
                )
                for recipient, reply, record in told
            ),
        )

    def _head(self, parcel: Parcel) -> bytes:
        """As much of the content as a report shows."""
        message, content = parcel.message, parcel.content
        if isinstance(content, bytes):
            return content
        try:
            if message.place.length > LARGE_BYTES:
                return self._spool.beginning(message, MAX_HEADER_BYTES)
            return self._spool.content(message)
        except (CorruptEntry, OSError) as error:  # a report without the mail's head says all that matters
            _log.error("content not read for a report message=%s error=%s", message.message_id, error)
            return b""

    async def _report(
        self, message: SpooledMessage, report: bytes, told: Sequence[News], *, must_be_told: bool = True
    ) -> None:
        """Store a report, then end its recipients. must_be_told: without the report they stay queued."""
        try:
            await self._submit_dsn(report, message.mail_from, message)
        except asyncio.CancelledError:
            for recipient, _, _ in told:  # they stay in the spool as they are
                self._leave(recipient)
            raise
        except Exception:
            _log.exception("report not stored message=%s", message.message_id)
            if must_be_told:
                due_unix = self._clock.unix() + self._settings.delivery.first_retry_seconds
                for recipient, _, _ in told:
                    self._postpone(recipient, due_unix, None)
                return
        for recipient, _, record in told:
            self._finish(recipient, record)


def _is_bulk(head: bytes) -> bool:
    """Tell whether a message went to a list, whose author cares for no single delay."""
    return _bulk_field(head, 0, max(head.find(b"\r\n\r\n"), 0) or len(head)) is not None
