"""Many seeds of one world under one regulator: medians, worst seeds, and intervals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scipy.stats import binomtest

from analytics.simulation.trial.sheet import Sheet


@dataclass(frozen=True, slots=True)
class Middle:
    """Median and worst of the seeds."""

    median: float
    worst: float


@dataclass(frozen=True, slots=True)
class Pauses:
    """Honest senders stopped, each once a seed, in sender-months; per 1,000, with the exact 95 % interval
    (Clopper and Pearson 1934)."""

    paused: int
    sender_months: float

    @property
    def per_thousand(self) -> tuple[float, float, float]:
        """Estimate, lower and upper bound."""
        trials = max(int(self.sender_months), self.paused, 1)
        interval = binomtest(self.paused, trials).proportion_ci(0.95, method="exact")
        return 1e3 * self.paused / trials, 1e3 * interval.low, 1e3 * interval.high


@dataclass(frozen=True, slots=True)
class Summary:
    """`seconds`: time to stop, worst infinite where a seed ended without; `p95_calm`: of the world without the attack.

    `completing` is over the seeds that a complaint stopped. Innocent counts are sums over the seeds.
    """

    world: str
    regulator: str
    is_attack: bool
    seeds: int
    sent: Middle
    accepted: Middle
    before_stop: Middle
    delivered: Middle
    bounces: Middle
    completing: Middle
    seconds: Middle
    stopped_seeds: int
    rules: dict[str, int]
    messages: int
    held: int
    held_for_others: int
    misread: int
    refused: int
    late: int
    slowed: int
    p95: float
    p95_calm: float
    pauses: Pauses
    pause_rules: dict[str, int]


def summed(sheets: Sequence[Sheet], calm: Sequence[Sheet], *, is_attack: bool) -> Summary:
    """Sum up the seeds of a world. `calm`: the same without the attack, or nothing."""
    abuse, innocent = [sheet.abuse for sheet in sheets], [sheet.innocent for sheet in sheets]
    never = float("inf")
    p95s = [one.p95_seconds for one in innocent]
    rules = Counter[str]()
    for sheet in sheets:
        rules.update(sheet.pauses)
    return Summary(
        world=sheets[0].world,
        regulator=sheets[0].regulator,
        is_attack=is_attack,
        seeds=len(sheets),
        sent=_middle([one.sent for one in abuse]),
        accepted=_middle([one.accepted for one in abuse]),
        before_stop=_middle([one.before_stop for one in abuse]),
        delivered=_middle([one.delivered for one in abuse]),
        bounces=_middle([one.bounces for one in abuse]),
        completing=_middle([one.completing for one in abuse if one.completing]),
        seconds=_middle([never if one.seconds is None else one.seconds for one in abuse]),
        stopped_seeds=sum(one.seconds is not None for one in abuse),
        rules=dict(Counter(one.rule or "never" for one in abuse)) if is_attack else {},
        messages=sum(one.sent for one in innocent),
        held=sum(one.held for one in innocent),
        held_for_others=sum(one.held_for_others for one in innocent),
        misread=sum(one.misread for one in innocent),
        refused=sum(one.refused for one in innocent),
        late=sum(one.late for one in innocent),
        slowed=sum(one.slowed for one in innocent),
        p95=median(p95s),
        p95_calm=median([sheet.innocent.p95_seconds for sheet in calm] or p95s),
        pauses=Pauses(sum(one.paused for one in innocent), sum(one.sender_months for one in innocent)),
        pause_rules=dict(rules),
    )


def all_pauses(summaries: Sequence[Summary]) -> Pauses:
    """The pauses of several worlds together."""
    return Pauses(sum(one.pauses.paused for one in summaries), sum(one.pauses.sender_months for one in summaries))


def _middle(values: Sequence[float]) -> Middle:
    return Middle(median(values), max(values)) if values else Middle(0.0, 0.0)
