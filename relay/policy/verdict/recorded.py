"""A verdict's inputs as the journal keeps them: whole, and small. What the record says beside them is left out.

Must never interpret them: `packed` writes, `unpacked` reads the same values back, whatever fields they gain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from relay.account import Account
from relay.events import Judged
from relay.policy.decisions.decision import UNDECIDED, Decision, State
from relay.policy.limits.claims import LimitUse
from relay.policy.triggers.newcomers import Group
from relay.policy.triggers.sequential import SignalState
from relay.policy.verdict.lockdown import NOT_ASKED, LockdownResult
from relay.policy.verdict.steps import Inputs
from relay.tree import SenderId

_ELSEWHERE = frozenset({"evidence"})  # of a decision: its own record has it, and no step reads it
_NONE = SignalState()  # msgspec leaves out a default by its identity
_KNOWN: dict[type, Sequence[tuple[str, object]]] = {}  # of the handful of dataclasses below Inputs
_encode = msgspec.json.Encoder().encode


class _Row(msgspec.Struct, frozen=True, gc=False):
    """What is written; an absent value is the usual one. `hops`: Received headers of a loop."""

    judged_unix: float
    signal: SignalState
    state: State = UNDECIDED
    limit: LimitUse | None = None
    group: Group | None = None
    lockdown: LockdownResult = NOT_ASKED
    foreign_domain: str = ""
    error: str = ""
    unchecked: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    exempt: Decision | None = None
    is_suspended: bool = False
    hops: int = 0


_decode = msgspec.json.Decoder(_Row).decode


class Recorded(NamedTuple):
    """What a verdict was made from, and when. `hops` above 0: it was a loop, and nothing else was looked at."""

    inputs: Inputs
    judged_at: datetime
    hops: int


def packed(inputs: Inputs, now: datetime, hops: int = 0) -> msgspec.Raw:
    """Return the inputs as JSON for `Judged.inputs`; 3 us, and 190 to 350 bytes for a usual message."""
    signal = replace(inputs.signal, spam_count=_NONE.spam_count, seen=_NONE.seen, certainty=_NONE.certainty)
    row: dict[str, object] = {"judged_unix": now.timestamp(), "signal": signal}
    if inputs.state is not UNDECIDED:
        row["state"] = _sparse(inputs.state)
    if not inputs.limit.is_allowed or inputs.limit.due_unix is not None:
        row["limit"] = _sparse(inputs.limit)
    if inputs.group is not None:
        row["group"] = _sparse(inputs.group)
    if inputs.lockdown is not NOT_ASKED:
        row["lockdown"] = _sparse(inputs.lockdown)
    if inputs.foreign_domain:
        row["foreign_domain"] = inputs.foreign_domain
    if inputs.error:
        row["error"] = inputs.error
    if inputs.unchecked:
        row["unchecked"] = inputs.unchecked
    if inputs.stopped:
        row["stopped"] = inputs.stopped
    if inputs.exempt is not None:
        row["exempt"] = _sparse(inputs.exempt)
    if inputs.account.is_suspended:
        row["is_suspended"] = True
    if hops:
        row["hops"] = hops
    return msgspec.Raw(_encode(row))


def unpacked(record: Judged) -> Recorded | None:
    """Return what `packed` was given; None for a refusal before the verdict, or a record of an earlier version.

    Raises msgspec.ValidationError for what was never written by `packed`.
    """
    if bytes(record.inputs) == b"null":
        return None
    row = _decode(record.inputs)
    account, kind, value = record.sender.split("|", 2)
    # a message within all limits met the claim of its end sender, which the record has
    usual = LimitUse(record.hour_used, record.hour_limit, True, row.judged_unix, len(record.recipients))
    inputs = Inputs(
        sender=SenderId(account, kind, value, record.script),
        account=Account(record.account, record.reseller, is_suspended=row.is_suspended),
        state=row.state,
        limit=row.limit or usual,
        signal=replace(
            row.signal, spam_count=record.spam_count, seen=record.spam_seen, certainty=record.spam_certainty
        ),
        score=record.score,
        error=row.error,
        reasons=record.reasons,
        model=record.model,
        group=row.group,
        lockdown=row.lockdown,
        foreign_domain=row.foreign_domain,
        hits=record.hits,
        unchecked=row.unchecked,
        stopped=row.stopped,
        exempt=row.exempt,
    )
    return Recorded(inputs, datetime.fromtimestamp(row.judged_unix, UTC), row.hops)


def _sparse(value: Any) -> Mapping[str, object]:
    """A dataclass without those of its fields that have their defaults."""
    found = ((name, getattr(value, name), default) for name, default in _defaults(value))
    return {name: _sparse(one) if is_dataclass(one) else one for name, one, default in found if one != default}


def _defaults(value: Any) -> Sequence[tuple[str, object]]:
    kind = type(value)
    found = _KNOWN.get(kind)
    if found is None:
        found = _KNOWN[kind] = [(one.name, one.default) for one in fields(kind) if one.name not in _ELSEWHERE]
    return found
