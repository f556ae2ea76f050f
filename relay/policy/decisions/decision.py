"""Decisions: append-only rows, and the standing that is a pure fold of a sender's rows and `now`.

Nodes merge by union of their rows; replay and undo come free. Nothing here keeps state or asks a clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

REINSTATED = timedelta(hours=24)  # spec 2.5
AFTERMATH = timedelta(hours=24)  # watched this long after a stop that ended by itself
RELAPSES = timedelta(days=7)  # in which temporary blocks are counted (spec 2.5)
RETURN_HALF_LIFE = timedelta(hours=6)  # in which a reduced limit comes half of the way back (spec 2.3)
WATCHED_FACTOR = 0.25  # of the limits, right after a stop that ended by itself, and while throttled (spec 2.5)

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
    EXEMPT = "exempt"


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

PARKING = frozenset({Effect.HOLD, Effect.BLOCK, Effect.SUSPEND})  # what is spooled is parked too (spec 2.5)
STOPPING = (Effect.HOLD, Effect.BLOCK)  # they end by themselves, and are followed by a time of watching
AUTOMATIC = "relay"  # the author of what the relay decides by itself

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
    def is_automatic(self) -> bool:
        """Tell whether the relay decided it by itself."""
        return self.author == AUTOMATIC

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
    of the reputation behind that ("": nobody said).

    `reinstated_at`: when a person last released it. `watched_from`: when a stop ended by itself, within the last
    AFTERMATH; `decision` is that stop then, unless a worse one is in force. `blocks` counts temporary blocks of
    RELAPSES. `exempt`: a person forbade automatic stops.
    """

    standing: Standing
    decision: Decision | None = None
    multiplier: float = 1.0
    reinstated_at: datetime | None = None
    band: str = ""
    watched_from: datetime | None = None
    blocks: int = 0
    exempt: Decision | None = None

    def is_reinstated(self, now: datetime) -> bool:
        """Tell whether a person released the sender within the last 24 h."""
        return self.reinstated_at is not None and now - self.reinstated_at < REINSTATED


UNDECIDED = State(Standing.OK)  # of a sender nobody has decided about


def fold(decisions: Iterable[Decision], now: datetime) -> State:
    """Return a sender's state at `now` from all rows about it.

    A row counts from starts_at until ends_at (a confirmed one without end) and until a RELEASE that supersedes it;
    among those in force the severest standing wins, the youngest of equals. A stop that ended by itself leaves its
    sender watched, with limits that return with time. Band and multiplier are those of the youngest MULTIPLY in force.
    """
    rows = _Rows.at(decisions, now)
    worst = rows.worst()
    stop, ended_at = rows.last_ended_by_itself()
    is_watched = stop is not None and (worst is None or worst.proposal.effect is Effect.WATCH)
    multiply = next((row.proposal for row in reversed(rows.in_force) if row.proposal.effect is Effect.MULTIPLY), None)
    return State(
        standing=Standing.WATCH if is_watched else STANDING_OF[worst.proposal.effect] if worst else Standing.OK,
        decision=stop if is_watched else worst,
        multiplier=rows.multiplier(ended_at),
        band=str(multiply.evidence.get("band", "")) if multiply else "",
        reinstated_at=max((row.proposal.starts_at for row in rows.releases), default=None),
        watched_from=ended_at,
        blocks=rows.blocks(),
        exempt=next((row for row in reversed(rows.in_force) if row.proposal.effect is Effect.EXEMPT), None),
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """A sender's rows at an instant, oldest first: those in force, and those that ended, with when."""

    now: datetime
    in_force: list[Decision]
    ended: list[tuple[Decision, datetime]]
    releases: list[Decision]
    by_person: frozenset[str]

    @classmethod
    def at(cls, decisions: Iterable[Decision], now: datetime) -> "_Rows":
        rows = sorted(decisions, key=lambda row: (row.proposal.starts_at, row.node, row.sequence))
        begun = [row for row in rows if row.proposal.starts_at <= now]
        answers = {row.proposal.supersedes: row for row in begun if row.proposal.effect is Effect.RELEASE}
        confirmed = {row.proposal.supersedes for row in begun if row.proposal.effect is Effect.CONFIRM}
        in_force, ended = [], []
        for row in begun:
            ends_at = None if row.id in confirmed else row.proposal.ends_at
            if row.id in answers:
                released_at = answers[row.id].proposal.starts_at
                ends_at = released_at if ends_at is None else min(ends_at, released_at)
            if ends_at is not None and ends_at <= now:
                ended.append((row, ends_at))
            else:
                in_force.append(row)
        people = [row for row in answers.values() if not row.proposal.is_automatic]
        return cls(now, in_force, ended, people, frozenset(row.proposal.supersedes for row in people))

    def worst(self) -> Decision | None:
        order = list(STANDING_OF)
        found: Decision | None = None
        for row in self.in_force:
            effect = row.proposal.effect
            if effect in STANDING_OF and (
                found is None or order.index(effect) >= order.index(found.proposal.effect)
            ):  # the youngest of equals
                found = row
        return found

    def last_ended_by_itself(self) -> tuple[Decision | None, datetime | None]:
        """The last hold or block that time, or clean traffic, ended within AFTERMATH, unless a person has spoken."""
        since = max((row.proposal.starts_at for row in self.releases), default=self.now - AFTERMATH)
        since = max(since, self.now - AFTERMATH)
        stops = [
            (row, ended_at)
            for row, ended_at in self.ended
            if row.proposal.effect in STOPPING and row.id not in self.by_person and ended_at > since
        ]
        return max(stops, key=lambda stop: stop[1], default=(None, None))

    def blocks(self) -> int:
        """Temporary blocks of the last RELAPSES that nobody took back."""
        every = [*self.in_force, *(row for row, _ in self.ended if row.id not in self.by_person)]
        since = self.now - RELAPSES
        return sum(row.proposal.effect is Effect.BLOCK and row.proposal.starts_at > since for row in every)

    def multiplier(self, watched_from: datetime | None) -> float:
        """What reputation says, times the deeper of throttle and aftermath; all of them return with time."""
        throttles = [row.proposal.value for row in self.in_force if row.proposal.effect is Effect.THROTTLE]
        factors = [WATCHED_FACTOR if value is None else value for value in throttles]
        for row, ended_at in self.ended:
            if row.proposal.effect is Effect.THROTTLE and row.id not in self.by_person:
                factors.append(self._returned(row.proposal.value or WATCHED_FACTOR, ended_at))
        if watched_from is not None:
            factors.append(self._returned(WATCHED_FACTOR, watched_from))
        return self._of_reputation() * min(factors, default=1.0)

    def _of_reputation(self) -> float:
        for row in reversed(self.in_force):
            if row.proposal.effect is Effect.MULTIPLY:
                return 1.0 if row.proposal.value is None else row.proposal.value
        last = [pair for pair in self.ended if pair[0].proposal.effect is Effect.MULTIPLY]
        if not last or last[-1][0].id in self.by_person:
            return 1.0
        row, ended_at = last[-1]
        return self._returned(row.proposal.value or 1.0, ended_at)

    def _returned(self, factor: float, since: datetime) -> float:
        """A factor that has been on its way back to 1 since then; after a day it is there."""
        age = self.now - since
        if age >= AFTERMATH:
            return 1.0
        rest: float = 0.5 ** (age / RETURN_HALF_LIFE)
        return round(1.0 - (1.0 - factor) * rest, 3)
