"""What a simulated month shows: a row by day, source and provider, and whatever went other than promised."""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from analytics.simulation.timelapse import LoopClock
from bench.days_half import SOURCES, Half
from relay.delivery.egress.plan import Plan
from relay.delivery.egress.warmup import PlanState, per_hour
from tests.personas import DAY, HOUR, Book

_SAMPLE_SECONDS = HOUR
_BEFORE_MIDNIGHT = 20.0


@dataclass(slots=True)
class Row:
    """One source at one provider on one day, counted from 1. quota 0: no plan holds it back. `sent`: MAIL commands that
    receivers heard, `refused`: those answered 4yz or 5yz. resting, degraded: hours of the day. `last`: what the plan
    says of the day before."""

    day: int
    source: str
    provider: str
    stage: int = 0
    quota: int = 0
    sent: int = 0
    refused: int = 0
    deferred: int = 0
    resting: int = 0
    degraded: int = 0
    last: str = ""


@dataclass(slots=True)
class Figures:
    """The result. `problems` must be empty; duplicates are those of the receiver that drops the line after the dot."""

    days: int
    recipients: int
    ended: dict[str, int]
    deferrals: dict[str, int]
    duplicates: int
    lost: int
    longest_hours: float
    refusals: dict[str, int]
    most_open: dict[str, int]
    rests: list[str]
    stages: dict[str, int]
    problems: list[str]
    rows: list[Row] = field(repr=False, default_factory=list)
    real_seconds: float = 0.0
    jumps: int = 0

    def table(self) -> str:
        """For a terminal: plan and actual of each day for the addresses being warmed up, and the sums."""
        lines = ["day source  " + "".join(f"{name:>24}" for name in _plans(self.rows))]
        by_key = {(row.day, row.source, row.provider): row for row in self.rows}
        for day in range(1, self.days + 1):
            for source in SOURCES:
                cells = [_cell(by_key.get((day, source.name, name))) for name in _plans(self.rows)]
                lines.append(f"{day:3} {source.name:7} " + "".join(f"{cell:>24}" for cell in cells))
        for name in ("recipients", "ended", "duplicates", "lost", "longest_hours", "deferrals", "refusals"):
            lines.append(f"{name}: {getattr(self, name)}")
        for name in ("most_open", "stages", "real_seconds", "jumps"):
            lines.append(f"{name}: {getattr(self, name)}")
        return "\n".join([*lines, *self.rests, *(f"PROBLEM {problem}" for problem in self.problems)])


class Watch:
    """Looks each hour, and before midnight, at how the plans stand and who rests."""

    def __init__(self, half: Half, clock: LoopClock, days: int) -> None:
        self._half, self._clock, self._days = half, clock, days
        self.plans: dict[tuple[int, str, str], PlanState] = {}
        self.troubles: Counter[tuple[int, str, str, str]] = Counter()
        self.rests: dict[tuple[str, str, float], float] = {}

    async def run(self) -> None:
        start = self._clock.unix()
        for hour in range(1, 24 * (self._days + 3)):
            await self._clock.sleep(start + hour * _SAMPLE_SECONDS - _BEFORE_MIDNIGHT - self._clock.unix())
            self._look()

    def _look(self) -> None:
        now, egress = self._clock.unix(), self._half.egress
        day = int(now // DAY)
        for source in SOURCES:
            for provider in egress.warmup.plan.shares if source.is_warming else ():
                self.plans[day, source.name, provider] = egress.warmup.state(source.name, provider, now)
        for trouble in egress.ip_states.troubles(now):
            self.troubles[day, trouble.source, trouble.destination, trouble.kind] += 1
            if trouble.kind == "resting":
                self.rests.setdefault((trouble.source, trouble.destination, trouble.until_unix), now)


def judged(days: int, half: Half, book: Book, watch: Watch, plan: Plan) -> Figures:
    """Compare what receivers saw with what was planned and promised."""
    ends = Counter(end for found in half.ended.values() for end in found)
    lost = sum(found == ["Delivery"] and not book.taken[key] for key, found in half.ended.items())
    rows = _rows(days, book, watch, plan)
    problems = [f"{count} x {fault}" for fault, count in book.faults.items()]
    problems += _plan_faults(book, watch, plan)
    problems += [f"{count} times more than an address had shown: {told}" for told, count in _over(book)]
    if lost:
        problems.append(f"{lost} reported as delivered, and nobody has them")
    if half.blamed:
        problems.append(f"{half.blamed} bounced because an address of ours was blocked, and others were not")
    if open_ends := sum(len(found) != 1 for found in half.ended.values()):
        problems.append(f"{open_ends} recipients did not end once")
    last_day = max((key[0] for key in watch.plans), default=0)
    return Figures(
        days=days,
        recipients=len(half.ended),
        ended=dict(ends),
        deferrals=dict(half.deferrals.most_common(20)),
        duplicates=sum(count - 1 for count in book.taken.values() if count > 1),
        lost=lost,
        longest_hours=round(half.longest_seconds / HOUR, 1),
        refusals=dict(book.told),
        most_open=dict(book.most_open),
        rests=[_rest(*key, since) for key, since in watch.rests.items()],
        stages={f"{key[1]} {key[2]}": state.stage for key, state in watch.plans.items() if key[0] == last_day},
        problems=problems,
        rows=rows,
    )


def _over(book: Book) -> Iterator[tuple[str, int]]:
    return ((told, count) for told, count in book.told.items() if "too much from" in told)


def _rest(source: str, destination: str, until_unix: float, seen_unix: float) -> str:
    seen_hour = seen_unix % DAY / HOUR
    left = (until_unix - seen_unix) / HOUR
    return f"{source} rests at {destination}: at {seen_hour:.0f} h UTC for {left:.1f} h more"


def _rows(days: int, book: Book, watch: Watch, plan: Plan) -> list[Row]:
    names = {source.address: source.name for source in SOURCES}
    first_day = min((int(times[0] // DAY) for times in book.mails.values()), default=0)
    rows: dict[tuple[int, str, str], Row] = {}

    def row(day: int, source: str, destination: str) -> Row:
        key = day - first_day + 1, source, plan.provider_of(destination)
        return rows.setdefault(key, Row(*key))

    for (day, source, provider), state in watch.plans.items():
        one = row(day, source, provider)
        one.stage, one.quota, one.deferred, one.last = state.stage, state.quota, state.deferred, state.last
        one.quota = 0 if state.is_warm else state.quota
    for (address, destination), times in book.mails.items():
        for day, count in Counter(int(at // DAY) for at in times).items():
            row(day, names[address], destination).sent += count
    for (day, address, destination), count in book.refused.items():
        row(day, names[address], destination).refused += count
    for (day, source, destination, kind), hours in watch.troubles.items():
        one = row(day, source, destination)
        setattr(one, kind, getattr(one, kind) + hours)
    return [rows[key] for key in sorted(rows) if key[0] <= days + 3]


def _plan_faults(book: Book, watch: Watch, plan: Plan) -> list[str]:
    """Where more went than a plan's day or hour allows."""
    names = {source.address: source.name for source in SOURCES if source.is_warming}
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (address, destination), found in book.mails.items():
        if address in names:
            times[names[address], plan.provider_of(destination)] += found
    faults = []
    for (source, provider), found in times.items():
        found.sort()
        quotas = {day: _quota(watch, day, source, provider) for day in {int(at // DAY) for at in found}}
        for day, quota in quotas.items():
            count = bisect_left(found, (day + 1) * DAY) - bisect_left(found, day * DAY)
            if count > quota:
                faults.append(f"{source} sent {count} to {provider} on a day with a quota of {quota:.0f}")
        faults += _hours_over(source, provider, found, quotas)
    return faults


def _hours_over(source: str, provider: str, times: Sequence[float], quotas: dict[int, float]) -> Iterator[str]:
    for place, at in enumerate(times):
        count = place + 1 - bisect_left(times, at - HOUR + 1e-3)
        quota = max(quotas[int(at // DAY)], quotas.get(int((at - HOUR) // DAY), 0.0))
        if quota < math.inf and count > per_hour(int(quota)):
            yield f"{source} sent {count} to {provider} in an hour of a day with a quota of {quota:.0f}"


def _quota(watch: Watch, day: int, source: str, provider: str) -> float:
    state = watch.plans.get((day, source, provider))
    return math.inf if state is None or state.is_warm else state.quota


def _plans(rows: Sequence[Row]) -> list[str]:
    return sorted({row.provider for row in rows})


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    marks = f" {row.resting}r" * bool(row.resting) + f" {row.degraded}d" * bool(row.degraded)
    plan = f"/{row.quota} s{row.stage}" if row.quota else ""
    return f"{row.sent}{plan}{f' -{row.refused}' * bool(row.refused)}{marks}"
