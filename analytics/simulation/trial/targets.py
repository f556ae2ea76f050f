"""What a simulation should show, and whether it does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from analytics.simulation.trial.summary import Summary, all_pauses

_Reads = Callable[[Summary], float]


@dataclass(frozen=True, slots=True)
class Finding:
    """One target: what it is about, the figure, and the most that it may be."""

    world: str
    what: str
    figure: float
    most: float

    @property
    def is_met(self) -> bool:
        return self.figure <= self.most


_TARGETS: dict[str, Sequence[tuple[str, _Reads, float]]] = {
    "hacked-plugin": (
        ("delivered before the stop, median", lambda one: one.before_stop.median, 8),
        ("delivered before the stop, worst seed", lambda one: one.before_stop.worst, 20),
    ),
    "hijacked-mailbox": (("delivered before the stop, worst seed", lambda one: one.before_stop.worst, 30),),
    "credential-test": (("delivered in all, worst seed", lambda one: one.delivered.worst, 3),),
    "bought-list": (("hard bounces before the stop, worst seed", lambda one: one.bounces.worst, 40),),
    "complaints": (("messages to the completing complaint, median", lambda one: one.completing.median, 300),),
}


def findings(summaries: Sequence[Summary]) -> Iterator[Finding]:
    """Judge the summaries of our own policy."""
    for one in summaries:
        for what, reads, most in _TARGETS.get(one.world, ()):
            yield Finding(one.world, what, reads(one), most)
        if one.is_attack:
            slack = max(1.1 * one.p95_calm, one.p95_calm + 1.0)
            yield Finding(one.world, "p95 delay of others, seconds", round(one.p95, 2), round(slack, 2))
        yield Finding(one.world, "innocent messages refused", one.refused, 0)
        yield Finding(one.world, "innocent messages held for somebody else", one.held_for_others, 0)
    honest = [one for one in summaries if not one.is_attack]
    if honest:
        upper = all_pauses(honest).per_thousand[2]
        yield Finding("all honest", "wrong pauses in 1,000 sender-months, upper bound", round(upper, 2), 1.0)
