"""The digest of an account's contact: mail that failed and whose envelope sender nobody may write to.

One mail an account and interval. What it tells lies in the spool (spool/digests.py) until it is stored: a crash in
between sends it twice, and never swallows it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime

from relay.account import Account
from relay.clock import Clock
from relay.notices.addressee import contact_of
from relay.settings import Delivery, Settings
from relay.spool.digests import Due, Gathered
from relay.spool.store import Spool

_log = logging.getLogger("mailweir.delivery")

_SOON_SECONDS = 300.0  # the first one: long enough to gather a run of failures, short enough to act on
_LOOK_SECONDS = 15.0
_SENDERS = 20


class Digests:
    """Sends digests while it runs. submit(mail, to, account, reseller) returns when the mail is stored."""

    def __init__(
        self,
        *,
        spool: Spool,
        settings: Settings,
        clock: Clock,
        account_of: Callable[[str], Account | None],
        submit: Callable[[bytes, str, str, str], Awaitable[None]],
    ) -> None:
        self._spool, self._settings, self._clock = spool, settings, clock
        self._account_of, self._submit = account_of, submit
        self._task: asyncio.Task[None] | None = None

    def take_up(self, settings: Settings) -> None:
        self._settings = settings

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="digests")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def send_due(self) -> int:
        """Send what is due; return how many digests went out."""
        now, sent = self._clock.unix(), 0
        for due in self._spool.digests():
            if due_at(due, self._settings.delivery) <= now:
                try:
                    sent += await self._send(due)
                except Exception:  # a full disk, or whatever it is: the rows are there, and others have their own
                    _log.exception("digest not sent account=%s", due.account)
        return sent

    async def _run(self) -> None:
        while True:
            try:
                await self.send_due()
            except Exception:  # the rows are there, and the next look tries again
                _log.exception("digests not looked at")
            await self._clock.sleep(min(_LOOK_SECONDS, self._settings.delivery.digest_minutes * 15))

    async def _send(self, due: Due) -> bool:
        to, told = contact_of(self._account_of(due.account)), self._spool.digest(due)
        if to:
            mail = digest_mail(due, told, to, self._settings, self._clock.now())
            await self._submit(mail, to, due.account, due.reseller)
        else:  # it had a contact when the mail failed
            _log.warning("digest told nobody account=%s failed=%d", due.account, _total(told))
        await self._spool.forget_digest(due, told, self._clock.unix(), is_sent=bool(to))
        return bool(to)


def due_at(due: Due, settings: Delivery) -> float:
    """Return when (Unix) an account's next digest is sent: soon after the first failure, then one an interval.

    >>> due_at(Due("acme", "", 1000.0, None), Delivery()) - 1000
    300.0
    >>> due_at(Due("acme", "", 1000.0, 900.0), Delivery()) - 900
    3600.0
    """
    interval = settings.digest_minutes * 60
    first = due.since_unix + min(_SOON_SECONDS, interval)
    return first if due.sent_unix is None else max(first, due.sent_unix + interval)


def digest_mail(due: Due, told: Gathered, to: str, settings: Settings, now: datetime) -> bytes:
    """Return the whole mail, CRLF line ends; its envelope sender is the null one."""
    hostname, total = settings.node.hostname, _total(told)
    sender = settings.delivery.bounce_sender or f"postmaster@{hostname}"
    head = [
        f"From: Mail delivery <{sender}>",
        f"To: <{to}>",
        f"Subject: {total} recipients of mail of account {due.account} were not reached",
        f"Date: {format_datetime(now)}",
        f"Message-ID: <digest.{now:%Y%m%d%H%M%S%f}.{due.account}@{hostname}>",
        "Auto-Submitted: auto-generated",  # RFC 3834 section 5
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    ]
    return "\r\n".join([*head, "", *_body(due, told, total), ""]).encode()


def _body(due: Due, told: Gathered, total: int) -> list[str]:
    since = format_datetime(datetime.fromtimestamp(due.since_unix, UTC))
    lines = [
        f"Since {since} mail of account {due.account} failed for {total} recipients.",
        "You are told because its envelope senders are not of the account's domains: a report to them might reach a",
        "stranger whose address was forged. If they are yours, add their domains to the account. Mail that was held",
        "and that nobody released in time is among it too.",
        "",
    ]
    for line in told.lines:
        when = f"{datetime.fromtimestamp(line.failed_unix, UTC):%Y-%m-%d %H:%M:%S} UTC"
        subject = f' "{_clean(line.subject)}"' if line.subject else ""
        lines += [
            f"  {_clean(line.recipient)}",
            f"    from {_clean(line.mail_from)} (sender {_clean(line.sender)}){subject}, {when}",
            f"    {_clean(line.reply)}",
        ]
    listed = sum(count for _, is_stopped, count in told.counts if not is_stopped)
    if listed > len(told.lines):
        lines += ["", f"  and {listed - len(told.lines)} more. By sender:"]
        lines += _by_sender(told, is_stopped=False)
    if any(is_stopped for _, is_stopped, _ in told.counts):
        lines += ["", "Senders that are held, blocked or suspended; their failures are counted only:"]
        lines += _by_sender(told, is_stopped=True)
    return lines


def _by_sender(told: Gathered, *, is_stopped: bool) -> list[str]:
    counts = [(sender, count) for sender, stopped, count in told.counts if stopped is is_stopped]
    lines = [f"  {count} recipients of {_clean(sender)}" for sender, count in counts[:_SENDERS]]
    if len(counts) > _SENDERS:
        lines.append(f"  and {sum(count for _, count in counts[_SENDERS:])} of {len(counts) - _SENDERS} more senders")
    return lines


def _total(told: Gathered) -> int:
    return sum(count for _, _, count in told.counts)


def _clean(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
