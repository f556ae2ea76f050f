"""The way of one message from a door to the queue: identity, limits, content, signals, verdict, spool, delivery.

Every door ends here: one way in. Whatever the verdict, exactly one Reception or Rejection record is written, and a 250
is given only after spool.store has returned.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from relay.clock import Clock
from relay.content.bare import BareContent
from relay.content.protocol import ContentRequest, ContentResult, Signer
from relay.content.workers import ContentPool
from relay.control.errors import StateFailure
from relay.delivery.courier import Courier
from relay.delivery.headers import received_line, reference
from relay.envelope import Level, LimitSet, Submission
from relay.events import Action, Features, Rcpt, Reception, Rejection, TraceStep
from relay.front.identity import Identity, identify
from relay.front.lockdown import Lockdown
from relay.metrics import Metrics
from relay.policy.decision import Decision, Proposal, Standing, State
from relay.policy.group import Newcomers
from relay.policy.limits import LimitUse, SlidingLimits, effective_limit
from relay.policy.lockdown import NOT_ASKED, LockdownResult
from relay.policy.signals import Signals, SignalState
from relay.policy.verdict import Inputs, Verdict, judge, version_of
from relay.reply import DISK_FULL, Reply, TransientError
from relay.settings import Settings
from relay.spool.idempotency import Answered
from relay.spool.journal import Journal
from relay.spool.store import Flags, Spool, SpooledMessage, SpoolFull
from relay.tree import NEWCOMERS_HELD, SenderId
from relay.unnamed import UnnamedMail

_log = logging.getLogger("mailweir.reception")

_MAX_RECEIVED = 100  # RFC 5321 section 6.3: not below 100
_HEADER_BYTES = 512 * 1024  # front/data.py lets no longer header in
_received_fields = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE).findall
_LOOP = Reply(554, "5.4.6", "too many Received headers: mail loop")
_TRY_LATER = Reply(451, "4.3.0", "internal error, try again later")
_REFUSING = (Standing.BLOCKED, Standing.SUSPENDED)
_NO_LIMIT = 1_000_000_000  # above what any spool holds
_UNREAD = ContentResult(
    score=None, model="", reasons=[], features=Features(), prefix=b"", subject="", header_from="", header_message_id=""
)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """One message before it is judged, and what was found in it. `content` is without identity headers, of a large
    message the header block only."""

    submission: Submission
    identity: Identity
    number: int
    content: bytes
    limit: LimitUse
    result: ContentResult
    lockdown: LockdownResult
    began: float


@dataclass(frozen=True, slots=True)
class _Case:
    """All that is known about one message when it has been judged."""

    submission: Submission
    number: int
    message_id: str
    content: bytes
    result: ContentResult
    inputs: Inputs
    verdict: Verdict


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
        limits: SlidingLimits,
        limit_sets: Mapping[tuple[Level, str], LimitSet],
        signals: Signals,
        lockdown: Lockdown,
        state_of: Callable[[str], State],
        decide: Callable[[Proposal], Awaitable[Decision]],
        signers: list[Signer],
        reference_key: bytes,
        metrics: Metrics,
    ) -> None:
        self._settings, self._clock, self._journal, self._spool = settings, clock, journal, spool
        self._content, self._courier, self._limits, self._signals = content, courier, limits, signals
        self._state_of, self._decide, self._signers = state_of, decide, signers
        self._limit_sets, self._lockdown = limit_sets, lockdown
        self._reference_key, self._metrics = reference_key, metrics
        self._unnamed = UnnamedMail(settings, journal, metrics)
        self._newcomers = Newcomers(signals, state_of, settings.policy)
        self._concluding: set[asyncio.Task[Reply]] = set()

    async def receive(self, submission: Submission) -> Reply:
        """Return the reply to the final dot. 250: on disk, delivered or held from now on."""
        began = self._clock.unix()
        identity, content = _identified(submission)
        number = self._spool.reserve(len(submission.recipients))
        limit = self._reserve(identity.sender, submission, began)
        try:
            result = await self._assess(identity.sender, submission, content, self._spool.message_id(number), limit)
            lockdown = await self._checked(identity.sender, submission, result)
        except BaseException as error:
            # the client left before anything was kept, or the disk is full: it will come again
            _close_large(submission)
            self._limits.give_back(identity.sender.key, len(submission.recipients), began)
            if isinstance(error, SpoolFull):
                self._metrics.refused.labels("disk_full").inc()
                raise TransientError(DISK_FULL) from error
            raise
        # What follows changes the disk, and must go on without the client: mail that was stored but not handed to
        # the courier would lie until the next start, a decision without its hold would park nothing.
        concluding = asyncio.create_task(
            self._conclude(_Arrival(submission, identity, number, content, limit, result, lockdown, began))
        )
        self._concluding.add(concluding)
        concluding.add_done_callback(self._concluding.discard)
        return await asyncio.shield(concluding)

    async def settle(self, seconds: float) -> None:
        """Return when all that was received is stored or refused; for the stop, before the spool's."""
        if self._concluding:
            await asyncio.wait(self._concluding, timeout=seconds)

    async def _conclude(self, arrival: _Arrival) -> Reply:
        # No await between here and the end of _judge and the hand-over to the spool: a hold that another message of
        # the sender causes meanwhile either is seen here, or parks this one by its later commit.
        case = self._judge(arrival)
        try:
            decision = await self._decide(case.verdict.proposal) if case.verdict.proposal else None
            if case.verdict.action in (Action.ACCEPT, Action.HOLD):
                return await self._keep(case, decision, arrival.began)
        except (SpoolFull, StateFailure) as error:
            self._limits.give_back(case.inputs.sender.key, len(case.submission.recipients), arrival.began)
            self._metrics.refused.labels("disk_full").inc()
            raise TransientError(DISK_FULL) from error
        finally:
            _close_large(arrival.submission)  # whatever was not kept
        return self._refuse(case)

    async def receive_report(self, report: bytes, to: str, about: SpooledMessage) -> None:
        """Spool a bounce of ours, from the null sender, under the account whose mail it is about."""
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
            rule="report",
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
            rule=message.rule,
            received_at=now,
            demo=self._settings.demo,
        )
        recipients = await self._spool.store(message, report, [to], record, is_held=False)
        self._courier.enqueue(recipients, report)

    def _reserve(self, sender: SenderId, submission: Submission, now_unix: float) -> LimitUse:
        base, multiplier, age = self._base_limit(submission), self._state_of(sender.key).multiplier, 0.0
        if multiplier > 1 and (signal := self._signals.state(sender.key, now_unix, self._settings.policy)):
            age = now_unix - signal.first_seen_unix
        limit = effective_limit(base, multiplier, age)
        return self._limits.take(sender.key, len(submission.recipients), limit, now_unix)

    def _base_limit(self, submission: Submission) -> int:
        own = self._limit_sets.get((Level.SENDERS, submission.account.name))
        if own is None or own.rcpts_per_hour is None:
            return self._settings.limits.rcpts_per_hour
        return own.rcpts_per_hour or _NO_LIMIT

    async def _assess(
        self, sender: SenderId, submission: Submission, content: bytes, message_id: str, limit: LimitUse
    ) -> ContentResult:
        standing = self._state_of(sender.key).standing
        if not limit.is_allowed or submission.account.is_suspended or standing in _REFUSING:
            return _UNREAD  # refused whatever it says: a flood costs no content work
        self._lockdown.prefetch(_domain(submission.mail_from))  # DNS answers while the content is read
        large = submission.large
        if large is not None:
            await large.seal(content)
        ref = reference(self._reference_key, message_id, sender.account, sender.key)
        return await self._content.assess(
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
            )
        )

    async def _checked(self, sender: SenderId, submission: Submission, result: ContentResult) -> LockdownResult:
        if result is _UNREAD:
            return NOT_ASKED
        author = result.features.from_domain or _domain(result.header_from)
        return await self._lockdown.check((_domain(submission.mail_from), author), sender.account, sender.key)

    def _judge(self, arrival: _Arrival) -> _Case:
        submission, sender, result = arrival.submission, arrival.identity.sender, arrival.result
        now, policy, message_id = self._clock.now(), self._settings.policy, self._spool.message_id(arrival.number)
        hops, state = _hops(arrival), self._state_of(sender.key)
        group = self._newcomers.key_for(sender.account, state, is_forwarded=arrival.identity.is_forwarded)
        signal = self._observed(arrival, now.timestamp(), message_id, group, is_loop=hops >= _MAX_RECEIVED)
        inputs = Inputs(
            sender=sender,
            account=submission.account,
            state=state,
            limit=arrival.limit,
            signal=signal,
            score=result.score,
            error=result.error,
            reasons=tuple(result.reasons),
            model=result.model,
            base_limit=self._base_limit(submission),
            lockdown=arrival.lockdown,
            group=self._newcomers.group(group, signal, now.timestamp()),
        )
        verdict = _loop(hops) if hops >= _MAX_RECEIVED else judge(inputs, policy, now, message_id)
        return _Case(submission, arrival.number, message_id, arrival.content, result, inputs, verdict)

    def _observed(
        self, arrival: _Arrival, now_unix: float, message_id: str, group: str, *, is_loop: bool
    ) -> SignalState:
        policy, sender, result = self._settings.policy, arrival.identity.sender.key, arrival.result
        # A client that retries what limit, standing or a domain's owner refuse must not gain a history by it, nor a
        # loop one spam by many
        if result is _UNREAD or is_loop or not arrival.lockdown.is_passed:
            known = self._signals.state(sender, now_unix, policy)
            return known or SignalState(0.0, 0.0, 0.0, 0, now_unix)
        self._unnamed.note(arrival.submission.account, arrival.identity, now_unix)
        recipients = len(arrival.submission.recipients)
        return self._signals.observe(sender, result.score, now_unix, policy, message_id, recipients, group)

    async def _keep(self, case: _Case, decision: Decision | None, began: float) -> Reply:
        submission, sender, verdict, large = case.submission, case.inputs.sender, case.verdict, case.submission.large
        if large is not None and not large.is_sealed:  # what refused it, and so left it unread, has gone this moment
            raise TransientError(_TRY_LATER)
        is_held = verdict.action is Action.HOLD
        flags = (Flags.EIGHT_BIT if submission.is_8bit else Flags.NONE) | (
            Flags.SMTPUTF8 if submission.is_smtputf8 else Flags.NONE
        )
        message = SpooledMessage(
            id=case.number,
            message_id=case.message_id,
            rcpts=len(submission.recipients),
            account=sender.account,
            reseller=submission.account.reseller,
            sender=sender.key,
            mail_from=submission.mail_from,
            received_at=submission.received_at,
            flags=flags,
            prefix=received_line(submission, self._settings.node.hostname, case.message_id) + case.result.prefix,
            subject=case.result.subject,
            score=case.result.score,
            rule=verdict.rule,
        )
        record = Reception(
            **self._facts(case, decision),
            received_at=submission.received_at,
            accept_seconds=self._clock.unix() - began,
        )
        recipients = await self._spool.store(
            message, large or case.content, submission.recipients, record, is_held=is_held, answered=_answered(case)
        )
        self._metrics.accepted.inc()
        self._metrics.accept_seconds.observe(self._clock.unix() - began)
        if is_held:
            self._metrics.held.labels(verdict.rule).inc()
            _log.info("held message=%s sender=%s rule=%s score=%s", *_brief(case))
        elif not self._newcomers.is_parked(sender.key, case.inputs.group, self._clock.now()):
            self._courier.enqueue(recipients, None if large else case.content)
        return verdict.reply

    def _refuse(self, case: _Case) -> Reply:
        reply = case.verdict.reply
        self._journal.append(
            Rejection(
                **self._facts(case, None), stage="data", code=reply.code, enhanced=reply.enhanced, text=reply.text
            )
        )
        self._metrics.refused.labels(case.verdict.rule).inc()
        _log.info("refused message=%s sender=%s rule=%s score=%s", *_brief(case))
        return reply

    def _facts(self, case: _Case, decision: Decision | None) -> dict[str, Any]:
        """What Reception and Rejection share (events.Judged): the verdict's whole input, and the verdict."""
        submission, sender, result, verdict = case.submission, case.inputs.sender, case.result, case.verdict
        group = case.inputs.group
        of_group = group.state.decision if group and verdict.rule == NEWCOMERS_HELD else None
        in_force = decision or of_group or case.inputs.state.decision
        return {
            **self._journal.stamp(),
            "message_id": case.message_id,
            "account": sender.account,
            "reseller": submission.account.reseller,
            "sender": sender.key,
            "sender_kind": sender.kind,
            "script": sender.script,
            "mail_from": submission.mail_from,
            "recipients": [Rcpt(case.number + n, address) for n, address in enumerate(submission.recipients)],
            "client_ip": submission.client_ip,
            "helo": submission.helo,
            "tls": submission.tls,
            "credential": submission.credential,
            "door": submission.door,
            "size_bytes": _size_bytes(case),
            "header_from": result.header_from,
            "subject": result.subject,
            "header_message_id": result.header_message_id,
            "action": verdict.action,
            "rule": verdict.rule,
            "trace": verdict.trace,
            "standing": case.inputs.state.standing,
            "score": result.score,
            "model": result.model,
            "reasons": result.reasons,
            "features": result.features,
            "spam_count": case.inputs.signal.spam_count,
            "spam_seen": case.inputs.signal.seen,
            "spam_certainty": case.inputs.signal.certainty,
            "hour_used": case.inputs.limit.used,
            "hour_limit": case.inputs.limit.limit,
            "multiplier": case.inputs.state.multiplier,
            "policy_version": version_of(self._settings.policy),
            "decision_id": in_force.id if in_force else "",
            "demo": self._settings.demo,
        }


def _identified(submission: Submission) -> tuple[Identity, bytes]:
    """Who it is, and the content without the headers that said so."""
    content = submission.content
    end = content.find(b"\r\n\r\n")
    identity = identify(submission, content[: end + 2] if end >= 0 else content)
    start, kept = 0, []
    for begin, stop in identity.spans:
        kept.append(content[start:begin])
        start = stop
    return identity, b"".join([*kept, content[start:]]) if kept else content


def _size_bytes(case: _Case) -> int:
    large = case.submission.large
    if large is None:
        return len(case.content)
    # unsealed: refused unread, its header block is not in the file
    return large.place.length + (0 if large.is_sealed else len(case.content))


def _close_large(submission: Submission) -> None:
    if submission.large is not None:
        submission.large.close()


def _domain(address: str) -> str:
    """The domain of `a@b` or `Name <a@b>`."""
    return address.rpartition("@")[2].partition(">")[0]


def _hops(arrival: _Arrival) -> int:
    """How many hops the message has behind it, counted here when no worker could."""
    if arrival.result.error:
        content = arrival.content
        end = content.find(b"\r\n\r\n", 0, _HEADER_BYTES)
        return len(_received_fields(content, 0, end if end >= 0 else _HEADER_BYTES))
    return arrival.result.features.received_headers


def _loop(hops: int) -> Verdict:
    step = TraceStep("mail_loop", True, f"{hops} Received headers, refused from {_MAX_RECEIVED}")
    return Verdict(Action.REJECT, "mail_loop", _LOOP, [step], None)


def _answered(case: _Case) -> Answered | None:
    once, account = case.submission.once, case.submission.account.name
    if once is None:
        return None
    return Answered(account, once.key, once.digest, once.answer(case.verdict.reply), once.until.timestamp())


def _brief(case: _Case) -> tuple[str, str, str, float | None]:
    return case.message_id, case.inputs.sender.key, case.verdict.rule, case.result.score
