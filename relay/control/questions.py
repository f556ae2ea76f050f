"""What the relay itself can tell: decisions, senders, held mail, the queue. Each answer is cut to the asker's scope."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from relay.clock import Clock
from relay.control.access import require, require_sight, sees
from relay.control.errors import NotFound
from relay.control.state.memory import State
from relay.control.views import DecisionView, HeldView, SenderView
from relay.policy.decisions.decision import AFTERMATH, STANDING_OF, Decision
from relay.policy.decisions.why import ends_sooner, facts, sentence, undo
from relay.spool.held import cluster_name
from relay.spool.store import HeldMessage, Spool
from relay.tree import Principal, Role, is_group, newcomers_of

if TYPE_CHECKING:
    from relay.delivery.courier import Courier


class Questions:
    """Reads only; every method takes its Principal first."""

    def __init__(self, state: State, spool: Spool, courier: "Courier", clock: Clock) -> None:
        self._state, self._spool, self._courier, self._clock = state, spool, courier, clock

    def decisions(
        self,
        principal: Principal,
        *,
        sender: str | None = None,
        account: str | None = None,
        open_only: bool = False,
        limit: int = 200,
    ) -> list[DecisionView]:
        """Decisions, youngest first."""
        require(principal, Role.VIEWER)
        found: list[DecisionView] = []
        for row in self._state.decisions(sender=sender, account=account, open_only=open_only, limit=None):
            if len(found) == limit:
                break
            if self._is_seen(principal, row.proposal.account):
                found.append(self.view(row))
        return found

    def decision(self, principal: Principal, decision_id: str) -> DecisionView:
        return self.view(self.find(principal, decision_id))

    def find(self, principal: Principal, decision_id: str) -> Decision:
        """The row itself. Raises NotFound also for what lies outside the scope."""
        require(principal, Role.VIEWER)
        row = self._state.decision(decision_id)
        if row is None or not self._is_seen(principal, row.proposal.account):
            raise NotFound(f"there is no decision {decision_id!r}")
        return row

    def sender(self, principal: Principal, sender: str) -> SenderView:
        require(principal, Role.VIEWER)
        account = self.account_of(principal, sender)
        state = self._state.state_of(sender, self._clock.now())
        return SenderView(
            sender=sender,
            account=account,
            reseller=self._state.reseller_of(account),
            standing=state.standing.value,
            multiplier=state.multiplier,
            reinstated_at=state.reinstated_at,
            watched_until=state.watched_from + AFTERMATH if state.watched_from else None,
            blocks=state.blocks,
            exempt=self.view(state.exempt) if state.exempt else None,
            decision=self.view(state.decision) if state.decision else None,
            decisions=[self.view(row) for row in self._state.decisions(sender=sender)],
            held=self._spool.held_count(sender=sender),
        )

    def account_of(self, principal: Principal, sender: str) -> str:
        """The account in a sender's key. Raises NotFound unless there is one in scope."""
        account = sender.split("|", 1)[0]
        if sender.count("|") < 2 or not self._state.has_known(account):
            raise NotFound(f"there is no sender {sender!r}; a sender is written account|kind|value, as `held ls` shows")
        require_sight(principal, account, self._state.reseller_of(account), f"sender {sender!r}")
        return account

    def held_among(self, principal: Principal, message_ids: list[str]) -> list[HeldMessage]:
        """The named messages. Raises NotFound when one is not held, or not in scope."""
        parked = self._spool.held_of(dict.fromkeys(message_ids))
        seen = {m.message_id: m for m in parked if sees(principal, m.account, m.reseller)}
        missing = [name for name in message_ids if name not in seen]
        if missing:
            raise NotFound(f"not held (any more): {', '.join(missing[:5])}")
        return [seen[name] for name in dict.fromkeys(message_ids)]

    def message(self, principal: Principal, message_id: str) -> HeldView:
        """A held message. What left the relay, or was refused, analytics knows."""
        require(principal, Role.VIEWER)
        try:
            return self.held_view(self.held_among(principal, [message_id])[0])
        except NotFound:
            raise NotFound(
                f"the relay holds no message {message_id!r}; what was delivered or refused, the dashboard tells"
            ) from None

    def queue(self, principal: Principal) -> dict[str, Any]:
        """Counts of the spool and of each destination; of the whole node, so only for those who see all of it."""
        require(principal, Role.VIEWER)
        if principal.scope.account or principal.scope.reseller:
            raise NotFound("the queue is shown to principals of the whole node only")
        built: dict[str, Any] = msgspec.to_builtins(
            {
                "counts": self._spool.counts(),
                "destinations": [
                    asdict(row) | {"site": self._courier.site_of(row.destination)}
                    for row in self._spool.by_destination()
                ],
                "delivery": self._courier.stats(),
            }
        )
        return built

    def _is_seen(self, principal: Principal, account: str) -> bool:
        return sees(principal, account, self._state.reseller_of(account))

    def held_view(self, message: HeldMessage) -> HeldView:
        """A held message with the decision that is open about its sender."""
        now = self._clock.now()
        decision = self._state.state_of(message.sender, now).decision
        if decision is None and is_group(message.under):
            decision = self._state.state_of(newcomers_of(message.account), now).decision
        return HeldView(
            message_id=message.message_id,
            account=message.account,
            reseller=message.reseller,
            sender=message.sender,
            mail_from=message.mail_from,
            subject=message.subject,
            score=message.score,
            rule=message.rule,
            received_at=message.received_at,
            recipients=message.recipients,
            size_bytes=message.size_bytes,
            decision_id=decision.id if decision else "",
            held_at=message.held_at,
            cluster=cluster_name(message.cluster),
            fingerprint=message.fingerprint,
            is_own=not message.under,
        )

    def view(self, row: Decision) -> DecisionView:
        """A decision with what became of it."""
        proposal, standings, now = row.proposal, self._state.standings, self._clock.now()
        is_open, lasting = standings.is_open(row, now), standings.lasting(row)
        is_standing = proposal.effect in STANDING_OF
        released, confirmed = standings.released_by(row), standings.confirmed_by(row)
        by_whom = f" Released by {released.proposal.author}: {released.proposal.reason}." if released else ""
        return DecisionView(
            id=row.id,
            author=proposal.author,
            account=proposal.account,
            reseller=self._state.reseller_of(proposal.account),
            sender=proposal.sender,
            effect=proposal.effect,
            rule=proposal.rule,
            reason=proposal.reason,
            sentence=sentence(lasting, now) if is_open else facts(lasting, now) + by_whom,
            evidence=proposal.evidence,
            certainty=proposal.certainty,
            value=proposal.value,
            starts_at=proposal.starts_at,
            ends_at=lasting.proposal.ends_at,
            supersedes=proposal.supersedes,
            is_open=is_open,
            held=self._spool.held_count(sender=proposal.sender) if is_open and is_standing else 0,
            released_by=released.proposal.author if released else "",
            confirmed_by=confirmed.proposal.author if confirmed else "",
            policy_version=proposal.policy_version,
            model=proposal.model,
            undo=undo(row) if is_open else "",
            ends_sooner=ends_sooner(lasting.proposal) if is_open else "",
        )
