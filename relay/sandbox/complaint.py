"""The complaint of a sandbox's recipient: a report as a provider's feedback loop writes it (ARF, RFC 5965), handed to
the relay's own inbox. From there on it is a complaint like any other."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from email.utils import format_datetime

from relay.account import Account
from relay.clock import Clock
from relay.envelope import Submission
from relay.reply import RelayError, Reply
from relay.returns.mailboxes import Mailboxes
from relay.settings import Settings

_log = logging.getLogger("mailweir.sandbox")

_BOUNDARY = "mailweir-sandbox"
_NOBODY = Account("sandbox")  # nothing is spooled under it


class Complaints:
    """Complains for one relay. `receive` is what the inbox's door hands its mail to."""

    def __init__(self, settings: Settings, clock: Clock, receive: Callable[[Submission], Awaitable[Reply]]) -> None:
        self._settings, self._clock, self._receive = settings, clock, receive

    async def complain(self, recipient: str, head: bytes) -> None:
        """Have a recipient complain of a message; return when the report is on disk."""
        settings, now = self._settings, self._clock.now()
        to = f"fbl@{(settings.inbox.domains or [settings.node.hostname])[0]}"
        if Mailboxes(settings).find(to) is None:
            _log.warning("no complaint of the sandbox: inbox.addresses has no fbl")
            return
        submission = Submission(
            account=_NOBODY,
            credential="",
            client_ip="127.0.0.1",
            helo=recipient.rpartition("@")[2],
            tls="",
            door="sandbox",
            mail_from="",
            recipients=(to,),
            content=feedback_report(to, recipient, head, now),
            received_at=now,
        )
        try:
            await self._receive(submission)
        except RelayError as error:
            _log.warning("complaint of the sandbox refused reply=%s", error.reply)


def feedback_report(to: str, recipient: str, head: bytes, now: datetime) -> bytes:
    """Return the report about a message. `head`: its header lines, with CRLF at their ends."""
    domain = recipient.rpartition("@")[2]
    above = (
        f"From: <feedback@{domain}>\r\nTo: <{to}>\r\nSubject: complaint of the sandbox\r\n"
        f"Date: {format_datetime(now)}\r\nMIME-Version: 1.0\r\n"
        f"Content-Type: multipart/report; report-type=feedback-report; boundary={_BOUNDARY}\r\n\r\n"
        f"--{_BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nA recipient of the sandbox complains, on purpose.\r\n\r\n"
        f"--{_BOUNDARY}\r\nContent-Type: message/feedback-report\r\n\r\n"
        f"Feedback-Type: abuse\r\nUser-Agent: Mailweir-Sandbox/1.0\r\nVersion: 1\r\n"
        f"Original-Rcpt-To: <{recipient}>\r\nReported-Domain: {domain}\r\n\r\n"
        f"--{_BOUNDARY}\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    )
    return above.encode() + head + f"\r\n--{_BOUNDARY}--\r\n".encode()
