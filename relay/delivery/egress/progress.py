"""How far one warm-up plan has come, and what a day of sending does to it (spec 2.10). Pure."""

from typing import Annotated

import msgspec

from relay.policy.triggers.sequential import COMPLAINT_PRIOR, beta_exceeds

_USED = 0.90  # of the stage, or it says nothing about the next one
_MOST_DEFERRED = 0.05
_MOST_BLOCKED = 0.01
# Google: keep below 0.1 %, never reach 0.3 %. One complaint of 200 messages is chance, two are not.
_COMPLAINT_LINE, _SURE = 0.003, 0.9
_BACK_AFTER_BAD_DAYS, _BACK_STAGES = 2, 2
_BACK_AFTER_IDLE = 5


class Progress(msgspec.Struct, array_like=True):
    """One plan: its stage (from 1), and the counts of `day` (days since 1970, UTC).

    `next_unix`: the next message may go then. `before_unix`: what it was before the last one was counted, until that is
    given back. `last` says in words what the last day that counted did.
    """

    stage: Annotated[int, msgspec.Meta(ge=1)] = 1
    day: int = 0
    sent: int = 0
    deferred: int = 0
    blocked: int = 0
    complaints: int = 0
    bad_days: int = 0
    last_sent_unix: float = 0.0
    next_unix: float = 0.0
    before_unix: float | None = None
    last: str = ""


def judge(row: Progress, quota: int) -> Progress:
    """Return the plan after its day: one stage on, the same again, or back; a day without mail changes nothing."""
    if not row.sent:
        return _begun(row, row.stage, row.bad_days, row.last)
    if why := _what_was_bad(row):
        bad_days = row.bad_days + 1
        if bad_days < _BACK_AFTER_BAD_DAYS:
            return _begun(row, row.stage, bad_days, f"repeated: {why}")
        return _begun(row, max(1, row.stage - _BACK_STAGES), 0, f"stepped back: {why} on two days")
    if row.sent < _USED * quota:
        return _begun(row, row.stage, 0, f"stayed: {row.sent} of {quota} used")
    return _begun(row, row.stage + 1, 0, "advanced")


def restarted(row: Progress) -> Progress:
    """Return the plan of an address that was idle too long: providers have forgotten it."""
    return _begun(row, max(1, row.stage - _BACK_AFTER_IDLE), 0, "restarted: idle for more than 30 days")


def _what_was_bad(row: Progress) -> str:
    """In words, or "" for a clean day. Where nobody told of complaints, there were none."""
    if row.deferred >= _MOST_DEFERRED * row.sent:
        return f"{row.deferred} of {row.sent} deferred" if row.deferred else ""
    if row.blocked and row.blocked >= _MOST_BLOCKED * row.sent:
        return f"{row.blocked} of {row.sent} blocked by policy"
    if row.complaints:
        seen = max(row.sent, row.complaints)
        sure = beta_exceeds(_COMPLAINT_LINE, row.complaints, seen, COMPLAINT_PRIOR.bad, COMPLAINT_PRIOR.good)
        if sure >= _SURE:
            return f"{row.complaints} complaints about {row.sent}"
    return ""


def _begun(row: Progress, stage: int, bad_days: int, last: str) -> Progress:
    return Progress(
        stage=stage,
        day=row.day,
        bad_days=bad_days,
        last_sent_unix=row.last_sent_unix,
        next_unix=row.next_unix,
        last=last,
    )
