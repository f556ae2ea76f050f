"""What comes to our return paths and mailboxes: kept as it came, journaled, and forwarded: a bounce to the original
envelope sender, people's mail about abuse to the operator.

250 is given only after all three are on disk. Must never make two reports of one, nor tell a stranger which return
paths exist. What a report says is for others to read: the Inbound record and the kept file are all they need.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypedDict

from relay.clock import Clock
from relay.control.errors import StateFailure
from relay.control.state.memory import State
from relay.delivery.verp import VALID_DAYS
from relay.envelope import Submission
from relay.events import Inbound, encode
from relay.front.guard import Gcra, client_key
from relay.metrics import Metrics
from relay.policy.decisions.decision import PARKED
from relay.policy.decisions.decision import State as Standing
from relay.policy.verdict.loops import MAX_RECEIVED
from relay.reply import DISK_FULL, PermanentError, Reply, TransientError
from relay.returns.feedback import mailed_token
from relay.returns.mailboxes import UNSUBSCRIBE, Mailbox, Mailboxes
from relay.returns.paths import ReturnPaths
from relay.returns.reporting import LOOP_HEADER, Reporting
from relay.settings import Settings
from relay.spool.journal import Journal
from relay.spool.origins import Origin
from relay.spool.reports import ReportFolder
from relay.spool.store import Spool, SpoolFull

_log = logging.getLogger("mailweir.inbox")

_BURST_SECONDS = 60.0
_OF_ONE_PER_HOUR = 10  # reports about one recipient: who has seen one return path must not flood its sender by it
_DAY_SECONDS = 86_400.0
_TEND_SECONDS = 3600.0
_OWN_PATH, _HELD = "own_path", "sender_held"  # why a report is not forwarded

UNKNOWN = Reply(550, "5.1.1", "no such mailbox")  # one answer for invalid, altered, expired, of another node
ENOUGH = Reply(450, "4.7.0", "too many reports about one message, slow down")
HASTY = Reply(450, "4.7.0", "too many reports from your address, slow down")
LOOP = Reply(554, "5.4.6", "mail loop")
TAKEN = Reply(250, "2.0.0", "report taken")
UNSUBSCRIBED = Reply(250, "2.0.0", "unsubscribed")
NO_WISH = Reply(550, "5.7.1", "this address unsubscribes by the mail that a link of ours makes, and takes no other")

_received_fields = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE).findall


@dataclass(frozen=True, slots=True)
class _About:
    """Whose message, and which of its recipients, a report is about."""

    origin: Origin
    position: int


class Returns:
    """Takes reports for one relay."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        journal: Journal,
        spool: Spool,
        reporting: Reporting,
        *,
        paths: ReturnPaths,
        unsubscribe: Callable[[str, str], Awaitable[bool]],
        state_of: Callable[[str], Standing],
        metrics: Metrics,
    ) -> None:
        """`unsubscribe`: notes the wish of a token, by the client's address; False: it is none of ours."""
        self._unsubscribe = unsubscribe
        self._settings, self._clock, self._journal, self._spool = settings, clock, journal, spool
        self._paths, self._reporting, self._state_of, self._metrics = paths, reporting, state_of, metrics
        self._folder, self._boxes = ReportFolder(settings.dir / "inbox", settings.inbox), Mailboxes(settings)
        self._pace = Gcra(settings.inbox.reports_per_minute, _BURST_SECONDS)
        self._pace_of_one = Gcra(_OF_ONE_PER_HOUR / 60, 3600.0)
        mark = rf"^{LOOP_HEADER}[ \t]*:[ \t]*{re.escape(settings.node.hostname)}[ \t]*\r?$"
        self._has_mark = re.compile(mark.encode(), re.IGNORECASE | re.MULTILINE).search

    def take_up(self, settings: Settings) -> None:
        """Hold to other bounds from now on."""
        self._folder.take_up(settings.inbox)
        self._boxes.take_up(settings)
        self._pace.pace(settings.inbox.reports_per_minute)

    def welcome(self, recipient: str, client_ip: str) -> None:
        """Return when a report may come for this address. Raises RelayError."""
        about = self._about(recipient)
        if about is None and self._boxes.find(recipient) is None:
            self._metrics.inbound.labels("unknown").inc()
            raise PermanentError(UNKNOWN)
        if not self._pace.take(client_key(client_ip), self._clock.unix()):
            self._metrics.inbound.labels("slowed").inc()
            raise TransientError(HASTY)
        if about is not None and not self._pace_of_one.take(
            f"{about.origin.number}+{about.position}", self._clock.unix()
        ):
            self._metrics.inbound.labels("slowed").inc()
            raise TransientError(ENOUGH)

    async def receive(self, submission: Submission) -> Reply:
        """Return the reply to the final dot. Raises RelayError."""
        abouts = [about for recipient in submission.recipients if (about := self._about(recipient))]
        # a token has as many spellings as letters, in upper and lower case, and is one report all the same
        found = list({(about.origin.number, about.position): about for about in abouts}.values())
        boxes = [box for box in dict.fromkeys(map(self._boxes.find, submission.recipients)) if box is not None]
        if not found and not boxes:
            raise PermanentError(UNKNOWN)  # its day has ended meanwhile
        if self._is_loop(submission.content):
            self._metrics.inbound.labels("loop").inc()
            _log.warning("report refused as a loop client=%s", submission.client_ip)
            raise PermanentError(LOOP)
        for box in boxes if not found else ():
            self._boxes.check(box, submission.mail_from, submission.content)
        if any(box.name == UNSUBSCRIBE for box in boxes):
            return await self._unsubscribed(submission)
        try:
            await self._take(replace(submission, credential=""), found, boxes)
        except (OSError, SpoolFull) as error:
            _log.error("report not stored client=%s: %s", submission.client_ip, error)
            raise TransientError(DISK_FULL) from error
        self._metrics.inbound.labels("taken").inc(len(found) + len(boxes))
        self._journal.hasten()  # an address that is gone is written to until analytics has read this
        return TAKEN

    async def _unsubscribed(self, submission: Submission) -> Reply:
        """Note a wish; the mail says nothing more, and is not kept. Raises RelayError."""
        try:
            if not await self._unsubscribe(mailed_token(submission.content), submission.client_ip):
                self._metrics.inbound.labels("unknown").inc()
                raise PermanentError(NO_WISH)
        except StateFailure as error:
            _log.error("unsubscription not stored client=%s: %s", submission.client_ip, error)
            raise TransientError(DISK_FULL) from error
        self._metrics.inbound.labels("taken").inc()
        return UNSUBSCRIBED

    async def tend(self, state: State) -> None:
        """Rotate keys, and forget what is too old; now and each hour, until it is cancelled."""
        while True:
            try:
                await self._tend_once(state)
            except Exception:  # nothing here is worth a relay: the next hour tries again
                _log.exception("return paths not tended")
            await self._clock.sleep(_TEND_SECONDS)

    async def _tend_once(self, state: State) -> None:
        self._paths.take_up(await state.verp_keys(timedelta(days=self._settings.verp.rotate_days)))
        await self._spool.origins.forget(self._clock.unix() - (VALID_DAYS + 2) * _DAY_SECONDS)
        await asyncio.to_thread(self._folder.sweep, self._clock.now())

    def _about(self, recipient: str) -> _About | None:
        traced = self._paths.read(recipient)
        origin = self._spool.origins.find(traced.number) if traced else None
        if traced is None or origin is None or traced.position >= len(origin.recipients):
            return None
        return _About(origin, traced.position)

    def _is_loop(self, content: bytes) -> bool:
        head = content[: content.find(b"\r\n\r\n") + 2] if b"\r\n\r\n" in content else content
        return self._has_mark(head) is not None or len(_received_fields(head)) >= MAX_RECEIVED

    async def _take(self, submission: Submission, found: list[_About], boxes: list[Mailbox]) -> None:
        file = await asyncio.to_thread(self._folder.keep, submission.content, submission.received_at)
        forwards: dict[int, str] = {}
        for about in found:
            if about.origin.number not in forwards:
                forwards[about.origin.number] = await self._forward(submission, about.origin)
        records = [self._record(submission, about, file, forwards[about.origin.number]) for about in found]
        if boxes:
            records += await self._take_for(boxes, submission, file)
        await asyncio.to_thread(self._journal.write_durably, [encode(record) + b"\n" for record in records])
        for record in records:
            _log.info(
                "report taken message=%s account=%s recipient=%d mailbox=%s forward=%s withheld=%s",
                record.message_id,
                record.account,
                record.recipient_id,
                record.report_type,
                record.forward_id,
                record.withheld,
            )

    async def _take_for(self, boxes: list[Mailbox], submission: Submission, file: str) -> list[Inbound]:
        """Forward people's mail to the operator; return a record for each mailbox."""
        client = submission.client_ip, self._clock.unix()
        to, withheld = self._boxes.forward_to(boxes, submission.mail_from, submission.content, client)
        forward_id = await self._reporting.forward_case(submission, to) if to else ""
        return [
            Inbound(
                **self._journal.stamp(),
                message_id="",
                account="",
                sender="",
                recipient_id=0,
                recipient=box.address,
                report_type=box.name,
                **_came(submission),
                file=file,
                forward_id=forward_id,
                withheld=withheld,
            )
            for box in boxes
        ]

    async def _forward(self, submission: Submission, origin: Origin) -> str:
        """Forward a report where that harms nobody; return the id of the forward, "" where there is none."""
        return "" if self._withheld(origin) else await self._reporting.forward(submission, origin)

    def _record(self, submission: Submission, about: _About, file: str, forward_id: str) -> Inbound:
        origin = about.origin
        return Inbound(
            **self._journal.stamp(),
            message_id=self._spool.message_id(origin.number),
            account=origin.account,
            reseller=origin.reseller,
            sender=origin.sender,
            recipient_id=origin.number + about.position,
            recipient=origin.recipients[about.position],
            **_came(submission),
            file=file,
            forward_id=forward_id,
            withheld="" if forward_id else self._withheld(origin),
        )

    def _withheld(self, origin: Origin) -> str:
        if self._paths.read(origin.mail_from) is not None:
            return _OWN_PATH  # it would come back here
        # a hijacked sender forges its envelope sender: whose address that is must not get the bounces of a flood
        return _HELD if self._state_of(origin.sender).standing in PARKED else ""


class _Came(TypedDict):
    mail_from: str
    client_ip: str
    helo: str
    tls: str
    size_bytes: int


def _came(submission: Submission) -> _Came:
    """What every record says of how mail came in."""
    return {
        "mail_from": submission.mail_from,
        "client_ip": submission.client_ip,
        "helo": submission.helo,
        "tls": submission.tls,
        "size_bytes": len(submission.content),
    }
