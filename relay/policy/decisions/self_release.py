"""May an account's contact release a sender himself? Rules of spec 2.5, on the sender's decisions alone.

Pure. What a customer's link ends, the relay has decided from numbers; what a person decided, a person ends.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from relay.policy.decisions.decision import AUTOMATIC, Decision, Effect
from relay.tree import is_group

AUTHOR = "link:"  # of a release by link; the contact's address follows
RELAPSE = timedelta(hours=24)
RELAPSES_MAX = 3  # spec 2.5: then the link is off for this sender, until a person has released it

_MACHINES = (AUTOMATIC, "analytics")  # authors of decisions that nobody took by hand
_STOPS = (Effect.HOLD, Effect.BLOCK, Effect.THROTTLE)
_SEVERE = (*_STOPS, Effect.SUSPEND)


class Hindrance(StrEnum):
    """Why a link does not release."""

    OFF = "off"
    OVER = "over"
    SUSPENDED = "suspended"
    BY_HAND = "by-hand"
    GROUP = "group"
    RELAPSED = "relapsed"
    MALWARE = "malware"


def is_stop(decision: Decision) -> bool:
    """Tell whether people should hear of a decision: it stops its sender, or slows it."""
    return decision.proposal.effect in _SEVERE


def is_by_machine(decision: Decision) -> bool:
    """Tell whether the relay or analytics decided, and no person."""
    return decision.proposal.author in _MACHINES and decision.proposal.rule != "by-hand"


def hindrance(
    decision: Decision, in_force: Sequence[Decision], rows: Iterable[Decision], *, is_confirmed: bool
) -> Hindrance | None:
    """Return why this decision's link does not release, None when it does.

    `in_force` are the sender's rows that count now, `rows` all of them; is_confirmed: a person said that one is right.
    """
    stops = [row for row in in_force if is_stop(row)]
    if decision.id not in {row.id for row in stops}:
        return Hindrance.OVER
    if any(row.proposal.effect is Effect.SUSPEND for row in stops):
        return Hindrance.SUSPENDED
    if is_group(decision.proposal.sender):
        return Hindrance.GROUP
    if is_confirmed or not all(is_by_machine(row) for row in stops):
        return Hindrance.BY_HAND
    return Hindrance.RELAPSED if relapses(rows) >= RELAPSES_MAX else None


def relapses(rows: Iterable[Decision]) -> int:
    """Count the releases by link that were followed by a stop within RELAPSE, since a person last released."""
    ordered = sorted(rows, key=lambda row: (row.proposal.starts_at, row.node, row.sequence))
    count, released_at = 0, None
    for row in ordered:
        proposal = row.proposal
        if proposal.effect is Effect.RELEASE and proposal.author.startswith(AUTHOR):
            released_at = proposal.starts_at  # one release ends several decisions: a row each, at the same time
        elif proposal.effect is Effect.RELEASE and proposal.author not in _MACHINES:
            count, released_at = 0, None
        elif is_stop(row) and released_at is not None:
            count += _is_within(released_at, proposal.starts_at)
            released_at = None
    return count


def _is_within(released_at: datetime, stopped_at: datetime) -> bool:
    return stopped_at - released_at <= RELAPSE
