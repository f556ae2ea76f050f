"""The verdict on one message: one list of guard steps read top to bottom, the first match decides.

A pure function of its inputs, so that any journal row can be judged again. Each step leaves a trace line with the
numbers it looked at. Must never ask a clock, a store or the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from relay.events import Action, TraceStep
from relay.policy.decisions.decision import Proposal
from relay.policy.limits.claims import delay
from relay.policy.verdict import of_content, of_sender
from relay.policy.verdict.steps import Aside, Case, Match, Step
from relay.policy.verdict.steps import Inputs as Inputs
from relay.policy.verdict.steps import version_of as version_of
from relay.reply import Reply
from relay.settings import Policy


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to the message, the reply to give, and the decisions about its sender that it brings about."""

    action: Action
    rule: str
    reply: Reply
    trace: list[TraceStep]
    proposals: Sequence[Proposal] = ()


def judge(inputs: Inputs, policy: Policy, now: datetime, queue_id: str) -> Verdict:
    """Judge one message. The trace ends with the step that decided."""
    case = Case(inputs, policy, now, queue_id)
    trace, asides = [], list[Proposal]()
    for name, step in STEPS:
        found = step(case)
        if isinstance(found, str):
            trace.append(TraceStep(name, False, found))
            continue
        if isinstance(found, Aside):
            trace.append(TraceStep(name, False, found.detail))
            asides += found.proposals
            continue
        asides += found.proposals
        if found.action is Action.HOLD and inputs.hits and (own := _for_itself(case)):
            trace.append(TraceStep(name, False, found.detail))
            name, found = own
        trace.append(TraceStep(name, True, found.detail))
        return Verdict(found.action, found.rule, found.reply or _queued(case, found.action), trace, asides)
    raise AssertionError("the last step accepts")


def _for_itself(case: Case) -> tuple[str, Match] | None:
    """What the malware rules say of a message that is held already, because of its sender, whose release must not let
    it out."""
    if all(hit.code != of_content.MALWARE for hit in case.inputs.hits):
        return None
    for name, step in (("rule_refused", of_content.rule_refused), ("rule_held", of_content.rule_held)):
        found = step(case)
        if isinstance(found, Match):
            return name, found
    return None


def _accept(case: Case) -> Match | str:
    if case.inputs.limit.due_unix is None:
        return Match(Action.ACCEPT, "accept", "nothing speaks against it")
    detail = "nothing speaks against it but the limit: it leaves when there is room"
    return Match(Action.ACCEPT, "rate_delay", detail, delay(case.inputs.limit, case.queue_id))


def _queued(case: Case, action: Action) -> Reply:
    text = f"queued as {case.queue_id}"
    return Reply(250, "2.0.0", f"{text} (held)" if action is Action.HOLD else text)


# The order is the policy. What concerns the sender stands before what concerns the message, so that a held sender's
# mail is parked whatever its score; limits stand before holds, so that a held sender cannot fill the disk. A newcomer's
# own trigger stands before the newcomers': so he leaves them first, and stays held when they are released. Certain
# rules stand before the score: what a person can check in the mail is the better reason.
STEPS: tuple[tuple[str, Step], ...] = (
    ("account_suspended", of_sender.account_suspended),
    ("sender_suspended", of_sender.sender_suspended),
    ("sender_blocked", of_sender.sender_blocked),
    ("rate_limit", of_sender.over_limit),
    ("sender_domain", of_sender.binding),
    ("lockdown", of_sender.lockdown),
    ("sender_held", of_sender.sender_held),
    ("trigger", of_sender.trigger),
    ("newcomers", of_sender.newcomers),
    ("rule_refused", of_content.rule_refused),
    ("rule_held", of_content.rule_held),
    ("unscored", of_content.unscored),
    ("content_refused", of_content.content_refused),
    ("content_held", of_content.content_held),
    ("accept", _accept),
)
