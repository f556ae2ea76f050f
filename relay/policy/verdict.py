"""The verdict on one message: one list of guard steps read top to bottom, the first match decides.

A pure function of its inputs, so that any journal row can be judged again. Each step leaves a trace line with the
numbers it looked at. Must never ask a clock, a store or the network.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from relay.envelope import Account
from relay.events import Action, Hit, TraceStep
from relay.policy.certain import heaviest
from relay.policy.decision import PARKED, Decision, Effect, Proposal, Standing, State
from relay.policy.limits import REPLY_TEXT_LENGTH, LimitUse, delay, numbers, refusal
from relay.policy.lockdown import NOT_ASKED, Lock, LockdownResult
from relay.policy.newcomers import Group, group_alarm
from relay.policy.triggers import Alarm, SignalState, alarms
from relay.policy.why import facts
from relay.reply import Reply, printable
from relay.settings import Policy
from relay.tree import NEWCOMERS_HELD, SenderId

TEMPORARY_BLOCK = timedelta(minutes=15)  # spec 2.1: a retry is invited this long, then the author gets a bounce


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a verdict depends on beside the policy and the time.

    `hits`: certain rules it met, with what they do now; `unchecked`: checkers that gave no answer. `foreign_domain`:
    that of From:, where the login is bound to others. `error` says why there is no `score`; neither: a relay without a
    model. `group`: the account's newcomers, where the sender is one.
    """

    sender: SenderId
    account: Account
    state: State
    limit: LimitUse
    signal: SignalState
    score: float | None = None
    error: str = ""
    reasons: Sequence[str] = ()
    model: str = ""
    group: Group | None = None
    lockdown: LockdownResult = NOT_ASKED
    foreign_domain: str = ""
    hits: Sequence[Hit] = ()
    unchecked: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to the message, the reply to give, and the decision about its sender that it brings about."""

    action: Action
    rule: str
    reply: Reply
    trace: list[TraceStep]
    proposal: Proposal | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    inputs: Inputs
    policy: Policy
    now: datetime
    queue_id: str


@dataclass(frozen=True, slots=True)
class _Match:
    action: Action
    rule: str
    detail: str
    reply: Reply | None = None  # None: the usual 250 of an accepted or held message
    proposal: Proposal | None = None


Step = Callable[[_Case], _Match | str]


def judge(inputs: Inputs, policy: Policy, now: datetime, queue_id: str) -> Verdict:
    """Judge one message. The trace ends with the step that decided."""
    case = _Case(inputs, policy, now, queue_id)
    trace = []
    for name, step in STEPS:
        found = step(case)
        if isinstance(found, str):
            trace.append(TraceStep(name, False, found))
            continue
        trace.append(TraceStep(name, True, found.detail))
        return Verdict(found.action, found.rule, found.reply or _queued(case, found.action), trace, found.proposal)
    raise AssertionError("the last step accepts")


@functools.lru_cache(maxsize=8)
def version_of(policy: Policy) -> str:
    """Name a policy by its content, the same on every node: 10 hexadecimal digits."""
    return hashlib.sha256(policy.model_dump_json().encode()).hexdigest()[:10]


def _account_suspended(case: _Case) -> _Match | str:
    account = case.inputs.account
    if not account.is_suspended:
        return "the account is in good standing"
    text = (
        f"[ESA] sender {_sender(case)} refused: account {printable(account.name, 80)} is suspended "
        "until a person releases it (rule account_suspended)"
    )
    detail = f"account {account.name} is suspended"
    return _Match(Action.REJECT, "account_suspended", detail, _reply(550, "5.7.1", text))


def _sender_suspended(case: _Case) -> _Match | str:
    state = case.inputs.state
    if state.standing is not Standing.SUSPENDED:
        return f"the sender's standing is {state.standing.value}"
    text = f"[ESA] {_because(case)}"
    return _Match(Action.REJECT, "sender_suspended", _because(case), _reply(550, "5.7.1", text))


def _sender_blocked(case: _Case) -> _Match | str:
    state = case.inputs.state
    if state.standing is not Standing.BLOCKED:
        return "not blocked"
    if state.decision is None or case.now - state.decision.proposal.starts_at >= TEMPORARY_BLOCK:
        return _Match(Action.REJECT, "sender_blocked", _because(case), _reply(550, "5.7.1", f"[TSB] {_because(case)}"))
    return _Match(Action.DEFER, "sender_blocked", _because(case), _reply(450, "4.7.1", f"[TSA] {_because(case)}"))


def _over_limit(case: _Case) -> _Match | str:
    limit = case.inputs.limit
    if not limit.is_allowed:
        return _Match(Action.DEFER, "rate_limit", f"{limit.whose} over {limit.name}: {numbers(limit)}", refusal(limit))
    if limit.due_unix is not None:
        return f"{limit.whose} over {limit.name}, delayed: {numbers(limit)}"
    return f"{limit.used} of {limit.limit} recipients used in 60 min" if limit.limit else "no limit"


def _binding(case: _Case) -> _Match | str:
    domain = case.inputs.foreign_domain
    if not domain:
        return "the login may send as this author"
    detail = f"From: names {printable(domain, 80)}, and this login is bound to other domains"
    text = f"[FROM] sender {_sender(case)} refused: {detail} (rule sender_domain; this message only)"
    return _Match(Action.REJECT, "sender_domain", detail, _reply(550, "5.7.1", text))


def _lockdown(case: _Case) -> _Match | str:
    found = case.inputs.lockdown
    domain, record = printable(found.domain, 120), printable(found.record, 300)
    match found.lock:
        case Lock.NOT_ASKED:
            return "not asked"
        case Lock.OPEN:
            return f"the owner of {domain} restricts nobody"
        case Lock.ALLOWED:
            return f"allowed by {record}"
        case Lock.REFUSED:
            text = f"[DL] sender {_sender(case)} may not use the domain {domain}: its owner's record names others"
            return _Match(Action.REJECT, "lockdown", f"not named by {record}", _reply(550, "5.7.1", text))
        case Lock.UNKNOWN:
            text = (
                f"[DL] whether sender {_sender(case)} may use the domain {domain} cannot be told now; try again later"
            )
            return _Match(Action.DEFER, "lockdown", printable(found.error, 300), _reply(451, "4.4.3", text))
        case _:
            assert_never(found.lock)


def _sender_held(case: _Case) -> _Match | str:
    if case.inputs.state.standing is not Standing.HELD:
        return "not held"
    return _Match(Action.HOLD, "sender_held", _because(case))


def _trigger(case: _Case) -> _Match | str:
    signal = case.inputs.signal
    stale = ""
    for alarm in alarms(signal, case.policy):
        if _is_fresh(case.now, case.inputs.state, signal.counted_from_unix, alarm):
            proposal = _hold(case, alarm, case.inputs.sender.key)
            return _Match(Action.HOLD, alarm.rule, alarm.reason, proposal=proposal)
        stale = f"; {alarm.rule} rests on evidence from before the sender was reinstated"
    return (
        f"{signal.spam_count:g} of {signal.seen:g} scored as spam in 60 min, P(rate > line) = {signal.certainty:.4f}"
        f"{stale}"
    )


def _newcomers(case: _Case) -> _Match | str:
    group = case.inputs.group
    if group is None:
        return "not a new sender"
    if case.inputs.state.is_reinstated(case.now):
        return "a new sender that a person has released"
    if group.state.standing in PARKED:
        decision = group.state.decision
        return _Match(Action.HOLD, NEWCOMERS_HELD, facts(decision, case.now) if decision else "new senders are held")
    signal, alarm = group.signal, group_alarm(group.signal, case.policy)
    stale = ""
    if alarm:
        if _is_fresh(case.now, group.state, signal.counted_from_unix, alarm):
            return _Match(Action.HOLD, alarm.rule, alarm.reason, proposal=_hold(case, alarm, group.key))
        stale = f"; {alarm.rule} rests on evidence from before their release"
    spam = f"{signal.spam_count:g} of {signal.seen:g} scored as spam in 60 min"
    return f"new senders together: {spam}, from {len(signal.senders)} of them{stale}"


def _rule_refused(case: _Case) -> _Match | str:
    hit = heaviest(case.inputs.hits, Action.REJECT)
    if hit is None:
        unchecked = printable(", ".join(case.inputs.unchecked), 300)
        return f"met no rule that refuses{f'; not checked: {unchecked}' if unchecked else ''}"
    text = (
        f"[{hit.code}] message {printable(case.queue_id, 40)} of sender {_sender(case)} refused: {hit.seen} "
        f"(rule {hit.rule}; this message only)"
    )
    return _Match(Action.REJECT, f"content_{hit.rule}", hit.seen, _reply(550, "5.7.1", text))


def _rule_held(case: _Case) -> _Match | str:
    hits = case.inputs.hits
    hit = heaviest(hits, Action.HOLD)
    if hit is None:
        return f"met {', '.join(hit.rule for hit in hits)}: for information" if hits else "met no rule"
    return _Match(Action.HOLD, f"content_{hit.rule}", hit.seen)


def _unscored(case: _Case) -> _Match | str:
    if case.inputs.score is not None:
        return "scored"
    if not case.inputs.error:
        return "no model in use"
    return _Match(Action.HOLD, "unscored", f"not scored: {printable(case.inputs.error, 200)}")


def _content_refused(case: _Case) -> _Match | str:
    inputs, policy = case.inputs, case.policy
    line = policy.hold_score if inputs.state.standing is Standing.THROTTLED else policy.reject_score
    if inputs.score is None or inputs.score < line:
        return f"{_score(inputs)} below {line:g}"
    detail = f"{_score(inputs)}, refused from {line:g}{_reasons(inputs)}"
    if inputs.signal.history > policy.known_after and inputs.state.standing is Standing.OK:
        return _Match(
            Action.HOLD, "content", f"{detail}; held instead: known sender, {inputs.signal.history} messages of history"
        )
    text = (
        f"[SS] message {printable(case.queue_id, 40)} of sender {_sender(case)} refused: content {_score(inputs)}, "
        f"refused from {line:g} (rule content; this message only)"
    )
    return _Match(Action.REJECT, "content", detail, _reply(550, "5.7.1", text))


def _content_held(case: _Case) -> _Match | str:
    inputs, line = case.inputs, case.policy.hold_score
    if inputs.score is None or inputs.score < line:
        return f"{_score(inputs)} below {line:g}"
    return _Match(Action.HOLD, "content", f"{_score(inputs)}, held from {line:g}{_reasons(inputs)}")


def _accept(case: _Case) -> _Match | str:
    if case.inputs.limit.due_unix is None:
        return _Match(Action.ACCEPT, "accept", "nothing speaks against it")
    detail = "nothing speaks against it but the limit: it leaves when there is room"
    return _Match(Action.ACCEPT, "rate_delay", detail, delay(case.inputs.limit, case.queue_id))


# The order is the policy. What concerns the sender stands before what concerns the message, so that a held sender's
# mail is parked whatever its score; limits stand before holds, so that a held sender cannot fill the disk. A newcomer's
# own trigger stands before the newcomers': so he leaves them first, and stays held when they are released. Certain
# rules stand before the score: what a person can check in the mail is the better reason.
STEPS: tuple[tuple[str, Step], ...] = (
    ("account_suspended", _account_suspended),
    ("sender_suspended", _sender_suspended),
    ("sender_blocked", _sender_blocked),
    ("rate_limit", _over_limit),
    ("sender_domain", _binding),
    ("lockdown", _lockdown),
    ("sender_held", _sender_held),
    ("trigger", _trigger),
    ("newcomers", _newcomers),
    ("rule_refused", _rule_refused),
    ("rule_held", _rule_held),
    ("unscored", _unscored),
    ("content_refused", _content_refused),
    ("content_held", _content_held),
    ("accept", _accept),
)


def _is_fresh(now: datetime, state: State, counted_from_unix: float, alarm: Alarm) -> bool:
    """Tell whether the evidence was seen after the sender was reinstated, which lasts 24 h."""
    if state.reinstated_at is None or not state.is_reinstated(now):
        return True
    return max(counted_from_unix, now.timestamp() - alarm.window_seconds) >= state.reinstated_at.timestamp()


def _hold(case: _Case, alarm: Alarm, sender: str) -> Proposal:
    inputs = case.inputs
    evidence = dict(alarm.evidence)
    if inputs.score is not None:
        evidence["last_score"] = inputs.score
    return Proposal(
        author="relay",
        account=inputs.account.name,
        sender=sender,
        effect=Effect.HOLD,
        rule=alarm.rule,
        reason=alarm.reason,
        starts_at=case.now,
        ends_at=case.now + timedelta(minutes=case.policy.hold_minutes),
        evidence=evidence,
        certainty=alarm.certainty,
        policy_version=version_of(case.policy),
        model=inputs.model,
    )


def _queued(case: _Case, action: Action) -> Reply:
    text = f"queued as {case.queue_id}"
    return Reply(250, "2.0.0", f"{text} (held)" if action is Action.HOLD else text)


def _reply(code: int, enhanced: str, text: str) -> Reply:
    return Reply(code, enhanced, printable(text, REPLY_TEXT_LENGTH))


def _because(case: _Case) -> str:
    decision: Decision | None = case.inputs.state.decision
    if decision is None:
        return f"sender {_sender(case)} is {case.inputs.state.standing.value}"
    return facts(decision, case.now)


def _sender(case: _Case) -> str:
    return printable(case.inputs.sender.key, 120)


def _score(inputs: Inputs) -> str:
    return "no score" if inputs.score is None else f"scored {inputs.score:.3f} as spam"


def _reasons(inputs: Inputs) -> str:
    return f" ({printable(', '.join(inputs.reasons[:3]), 120)})" if inputs.reasons else ""
