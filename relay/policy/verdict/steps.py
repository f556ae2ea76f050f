"""What a verdict's guard steps read, and what a step may answer. Values only."""

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from relay.account import Account
from relay.events import Action, Hit
from relay.policy.decisions.decision import Decision, Proposal, State
from relay.policy.decisions.why import facts
from relay.policy.limits.claims import REPLY_TEXT_LENGTH, LimitUse
from relay.policy.triggers.newcomers import Group
from relay.policy.triggers.sequential import SignalState
from relay.policy.verdict.lockdown import NOT_ASKED, LockdownResult
from relay.reply import Reply, printable
from relay.settings import Policy
from relay.tree import SenderId


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a verdict depends on beside the policy and the time.

    `hits`: certain rules it met, with what they do now; `unchecked`: checkers that gave no answer. `foreign_domain`:
    that of From:, where the login is bound to others. `error` says why there is no `score`; neither: a relay without a
    model. `group`: the account's newcomers, where the sender is one. `stopped`: senders of the account that the relay
    stopped within the last hour, none while its newcomers are held. `exempt`: a person's word that neither sender nor
    text is stopped automatically.
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
    stopped: Sequence[str] = ()
    exempt: Decision | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One message before its judge."""

    inputs: Inputs
    policy: Policy
    now: datetime
    queue_id: str


@dataclass(frozen=True, slots=True)
class Match:
    """The step decides. Without `reply`: the usual 250 of an accepted or held message."""

    action: Action
    rule: str
    detail: str
    reply: Reply | None = None
    proposals: Sequence[Proposal] = ()


@dataclass(frozen=True, slots=True)
class Aside:
    """The step does not decide about the message, but about its sender; the next step follows."""

    detail: str
    proposals: Sequence[Proposal]


Step = Callable[[Case], Match | Aside | str]


def reply(code: int, enhanced: str, text: str) -> Reply:
    """A reply that fits a line and holds no foreign control byte."""
    return Reply(code, enhanced, printable(text, REPLY_TEXT_LENGTH))


def sender_name(case: Case) -> str:
    return printable(case.inputs.sender.key, 120)


def because(case: Case) -> str:
    """Why the sender stands as it does."""
    decision = case.inputs.state.decision
    if decision is None:
        return f"sender {sender_name(case)} is {case.inputs.state.standing.value}"
    return facts(decision, case.now)


def exempted(case: Case) -> str:
    """What a step says that a person has forbidden; "" where nobody has."""
    row = case.inputs.exempt
    return "" if row is None else f"exempt by {row.proposal.author} ({row.id}): {printable(row.proposal.reason, 120)}"


@functools.lru_cache(maxsize=8)
def version_of(policy: Policy) -> str:
    """Name a policy by its content, the same on every node: 10 hexadecimal digits."""
    return hashlib.sha256(policy.model_dump_json().encode()).hexdigest()[:10]
