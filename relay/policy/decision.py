"""Decisions: append-only rows, and the standing that is a pure fold of a sender's rows and `now`.

Nodes merge by union of their rows; replay and undo come free. Nothing here keeps state or asks a clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

REINSTATED = timedelta(hours=24)  # spec 2.5

Evidence = dict[str, float | int | str | list[str]]


class Effect(StrEnum):
    """What a decision does to its sender."""

    WATCH = "watch"
    THROTTLE = "throttle"
    HOLD = "hold"
    BLOCK = "block"
    SUSPEND = "suspend"
    RELEASE = "release"
    CONFIRM = "confirm"
    MULTIPLY = "multiply"


class Standing(StrEnum):
    """Where a sender stands, best first (spec 2.5)."""

    OK = "ok"
    NEW = "new"
    WATCH = "watch"
    THROTTLED = "throttled"
    HELD = "held"
    BLOCKED = "blocked"
    SUSPENDED = "suspended"


PARKED = (Standing.HELD, Standing.BLOCKED, Standing.SUSPENDED)  # whose spooled mail does not move

STANDING_OF = {
    Effect.WATCH: Standing.WATCH,
    Effect.THROTTLE: Standing.THROTTLED,
    Effect.HOLD: Standing.HELD,
    Effect.BLOCK: Standing.BLOCKED,
    Effect.SUSPEND: Standing.SUSPENDED,
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A decision before it has a number: what somebody wants to happen to `sender`, and why.

    `value` is the limit multiplier of MULTIPLY. `supersedes` names the decision that this one ends (RELEASE).
    `ends_at` None means until somebody ends it.
    """

    author: str
    account: str
    sender: str
    effect: Effect
    rule: str
    reason: str
    starts_at: datetime
    ends_at: datetime | None = None
    evidence: Evidence = field(default_factory=dict)
    certainty: float | None = None
    value: float | None = None
    supersedes: str = ""
    policy_version: str = ""
    model: str = ""

    @property
    def is_praise(self) -> bool:
        """Tell whether it only names a sender good, and changes no limit: true of most senders."""
        return self.effect is Effect.MULTIPLY and self.value == 1 and self.evidence.get("band") == "good"


@dataclass(frozen=True, slots=True)
class Decision:
    """One row: a proposal with its node and sequence. Never changed, never deleted."""

    node: str
    sequence: int
    proposal: Proposal

    @property
    def id(self) -> str:
        return f"{self.node}-d{self.sequence}"


@dataclass(frozen=True, slots=True)
class State:
    """What a sender's rows amount to at an instant: standing, the decision that made it, the multiplier, and the band
    of the reputation behind that ("": nobody said)."""

    standing: Standing
    decision: Decision | None = None
    multiplier: float = 1.0
    reinstated_at: datetime | None = None
    band: str = ""

    def is_reinstated(self, now: datetime) -> bool:
        """Tell whether a person released the sender within the last 24 h."""
        return self.reinstated_at is not None and now - self.reinstated_at < REINSTATED


UNDECIDED = State(Standing.OK)  # of a sender nobody has decided about


def fold(decisions: Iterable[Decision], now: datetime) -> State:
    """Return a sender's state at `now` from all rows about it.

    A row counts from starts_at until ends_at (a confirmed one without end) and until a RELEASE that supersedes it;
    among those in force the severest standing wins, the youngest of equals. Multiplier and band are those of the
    youngest MULTIPLY in force.
    """
    rows = sorted(decisions, key=lambda row: (row.proposal.starts_at, row.node, row.sequence))
    begun = [row for row in rows if row.proposal.starts_at <= now]
    released = {row.proposal.supersedes for row in begun if row.proposal.effect is Effect.RELEASE}
    confirmed = {row.proposal.supersedes for row in begun if row.proposal.effect is Effect.CONFIRM}
    in_force = [row for row in begun if row.id not in released and (row.id in confirmed or _lasts(row.proposal, now))]
    order = list(Standing)
    standings = [row for row in in_force if row.proposal.effect in STANDING_OF]
    worst = max(standings, key=lambda row: order.index(STANDING_OF[row.proposal.effect]), default=None)
    for row in standings:  # the youngest of equals
        if worst and STANDING_OF[row.proposal.effect] is STANDING_OF[worst.proposal.effect]:
            worst = row
    multiply = next((row.proposal for row in reversed(in_force) if row.proposal.effect is Effect.MULTIPLY), None)
    return State(
        standing=STANDING_OF[worst.proposal.effect] if worst else Standing.OK,
        decision=worst,
        multiplier=1.0 if multiply is None or multiply.value is None else multiply.value,
        band=str(multiply.evidence.get("band", "")) if multiply else "",
        reinstated_at=max(
            (row.proposal.starts_at for row in begun if row.proposal.effect is Effect.RELEASE), default=None
        ),
    )


def _lasts(proposal: Proposal, now: datetime) -> bool:
    return proposal.ends_at is None or now < proposal.ends_at
