"""Decisions as the verdict proposes them: rule, evidence, certainty, versions, beginning and end in one place."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from relay.policy.decisions.decision import AUTOMATIC, PARKED, Effect, Proposal, State
from relay.policy.decisions.ladder import ACCOUNT_WIDE, CLEAN_TRAFFIC, Ended, Rung, climbs
from relay.policy.triggers.sequential import Alarm
from relay.policy.verdict.steps import Case, version_of
from relay.tree import newcomers_of


def is_fresh(now: datetime, state: State, counted_from_unix: float, alarm: Alarm) -> bool:
    """Tell whether the evidence was seen after the sender was reinstated, which lasts 24 h."""
    if state.reinstated_at is None or not state.is_reinstated(now):
        return True
    return max(counted_from_unix, now.timestamp() - alarm.window_seconds) >= state.reinstated_at.timestamp()


def proposed(case: Case, alarm: Alarm, rung: Rung, sender: str) -> Proposal:
    """What an alarm does to a sender, or to the account's newcomers."""
    inputs = case.inputs
    evidence = dict(alarm.evidence)
    if inputs.score is not None:
        evidence["last_score"] = inputs.score
    return Proposal(
        author=AUTOMATIC,
        account=inputs.account.name,
        sender=sender,
        effect=rung.effect,
        rule=alarm.rule,
        reason=f"{alarm.reason}; {rung.note}" if rung.note else alarm.reason,
        starts_at=case.now,
        ends_at=rung.ends_at,
        evidence=evidence,
        certainty=alarm.certainty,
        value=rung.value,
        policy_version=version_of(case.policy),
        model=inputs.model,
    )


def released(case: Case, ended: Ended) -> Proposal:
    """The early end of an automatic hold."""
    row = case.inputs.state.decision
    assert row is not None
    return replace(
        row.proposal,
        effect=Effect.RELEASE,
        rule=CLEAN_TRAFFIC,
        reason=ended.reason,
        starts_at=case.now,
        ends_at=None,
        evidence=ended.evidence,
        certainty=None,
        supersedes=row.id,
        policy_version=version_of(case.policy),
    )


def account_wide(case: Case) -> Sequence[Proposal]:
    """Hold the account's unknown and new senders too, when enough others were stopped within the hour."""
    inputs, group = case.inputs, case.inputs.group
    senders = climbs(inputs.sender.key, inputs.stopped, case.policy) if inputs.stopped else []
    if not senders or (group is not None and group.state.standing in PARKED):
        return ()
    return [
        Proposal(
            author=AUTOMATIC,
            account=inputs.account.name,
            sender=newcomers_of(inputs.account.name),
            effect=Effect.HOLD,
            rule=ACCOUNT_WIDE,
            reason=f"{len(senders)} senders of the account were stopped within an hour",
            starts_at=case.now,
            ends_at=case.now + timedelta(minutes=case.policy.hold_minutes),
            evidence={"senders": senders[:20], "window_minutes": 60},
            policy_version=version_of(case.policy),
        )
    ]
