"""From what was found in a message to its verdict: the one order of steps, for the relay's doors and for the simulator.

Counts move here (signals, certain rules, what a refusal gives back). Nothing awaits, asks a clock or touches the disk.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from relay.account import Account
from relay.events import Action
from relay.front.identity import Identity
from relay.policy.decisions.decision import PARKED, Decision, Standing, State
from relay.policy.limits.ledger import Taking
from relay.policy.signals.live import Signals, SignalState
from relay.policy.signals.origins import NOT_ROAMING
from relay.policy.signals.signal import Traits
from relay.policy.verdict.certain import Certain, Text, Weighed, Whose, heaviest
from relay.policy.verdict.group import Newcomers
from relay.policy.verdict.judge import Inputs, judge, version_of
from relay.policy.verdict.loops import MAX_RECEIVED, loop_verdict
from relay.reception.admission import Gate
from relay.reception.case import UNREAD, Arrival, Case, foreign_domain, hops, pool_of, reasons_of
from relay.settings import Policy
from relay.tree import SenderId, newcomers_of

_REFUSING = (Standing.BLOCKED, Standing.SUSPENDED)


class Decided(Protocol):
    """What was decided so far: the relay's state, or a simulation's."""

    def state_of(self, sender: str) -> State:
        """Where a sender stands now."""
        ...

    def stopped(self, account: str) -> Sequence[str]:
        """The senders of an account that were stopped automatically within the last hour."""
        ...

    def exempt_text(self, account: str, fingerprint: str) -> Decision | None:
        """The decision in force that forbids to stop a text."""
        ...


class Judging:
    """The policy of one relay, composed."""

    def __init__(
        self,
        policy: Policy,
        gate: Gate,
        signals: Signals,
        certain: Certain,
        decided: Decided,
        *,
        on_counted: Callable[[Account, Identity, float], None],
    ) -> None:
        """`on_counted` hears of each message that counts for its sender."""
        self._policy, self._gate, self._signals, self._certain = policy, gate, signals, certain
        self._decided, self._state_of, self._on_counted = decided, decided.state_of, on_counted
        self._newcomers = Newcomers(signals, decided.state_of, policy)

    def take_up(self, policy: Policy) -> None:
        """Judge by other lines from the next verdict on."""
        self._policy = policy
        self._newcomers.take_up(policy)

    def refuses_unread(self, account: Account, sender: SenderId, taking: Taking) -> bool:
        """Tell whether a message is refused whatever it says, so that nobody need read it."""
        return not taking.use.is_allowed or account.is_suspended or self._state_of(sender.key).standing in _REFUSING

    def judge(self, arrival: Arrival, now: datetime) -> Case:
        """Count a message in and judge it."""
        submission, sender, result = arrival.submission, arrival.identity.sender, arrival.result
        policy = self._policy
        count, state = hops(arrival), self._state_of(sender.key)
        is_loop = count >= MAX_RECEIVED
        group = self._newcomers.key_for(sender.account, state, is_forwarded=arrival.identity.is_forwarded)
        weighed = self._weighed(arrival, state, now)
        signal = self._observed(arrival, now.timestamp(), group, weighed, is_loop=is_loop)
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
            stopped=self._stopped(sender.account),
            exempt=state.exempt or self._decided.exempt_text(sender.account, result.fingerprint),
        )
        verdict = loop_verdict(count) if is_loop else judge(inputs, policy, now, arrival.message_id)
        pool = pool_of(arrival, inputs, policy, now)
        nearly = weighed.campaign.nearly
        place = self._signals.logins.place_of(submission.client_ip)
        return Case(arrival, inputs, verdict, version_of(policy), pool, now, nearly, count if is_loop else 0, place)

    def is_parked(self, case: Case, now: datetime) -> bool:
        """Tell whether a hold has come since the verdict: it has parked the message by its later commit."""
        return self._newcomers.is_parked(case.inputs.sender.key, case.inputs.group, now)

    def give_back(self, case: Case) -> None:
        """Return what a refused message took from its limits."""
        self._gate.give_back(case.arrival.taking, is_abuse=case.verdict.rule.startswith("content"))

    def _stopped(self, account: str) -> Sequence[str]:
        stopped = self._decided.stopped(account)
        # when the newcomers are held already there is nowhere to climb
        return () if not stopped or self._state_of(newcomers_of(account)).standing in PARKED else stopped

    def _weighed(self, arrival: Arrival, state: State, now: datetime) -> Weighed:
        result, sender, now_unix = arrival.result, arrival.identity.sender.key, now.timestamp()
        # what strangers send through forwarders is the same for good reasons
        fingerprint = "" if arrival.identity.is_forwarded or arrival.is_sandbox else result.fingerprint
        forgiven_at = state.reinstated_at if state.is_reinstated(now) else None
        # seldom are there hits; the rest need not be looked up
        is_new = bool(result.hits) and forgiven_at is None and self._signals.is_newcomer(sender, now_unix)
        whose = Whose(sender, is_new, forgiven_at.timestamp() if forgiven_at else 0.0)
        text = Text(fingerprint, result.features.text_words)
        return self._certain.complete([*result.hits, *arrival.checked.hits], text, whose, now_unix)

    def _observed(
        self, arrival: Arrival, now_unix: float, group: str, weighed: Weighed, *, is_loop: bool
    ) -> SignalState:
        policy, sender, result = self._policy, arrival.identity.sender.key, arrival.result
        # A client that retries what limit, standing or a domain's owner refuse must not gain a history by it, nor a
        # loop one spam by many
        if result is UNREAD or is_loop or arrival.is_sandbox or not arrival.lockdown.is_passed:
            known = self._signals.state(sender, now_unix, policy)
            return known or SignalState(0.0, 0.0, 0.0, 0, now_unix)
        self._on_counted(arrival.submission.account, arrival.identity, now_unix)
        recipients = len(arrival.submission.recipients)
        score = 1.0 if heaviest(weighed.hits, Action.REJECT) else result.score  # certain, whatever the model says
        if _is_report(arrival):
            score = None  # what it returns is somebody else's text; a storm of them has a trigger of its own
        traits = self._traits(arrival, now_unix, group, weighed, score or 0.0)
        return self._signals.observe(sender, score, now_unix, policy, arrival.message_id, recipients, group, traits)

    def _traits(self, arrival: Arrival, now_unix: float, group: str, weighed: Weighed, score: float) -> Traits:
        submission, sender, fingerprint = arrival.submission, arrival.identity.sender.key, arrival.result.fingerprint
        same_text = 0
        is_suspect = score >= self._policy.suspect_score and group and self._signals.is_newcomer(sender, now_unix)
        if is_suspect and self._state_of(group).standing not in PARKED:  # held together already
            same_text = self._certain.same_suspect(fingerprint, sender, weighed.campaign, now_unix)
        login = submission.credential
        roaming = self._signals.logins.note(login, submission.client_ip, now_unix) if login else NOT_ROAMING
        return Traits(
            fingerprint=fingerprint,
            recipients=tuple(arrival.taking.ask.recipients),
            is_null=not submission.mail_from,
            roaming=roaming,
            same_text=same_text,
        )


def _is_report(arrival: Arrival) -> bool:
    """Tell whether a message is a bounce of a customer's mail server: no sender, and a multipart/report (RFC 6522)."""
    return not arrival.submission.mail_from and arrival.result.features.mime_shape.startswith("report(")
