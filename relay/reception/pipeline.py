"""The way of one message from a door to the queue: identity, limits, content, signals, verdict, spool, delivery.

Every door ends here: one way in. Whatever the verdict, exactly one Reception or Rejection record is written, and a 250
is given only after spool.store has returned.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from relay.account import Account
from relay.clock import Clock
from relay.content.bare import BareContent
from relay.content.checkers import NOT_CHECKED, Checked, Checkers
from relay.content.protocol import ContentRequest, ContentResult, Signer
from relay.content.workers import ContentPool
from relay.control.errors import StateFailure
from relay.delivery.courier import Courier
from relay.delivery.headers import reference
from relay.delivery.signing.arc_keys import ArcKeys
from relay.envelope import Submission
from relay.events import Action, Reception, Rejection
from relay.front.identity import Identity
from relay.front.lockdown import Lockdown
from relay.metrics import Metrics
from relay.policy.decisions.decision import Decision, Proposal
from relay.policy.limits.ledger import Taking
from relay.policy.signals.live import Signals
from relay.policy.verdict.certain import Certain
from relay.policy.verdict.lockdown import NOT_ASKED, LockdownResult
from relay.reception.admission import Gate
from relay.reception.case import (
    UNREAD,
    Arrival,
    Case,
    answer_of,
    author_domain,
    domain_of,
    facts,
    header_of,
    identified,
    spooled,
)
from relay.reception.judging import Decided, Judging
from relay.reception.surging import AccountVolume
from relay.reception.unnamed import UnnamedMail
from relay.reply import DISK_FULL, Reply, TransientError
from relay.returns.feedback import FeedbackHeaders
from relay.sandbox.addresses import lies_in
from relay.settings import Settings
from relay.spool.journal import Journal
from relay.spool.store import Spool, SpooledRecipient, SpoolFull
from relay.spool.stored import StoredContent
from relay.spool.words import WordLog
from relay.tree import SenderId

_log = logging.getLogger("mailweir.reception")
_messages = logging.getLogger("mailweir.messages")  # silent unless log.messages

_PIECE_BYTES = 64 * 1024  # read in between others' mail
_TRY_LATER = Reply(451, "4.3.0", "internal error, try again later")


class Receiver:
    """Receives submissions for one relay."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        journal: Journal,
        spool: Spool,
        content: ContentPool | BareContent,
        courier: Courier,
        gate: Gate,
        signals: Signals,
        certain: Certain,
        words: WordLog,
        checkers: Checkers,
        lockdown: Lockdown,
        decided: Decided,
        decide: Callable[[Sequence[Proposal]], Awaitable[Decision | None]],
        signers: list[Signer],
        arc: ArcKeys,
        reference_key: bytes,
        return_domain_of: Callable[[Account, str], str],
        feedback: FeedbackHeaders,
        metrics: Metrics,
    ) -> None:
        self._settings, self._clock, self._journal, self._spool = settings, clock, journal, spool
        self._content, self._courier, self._gate = content, courier, gate
        self._decide, self._signers, self._arc = decide, signers, arc
        self._words, self._checkers = words, checkers
        self._lockdown, self._reference_key, self._metrics = lockdown, reference_key, metrics
        self._return_domain_of = return_domain_of
        self._feedback = feedback
        self._unnamed = UnnamedMail(settings, journal, metrics)
        self._volume = AccountVolume(signals.surges, journal, metrics)
        self._judging = Judging(settings.policy, gate, signals, certain, decided, on_counted=self._unnamed.note)
        self._concluding: set[asyncio.Task[Reply]] = set()

    def take_up(self, settings: Settings) -> None:
        """Judge by other lines from the next verdict on."""
        self._settings = settings
        self._feedback.take_up(settings)
        self._unnamed.take_up(settings)
        self._judging.take_up(settings.policy)
        self._lockdown.take_up(settings)
        self._gate.take_up(settings.limits)

    async def receive(self, submission: Submission) -> Reply:
        """Return the reply to the final dot. 250: on disk, delivered or held from now on."""
        began = self._clock.unix()
        identity, content = identified(submission)
        number = self._spool.reserve(len(submission.recipients))
        message_id = self._spool.message_id(number)
        taking = self._gate.settle(submission, identity.sender, began)
        try:
            result = await self._assess(identity, submission, content, message_id, taking)
            checked = await self._asked(submission, content, result) if self._checkers.is_on else NOT_CHECKED
            lockdown = await self._checked(identity.sender, submission, result)
        except BaseException as error:
            # the client left before anything was kept, or the disk is full: it will come again
            _close_large(submission)
            self._gate.give_back(taking, is_abuse=False)
            if isinstance(error, SpoolFull):
                self._metrics.refused.labels("disk_full").inc()
                raise TransientError(DISK_FULL) from error
            raise
        # What follows changes the disk, and must go on without the client: mail that was stored but not handed to
        # the courier would lie until the next start, a decision without its hold would park nothing.
        found = taking, result, lockdown, began, checked, self._is_sandbox(submission)
        arrival = Arrival(submission, identity, number, message_id, content, *found)
        concluding = asyncio.create_task(self._conclude(arrival))
        self._concluding.add(concluding)
        concluding.add_done_callback(self._concluding.discard)
        return await asyncio.shield(concluding)

    async def settle(self, seconds: float) -> None:
        """Return when all that was received is stored or refused; for the stop, before the spool's."""
        if self._concluding:
            await asyncio.wait(self._concluding, timeout=seconds)

    async def _conclude(self, arrival: Arrival) -> Reply:
        # No await between here and the end of judge and the hand-over to the spool: a hold that another message of
        # the sender causes meanwhile either is seen here, or parks this one by its later commit.
        case = self._judging.judge(arrival, self._clock.now())
        if not arrival.is_sandbox:
            self._volume.note(arrival, self._clock.unix())
        if self._settings.content.keep_words and not arrival.is_sandbox:
            self._words.note(arrival.message_id, arrival.began, arrival.result.learned)
        try:
            decision = await self._decide(case.verdict.proposals) if case.verdict.proposals else None
            if case.verdict.action in (Action.ACCEPT, Action.HOLD):
                return await self._keep(case, decision)
        except (SpoolFull, StateFailure) as error:
            self._gate.give_back(arrival.taking, is_abuse=False)
            self._metrics.refused.labels("disk_full").inc()
            raise TransientError(DISK_FULL) from error
        except BaseException:
            self._gate.give_back(arrival.taking, is_abuse=False)  # it will come again, and must not pay each time
            raise
        finally:
            _close_large(arrival.submission)  # whatever was not kept
        return self._refuse(case)

    def _is_sandbox(self, submission: Submission) -> bool:
        domain = self._settings.sandbox.domain
        return all(lies_in(address, domain) for address in submission.recipients)

    async def _assess(
        self, identity: Identity, submission: Submission, content: bytes, message_id: str, taking: Taking
    ) -> ContentResult:
        sender = identity.sender
        if self._judging.refuses_unread(submission.account, sender, taking):
            return UNREAD  # a flood costs no content work
        self._lockdown.prefetch(domain_of(submission.mail_from))  # DNS answers while the content is read
        large = submission.large
        if large is not None:
            await large.seal(content)
        ref = reference(self._reference_key, message_id, sender.account, sender.key)
        arc = await self._arc.order(header_of(content)) if identity.is_forwarded else None
        began = self._clock.unix()
        result = await self._content.assess(
            ContentRequest(
                content=content,
                mail_from=submission.mail_from,
                hostname=self._settings.node.hostname,
                received_unix=submission.received_at.timestamp(),
                extra=b"X-Mailweir-Ref: " + ref.encode() + b"\r\n",
                sign=self._signers,
                path=str(large.path) if large else "",
                offset=large.place.offset if large else 0,
                length=large.place.length if large else 0,
                account=sender.account,
                arc=arc,
                offered=self._feedback.offered(submission, sender, ref),
                own=self._feedback.own(submission, sender, message_id),
            )
        )
        self._metrics.content_wait_seconds.observe(self._clock.unix() - began)
        return result

    async def _asked(self, submission: Submission, content: bytes, result: ContentResult) -> Checked:
        if result is UNREAD:
            return NOT_CHECKED
        domains = result.features.link_domains
        if submission.large is None:
            return await self._checkers.check([content], len(content), domains)
        path, place = submission.large.path, submission.large.place
        with StoredContent(path, place.offset, place.length) as stored:
            return await self._checkers.check(stored.pieces(size=_PIECE_BYTES), place.length, domains)

    async def _checked(self, sender: SenderId, submission: Submission, result: ContentResult) -> LockdownResult:
        if result is UNREAD:
            return NOT_ASKED
        domains = domain_of(submission.mail_from), author_domain(result)
        return await self._lockdown.check(domains, sender.account, sender.key)

    async def _keep(self, case: Case, decision: Decision | None) -> Reply:
        submission, verdict = case.arrival.submission, case.verdict
        large, use = submission.large, case.arrival.taking.use
        if large is not None and not large.is_sealed:  # what refused it, and so left it unread, has gone this moment
            raise TransientError(_TRY_LATER)
        is_held = verdict.action is Action.HOLD
        due_unix = None if is_held else use.due_unix
        record = Reception(
            **self._journal.stamp(),
            **facts(case, decision, demo=self._settings.demo),
            received_at=submission.received_at,
            accept_seconds=self._clock.unix() - case.arrival.began,
            due_at=None if due_unix is None else datetime.fromtimestamp(due_unix, UTC),
            pool=case.pool,
        )
        return_domain = self._return_domain_of(submission.account, submission.mail_from)
        message, prefixes = spooled(case, self._settings.node.hostname, return_domain)
        recipients = await self._spool.store(
            message,
            large or case.arrival.content,
            submission.recipients,
            record,
            is_held=is_held,
            answered=answer_of(case),
            due_unix=due_unix,
            dsns=submission.rcpt_dsns,
            prefixes=prefixes,
        )
        self._metrics.accepted.inc()
        self._metrics.accept_seconds.observe(self._clock.unix() - case.arrival.began)
        if is_held:
            self._metrics.held.labels(verdict.rule).inc()
            _log.info("held message=%s sender=%s rule=%s score=%s", *case.brief)
        elif not self._judging.is_parked(case, self._clock.now()):
            self._send(recipients, case)
        return verdict.reply

    def _send(self, recipients: list[SpooledRecipient], case: Case) -> None:
        if case.arrival.taking.use.due_unix is None:
            if _messages.isEnabledFor(logging.INFO):
                _messages.info("accepted message=%s sender=%s rule=%s score=%s", *case.brief)
            self._courier.enqueue(recipients, None if case.arrival.submission.large else case.arrival.content)
            return
        self._courier.expect(recipients)
        self._metrics.delayed.inc()
        _log.info("delayed message=%s sender=%s rule=%s score=%s", *case.brief)

    def _refuse(self, case: Case) -> Reply:
        reply = case.verdict.reply
        self._judging.give_back(case)
        self._journal.append(
            Rejection(
                **self._journal.stamp(),
                **facts(case, None, demo=self._settings.demo),
                stage="data",
                code=reply.code,
                enhanced=reply.enhanced,
                text=reply.text,
            )
        )
        self._metrics.refused.labels(case.verdict.rule).inc()
        _log.info("refused message=%s sender=%s rule=%s score=%s", *case.brief)
        return reply


def _close_large(submission: Submission) -> None:
    if submission.large is not None:
        submission.large.close()
