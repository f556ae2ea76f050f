"""A decision in words: the one text for the SMTP reply, the command line, notices, the dashboard and the webhook."""

import shlex
from datetime import datetime

from relay.policy.decisions.decision import Decision, Effect, Proposal
from relay.policy.triggers.sequential import percent
from relay.tree import is_group

_WHAT = {
    Effect.WATCH: "watched",
    Effect.THROTTLE: "throttled",
    Effect.HOLD: "held",
    Effect.BLOCK: "blocked",
    Effect.SUSPEND: "suspended",
    Effect.RELEASE: "released",
    Effect.CONFIRM: "confirmed as an abuser",
    Effect.MULTIPLY: "limited",
    Effect.EXEMPT: "exempt from automatic stops",
}


def sentence(decision: Decision, now: datetime) -> str:
    """Say who, what, since, until, because, how sure, by whom, and how to undo it."""
    return f"{facts(decision, now)} Undo: {line}" if (line := undo(decision)) else facts(decision, now)


def facts(decision: Decision, now: datetime) -> str:
    """Say the same without the command that undoes it: for the sender, who could not run it."""
    return facts_of(decision.proposal, now, f", decision {decision.id} by {decision.proposal.author}")


def facts_of(row: Proposal, now: datetime, which: str = "") -> str:
    """Say it of a decision that is about to be made."""
    what = _WHAT[row.effect] if row.value is None else f"{_WHAT[row.effect]} to x {row.value:g}"
    is_over = row.ends_at is not None and row.ends_at <= now
    if is_group(row.sender):
        who, tense = f"New senders of account {row.account} (in their first 24 h)", "were" if is_over else "are"
    else:
        who, tense = f"Sender {row.sender}", "was" if is_over else "is"
    return (
        f"{who} {tense} {what} since {when(row.starts_at)}{_until(row, is_over=is_over)}, "
        f"because {row.reason}{_sure(row.reason, row.certainty)} "
        f"(rule {row.rule}{which}). Nobody else is touched."
    )


def ends_sooner(row: Proposal) -> str:
    """Say what ends a decision before its time, beside a person; "" where nothing else does.

    The one place for it: whatever takes a decision back by itself (ladder.py, analytics) has its line here.
    """
    if row.ends_at is None or is_group(row.sender):  # confirmed, or the newcomers': a person's
        return ""
    match row.effect:
        case Effect.HOLD if row.is_automatic:
            return "enough clean mail within an hour"
        case Effect.MULTIPLY if not row.is_automatic:
            return "another reputation"
        case _:
            return ""


def undo(decision: Decision) -> str:
    """Return the command that ends this decision; "" for one that has nothing to end."""
    row = decision.proposal
    match row.effect:
        case Effect.RELEASE | Effect.CONFIRM:
            return ""
        case Effect.HOLD:
            return f"mailweir held release --sender {shlex.quote(row.sender)}"
        case _:
            return f"mailweir sender release {shlex.quote(row.sender)}"


def when(instant: datetime) -> str:
    """Write an instant for a reader anywhere: UTC, to the minute."""
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _until(row: Proposal, *, is_over: bool) -> str:
    if row.ends_at is not None:
        sooner = ends_sooner(row)
        return f" until {when(row.ends_at)}{f', sooner by {sooner}' if sooner and not is_over else ''}"
    return "" if row.effect in (Effect.RELEASE, Effect.CONFIRM) else " until a person releases it"


def _sure(reason: str, certainty: float | None) -> str:
    # a trigger's reason already says what it is sure of
    return "" if certainty is None or " sure " in reason else f", {percent(certainty)} sure"
