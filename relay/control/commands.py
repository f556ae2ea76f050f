"""Commands that change what happens to mail: hold, release, confirm, drop. One way in for people and machines.

Order within a command: the decision is in force in memory and committed with its audit row, then journaled, then the
spool and the courier follow. A crash in between leaves mail parked that a release frees, never mail let through.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from relay.cases.desk import CaseDesk
from relay.cases.signals import SignalDesk
from relay.clock import Clock
from relay.control.access import ROLE_OF_EFFECT, require
from relay.control.audit.chain import Act
from relay.control.desk import Desk
from relay.control.errors import Conflict, Invalid
from relay.control.labels.commands import LabelDesk
from relay.control.questions import Questions
from relay.control.shaping.commands import ShapingDesk
from relay.control.state.memory import State
from relay.control.views import (
    ConfirmOrder,
    DecisionView,
    Freed,
    HoldOrder,
    NewDecision,
    Outcome,
    ReleaseOrder,
    Stopped,
)
from relay.control.waiting.desk import QueueDesk
from relay.events import DecisionLogged, Held
from relay.holds.desk import HoldDesk
from relay.holds.release import Releases, attribution
from relay.policy.decisions.decision import PARKING, STANDING_OF, Decision, Effect, Proposal
from relay.policy.decisions.enacted import enacted
from relay.policy.signals.live import Signals
from relay.settings import Policy
from relay.spool.journal import Journal
from relay.spool.store import HeldMessage, Spool
from relay.tree import NEWCOMERS_HELD, Principal, Role, is_group

if TYPE_CHECKING:
    from relay.delivery.courier import Courier
    from relay.delivery.egress.egress import Egress

_MOST = 4  # times the limit, spec 2.3


class Commands:
    """Every command takes its Principal first, checks role and scope, and is audited. `apply` is the relay's own."""

    def __init__(
        self,
        *,
        state: State,
        spool: Spool,
        courier: "Courier",
        journal: Journal,
        signals: Signals,
        shaping: ShapingDesk,
        clock: Clock,
        hourly_of: Callable[[str, str], int],
        policy: Callable[[], Policy],
        egress: "Egress | None" = None,
    ) -> None:
        """hourly_of(account, sender): recipients an hour that its limits in force allow, 0 for no limit."""
        self._state, self._spool, self._courier = state, spool, courier
        self._journal, self._signals, self._clock = journal, signals, clock
        self.desk, self.shaping = Desk(state, clock, self._in_spool, egress), shaping
        self.questions, self.labels = Questions(state, spool, courier, clock), LabelDesk(state, spool, journal)
        self.queue = QueueDesk(
            state=state, spool=spool, courier=courier, clock=clock, account_of=self.questions.account_of
        )
        releases = Releases(
            spool=spool,
            courier=courier,
            journal=journal,
            signals=signals,
            labels=self.labels,
            clock=clock,
            hourly_of=hourly_of,
        )
        self.holds = HoldDesk(
            state=state, spool=spool, questions=self.questions, releases=releases, clock=clock, policy=policy
        )
        self.cases = CaseDesk(
            state, self.questions, clock, SignalDesk(signals, self.questions, clock, policy, hourly_of)
        )
        self.on_decided: Callable[[Decision], None] = lambda _decision: None  # after its commit
        self.is_sandbox: Callable[[str], bool] = lambda _address: False  # what comes from it counts against nobody
        self.policy_version: Callable[[], str] = lambda: ""  # in force now, for who names none

    async def apply(self, proposals: Sequence[Proposal]) -> Decision:
        """Enact what the relay itself decided; return the first. All in force in memory before the first await."""
        decided, _ = await self._enact(proposals, None)
        return decided[0]

    async def hold(self, principal: Principal, sender: str, order: HoldOrder) -> Stopped:
        """Hold a sender by hand."""
        now = self._clock.now()
        if order.minutes is not None and order.minutes <= 0:
            raise Invalid(f"minutes = {order.minutes}: must be above 0, or left out to hold until released")
        new = NewDecision(
            account=sender.split("|", 1)[0],
            sender=sender,
            effect=Effect.HOLD,
            rule="by-hand",
            reason=order.reason,
            ends_at=None if order.minutes is None else now + timedelta(minutes=order.minutes),
            dry_run=order.dry_run,
        )
        return await self.propose(principal, new)

    async def propose(self, principal: Principal, new: NewDecision) -> Stopped:
        """Put a decision in force under the principal's name."""
        require(principal, ROLE_OF_EFFECT[new.effect])
        self._check(principal, new)
        proposal = Proposal(
            author=principal.id,
            account=new.account,
            sender=new.sender,
            effect=new.effect,
            rule=new.rule,
            reason=new.reason,
            starts_at=new.starts_at or self._clock.now(),
            ends_at=new.ends_at,
            evidence=new.evidence,
            certainty=new.certainty,
            value=new.value,
            policy_version=new.policy_version or self.policy_version(),
            model=new.model,
        )
        if new.dry_run:
            return Stopped(decision=self.questions.view(Decision("dry", 0, proposal)), dry_run=True)
        decided, parked = await self._enact([proposal], principal)
        return Stopped(decision=self.questions.view(decided[0]), messages=parked)

    async def confirm(self, principal: Principal, decision_id: str, order: ConfirmOrder) -> DecisionView:
        """Let a decision stay in force until somebody releases it. Confirming twice changes nothing."""
        require(principal, ROLE_OF_EFFECT[Effect.CONFIRM])
        row = self.questions.find(principal, decision_id)
        standings = self._state.standings
        if row.proposal.effect not in STANDING_OF or not standings.in_force(row, self._clock.now()):
            raise Conflict(f"decision {decision_id} is not in force, so there is nothing to confirm")
        if not order.dry_run and standings.confirmed_by(row) is None:
            confirmation = self._answer(principal, row, Effect.CONFIRM, order.note or "confirmed by hand")
            self._log(await self._state.decide_all([confirmation], principal))
            bad = row.proposal.evidence.get("messages", [])
            self.labels.confirmed(bad if isinstance(bad, list) else [], principal.id, order.note)
        return self.questions.view(row)

    async def release_decision(self, principal: Principal, decision_id: str, order: ReleaseOrder) -> Freed:
        """Release the sender of a decision."""
        row = self.questions.find(principal, decision_id)
        return await self.release_sender(principal, row.proposal.sender, order)

    async def release_sender(self, principal: Principal, sender: str, order: ReleaseOrder) -> Freed:
        """End every decision in force against a sender and free its held mail. Releasing twice changes nothing.

        An exemption, which is in the sender's favour, ends only when nothing else is in force.
        """
        require(principal, ROLE_OF_EFFECT[Effect.RELEASE])
        self.questions.account_of(principal, sender)
        standings, now = self._state.standings, self._clock.now()
        in_force = [row for row in standings.of(sender) if standings.in_force(row, now)]
        ended = [row for row in in_force if row.proposal.effect is not Effect.EXEMPT] or in_force
        if any(row.proposal.effect is Effect.SUSPEND for row in ended):
            require(principal, ROLE_OF_EFFECT[Effect.SUSPEND])
        if not order.dry_run:
            await self._end(principal, sender, ended, order)
        return await self.holds.release_of(principal, sender, ended, order)

    async def release_held(self, principal: Principal, order: ReleaseOrder) -> Freed:
        """Free held messages; with nothing but a sender: as release_sender."""
        if order.is_of_sender:
            return await self.release_sender(principal, order.sender, order)
        return await self.holds.release(principal, order)

    async def outcome(self, principal: Principal, outcome: Outcome) -> None:
        """Count what the world said of a sender's mail."""
        require(principal, Role.OPERATOR)
        self.questions.account_of(principal, outcome.sender)
        if self.is_sandbox(outcome.recipient):
            return
        self._signals.outcome(outcome.sender, outcome.kind, self._clock.unix(), outcome.destination)
        if outcome.kind == "complaint":
            self.desk.sources.complained(outcome.source, outcome.destination)

    def _in_spool(self, account: str) -> tuple[int, int]:
        """How many messages of an account wait, and how many are held."""
        held = self._spool.held_count(account=account)
        return self._spool.messages_of(account) - held, held

    async def _enact(self, proposals: Sequence[Proposal], principal: Principal | None) -> tuple[list[Decision], int]:
        """Decide, and park what is spooled already; return the decisions and how many messages were parked."""
        now = self._clock.now()
        enacted(proposals, self._signals, now)
        decided = await self._state.decide_all(proposals, principal)
        self._log(decided)
        count = 0
        for row in decided:
            if row.proposal.effect in PARKING and row.proposal.starts_at <= now:
                parked = await self._park(row.proposal)
                count += len(parked)
                for message in parked:
                    self._journal.append(Held(**self._journal.stamp(), **attribution(message), decision_id=row.id))
        return decided, count

    async def _park(self, proposal: Proposal) -> list[HeldMessage]:
        """Park what is spooled already, of the sender or of the account's newcomers."""
        if not is_group(proposal.sender):
            self._courier.forget(proposal.sender)  # before the commit: what is in flight goes on meanwhile
            parked = await self._spool.hold_sender(proposal.sender)
            self._courier.forget(proposal.sender)
            return parked
        now = self._clock.now()
        senders = [
            sender
            for sender in self._signals.newcomers(proposal.account, now.timestamp())
            if not self._state.state_of(sender, now).is_reinstated(now)
        ]
        parked = await self._spool.hold_group(senders, NEWCOMERS_HELD)
        for sender in senders:
            self._courier.forget(sender)
        return parked

    async def _end(self, principal: Principal, sender: str, ended: Sequence[Decision], order: ReleaseOrder) -> None:
        reason = order.note or ("released as not spam" if order.verdict == "not_spam" else "released by hand")
        rows = [self._answer(principal, row, Effect.RELEASE, reason, order.verdict) for row in ended]
        if rows:
            self._log(await self._state.decide_all(rows, principal))
        else:
            await self._state.note(principal, Act("sender.release", sender.split("|", 1)[0], sender))
        # whatever the reason: the verdict ignores evidence from before a release, and would be blind until it has aged
        self._signals.forgive(sender, self._clock.unix())

    def _log(self, decided: Sequence[Decision]) -> None:
        for row in decided:
            proposal = row.proposal
            self.on_decided(row)
            self._journal.append(
                DecisionLogged(
                    **self._journal.stamp(),
                    decision_id=row.id,
                    author=proposal.author,
                    account=proposal.account,
                    reseller=self._state.reseller_of(proposal.account),
                    sender=proposal.sender,
                    effect=proposal.effect.value,
                    rule=proposal.rule,
                    reason=proposal.reason,
                    evidence=proposal.evidence,
                    certainty=proposal.certainty,
                    value=proposal.value,
                    starts_at=proposal.starts_at,
                    ends_at=proposal.ends_at,
                    supersedes=proposal.supersedes,
                    policy_version=proposal.policy_version,
                    model=proposal.model,
                )
            )

    def _check(self, principal: Principal, new: NewDecision) -> None:
        account = self.questions.account_of(principal, new.sender)
        if new.account != account:
            raise Invalid(f"account = {new.account!r}: the sender {new.sender!r} belongs to {account!r}")
        if new.effect in (Effect.RELEASE, Effect.CONFIRM):
            raise Invalid(f"effect = {new.effect}: ask /release or /confirm of the decision or sender instead")
        if new.effect is Effect.MULTIPLY and not (new.value is not None and 0 <= new.value <= _MOST):
            raise Invalid(f"value = {new.value}: the multiplier of a limit lies between 0 and {_MOST}")
        if new.effect is Effect.EXEMPT and new.ends_at is None:
            raise Invalid("ends_at is missing: an exemption says until when, so that nobody forgets it")
        for name, instant in (("starts_at", new.starts_at), ("ends_at", new.ends_at)):
            if instant is not None and instant.tzinfo is None:
                raise Invalid(f"{name} = {instant.isoformat()}: say the time zone, like {instant.isoformat()}Z")

    def _answer(self, principal: Principal, row: Decision, effect: Effect, reason: str, verdict: str = "") -> Proposal:
        return Proposal(
            author=principal.id,
            account=row.proposal.account,
            sender=row.proposal.sender,
            effect=effect,
            rule="by-hand",
            reason=reason,
            starts_at=self._clock.now(),
            evidence={"as": verdict} if verdict else {},
            supersedes=row.id,
            policy_version=self.policy_version(),
        )
