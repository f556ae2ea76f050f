"""The way of one message from a door to the queue: identity, limits, content, signals, verdict, spool, delivery.

Every door ends here: one way in. Whatever the verdict, exactly one Reception or Rejection record is written, and a 250
is given only after spool.store has returned.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from relay.admission import Gate
from relay.case import (
    MAX_RECEIVED,
    Arrival,
    Case,
    answer_of,
    author_domain,
    domain_of,
    facts,
    foreign_domain,
    header_of,
    hops,
    identified,
    loop_verdict,
    pool_of,
    reasons_of,
    spooled,
)
from relay.clock import Clock
from relay.content.bare import BareContent
from relay.content.checkers import NOT_CHECKED, Checked, Checkers
from relay.content.protocol import ContentRequest, ContentResult, Signer
from relay.content.workers import ContentPool
from relay.control.errors import StateFailure
from relay.delivery.courier import Courier
from relay.delivery.headers import reference
from relay.delivery.signing.arc_keys import ArcKeys
from relay.envelope import Account, Submission
from relay.events import Action, Features, Hit, Reception, Rejection
from relay.feedback import FeedbackHeaders
from relay.front.identity import Identity
from relay.front.lockdown import Lockdown
from relay.metrics import Metrics
from relay.policy.certain import Certain, Text, Weighed, Whose, heaviest
from relay.policy.decision import Decision, Proposal, Standing, State
from relay.policy.group import Newcomers
from relay.policy.ledger import Taking
from relay.policy.lockdown import NOT_ASKED, LockdownResult
from relay.policy.signals import Signals, SignalState
from relay.policy.verdict import Inputs, judge, version_of
from relay.reply import DISK_FULL, Reply, TransientError
from relay.settings import Settings
from relay.spool.journal import Journal
from relay.spool.store import Spool, SpooledRecipient, SpoolFull
from relay.spool.stored import StoredContent
from relay.spool.words import WordLog
from relay.tree import SenderId
from relay.unnamed import UnnamedMail

_log = logging.getLogger("mailweir.reception")
_messages = logging.getLogger("mailweir.messages")  # silent unless log.messages

_PIECE_BYTES = 64 * 1024  # read in between others' mail
_TRY_LATER = Reply(451, "4.3.0", "internal error, try again later")
_REFUSING = (Standing.BLOCKED, Standing.SUSPENDED)
_UNREAD = ContentResult(
    score=None, model="", reasons=[], features=Features(), prefix=b"", subject="", header_from="", header_message_id=""
)


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
        state_of: Callable[[str], State],
        decide: Callable[[Proposal], Awaitable[Decision]],
        signers: list[Signer],
        arc: ArcKeys,
        reference_key: bytes,
        return_domain_of: Callable[[Account, str], str],
        feedback: FeedbackHeaders,
        metrics: Metrics,
    ) -> None:
        self._settings, self._clock, self._journal, self._spool = settings, clock, journal, spool
        self._content, self._courier, self._gate, self._signals = content, courier, gate, signals
        self._state_of, self._decide, self._signers = state_of, decide, signers
        self._arc, self._certain, self._words, self._checkers = arc, certain, words, checkers
        self._lockdown, self._reference_key, self._metrics = lockdown, reference_key, metrics
        self._return_domain_of = return_domain_of
        self._feedback = feedback
        self._unnamed = UnnamedMail(settings, journal, metrics)
        self._newcomers = Newcomers(signals, state_of, settings.policy)
        self._concluding: set[asyncio.Task[Reply]] = set()

    def take_up(self, settings: Settings) -> None:
        """Judge by other lines from the next verdict on."""
        self._settings = settings
        self._feedback.take_up(settings)
        self._unnamed.take_up(settings)
        self._newcomers.take_up(settings.policy)
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
        arrival = Arrival(submission, identity, number, message_id, content, taking, result, lockdown, began, checked)
        concluding = asyncio.create_task(self._conclude(arrival))
        self._concluding.add(concluding)
        concluding.add_done_callback(self._concluding.discard)
        return await asyncio.shield(concluding)

    async def settle(self, seconds: float) -> None:
        """Return when all that was received is stored or refused; for the stop, before the spool's."""
        if self._concluding:
            await asyncio.wait(self._concluding, timeout=seconds)

    async def _conclude(self, arrival: Arrival) -> Reply:
        # No await between here and the end of _judge and the hand-over to the spool: a hold that another message of
        # the sender causes meanwhile either is seen here, or parks this one by its later commit.
        case = self._judge(arrival)
        if self._settings.content.keep_words:
            self._words.note(arrival.message_id, arrival.began, arrival.result.learned)
        try:
            decision = await self._decide(case.verdict.proposal) if case.verdict.proposal else None
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

    async def _assess(
        self, identity: Identity, submission: Submission, content: bytes, message_id: str, taking: Taking
    ) -> ContentResult:
        sender = identity.sender
        standing = self._state_of(sender.key).standing
        if not taking.use.is_allowed or submission.account.is_suspended or standing in _REFUSING:
            return _UNREAD  # refused whatever it says: a flood costs no content work
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
                offered=self._feedback.offered(submission.account, sender),
                own=self._feedback.own(submission, sender, message_id),
            )
        )
        self._metrics.content_wait_seconds.observe(self._clock.unix() - began)
        return result

    async def _asked(self, submission: Submission, content: bytes, result: ContentResult) -> Checked:
        if result is _UNREAD:
            return NOT_CHECKED
        domains = result.features.link_domains
        if submission.large is None:
            return await self._checkers.check([content], len(content), domains)
        path, place = submission.large.path, submission.large.place
        with StoredContent(path, place.offset, place.length) as stored:
            return await self._checkers.check(stored.pieces(size=_PIECE_BYTES), place.length, domains)

    async def _checked(self, sender: SenderId, submission: Submission, result: ContentResult) -> LockdownResult:
        if result is _UNREAD:
            return NOT_ASKED
        domains = domain_of(submission.mail_from), author_domain(result)
        return await self._lockdown.check(domains, sender.account, sender.key)

    def _judge(self, arrival: Arrival) -> Case:
        submission, sender, result = arrival.submission, arrival.identity.sender, arrival.result
        now, policy = self._clock.now(), self._settings.policy
        count, state = hops(arrival), self._state_of(sender.key)
        group = self._newcomers.key_for(sender.account, state, is_forwarded=arrival.identity.is_forwarded)
        weighed = self._weighed(arrival, state, now)
        signal = self._observed(arrival, now.timestamp(), group, weighed.hits, is_loop=count >= MAX_RECEIVED)
        inputs = Inputs(
            sender=sender,
            account=submission.account,
            state=state,
            limit=arrival.taking.use,
            signal=signal,
            score=result.score,
            error=result.error,
            reasons=reasons_of(result, weighed.hits),
            hits=weighed.hits,
            unchecked=arrival.checked.unchecked,
            model=result.model,
            lockdown=arrival.lockdown,
            foreign_domain=foreign_domain(arrival),
            group=self._newcomers.group(group, signal, now.timestamp()),
        )
        is_loop = count >= MAX_RECEIVED
        verdict = loop_verdict(count) if is_loop else judge(inputs, policy, now, arrival.message_id)
        pool = pool_of(arrival, inputs, policy, now)
        return Case(arrival, inputs, verdict, version_of(policy), pool, weighed.campaign.nearly)

    def _weighed(self, arrival: Arrival, state: State, now: datetime) -> Weighed:
        result, sender, now_unix = arrival.result, arrival.identity.sender.key, now.timestamp()
        # what strangers send through forwarders is the same for good reasons
        fingerprint = "" if arrival.identity.is_forwarded else result.fingerprint
        forgiven_at = state.reinstated_at if state.is_reinstated(now) else None
        # seldom are there hits; the rest need not be looked up
        is_new = bool(result.hits) and forgiven_at is None and self._signals.is_newcomer(sender, now_unix)
        whose = Whose(sender, is_new, forgiven_at.timestamp() if forgiven_at else 0.0)
        text = Text(fingerprint, result.features.text_words)
        return self._certain.complete([*result.hits, *arrival.checked.hits], text, whose, now_unix)

    def _observed(
        self, arrival: Arrival, now_unix: float, group: str, hits: Sequence[Hit], *, is_loop: bool
    ) -> SignalState:
        policy, sender, result = self._settings.policy, arrival.identity.sender.key, arrival.result
        # A client that retries what limit, standing or a domain's owner refuse must not gain a history by it, nor a
        # loop one spam by many
        if result is _UNREAD or is_loop or not arrival.lockdown.is_passed:
            known = self._signals.state(sender, now_unix, policy)
            return known or SignalState(0.0, 0.0, 0.0, 0, now_unix)
        self._unnamed.note(arrival.submission.account, arrival.identity, now_unix)
        recipients = len(arrival.submission.recipients)
        score = 1.0 if heaviest(hits, Action.REJECT) else result.score  # certain, whatever the model says
        return self._signals.observe(sender, score, now_unix, policy, arrival.message_id, recipients, group)

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
        elif not self._newcomers.is_parked(case.inputs.sender.key, case.inputs.group, self._clock.now()):
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
        self._gate.give_back(case.arrival.taking, is_abuse=case.verdict.rule.startswith("content"))
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
