"""The containment tables as Markdown."""

import math
from collections.abc import Iterator, Sequence

from analytics.simulation.trial.show import interval, seconds
from analytics.simulation.trial.summary import Middle, Summary, all_pauses
from analytics.simulation.trial.targets import findings

OURS = "mailweir"


def tables(summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield the lines of all tables."""
    ours = [one for one in summaries if one.regulator == OURS]
    attacks = [one for one in ours if one.is_attack]
    yield from _containment(attacks)
    yield from _side_by_side(attacks, summaries)
    yield from _honest([one for one in ours if not one.is_attack])
    yield from _targets(ours)


def _containment(rows: Sequence[Summary]) -> Iterator[str]:
    yield (
        "| attack | sent | delivered before the stop, median (worst) | time to the stop | what stopped it | "
        "delivered in all, nobody looking |"
    )
    yield "|---|---|---|---|---|---|"
    for one in rows:
        rules = ", ".join(f"{name} {count}" for name, count in sorted(one.rules.items(), key=lambda pair: -pair[1]))
        yield (
            f"| {one.world} | {one.sent.median:.0f} | {_middle(one.before_stop)} | {_time(one)} | {rules} | "
            f"{_middle(one.delivered)} |"
        )
    yield ""


def _side_by_side(attacks: Sequence[Summary], every: Sequence[Summary]) -> Iterator[str]:
    names = list(dict.fromkeys(one.regulator for one in every if one.is_attack))
    yield f"| delivered in all, median (worst) | {' | '.join(names)} |"
    yield "|---" * (len(names) + 1) + "|"
    for row in attacks:
        found = {one.regulator: one for one in every if one.world == row.world}
        cells = [_middle(found[name].delivered) if name in found else "" for name in names]
        yield f"| {row.world} | {' | '.join(cells)} |"
    yield ""


def _honest(rows: Sequence[Summary]) -> Iterator[str]:
    yield (
        "| nobody abuses anything | messages | held for their text | refused | late | p95 | senders stopped | "
        "in 1,000 sender-months [95 %] |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for one in rows:
        pauses = one.pauses
        rules = ", ".join(one.pause_rules)
        yield (
            f"| {one.world} | {one.messages:,} | {one.misread:,} | {one.refused:,} | {one.late:,} | {one.p95:.1f} s | "
            f"{pauses.paused} of {pauses.sender_months:.0f}{f' ({rules})' if rules else ''} | "
            f"{interval(pauses.per_thousand)} |"
        )
    if rows:
        whole = all_pauses(rows)
        yield (
            f"| all | {sum(one.messages for one in rows):,} | | | | | {whole.paused} of {whole.sender_months:.0f} | "
            f"{interval(whole.per_thousand)} |"
        )
    yield ""


def _targets(rows: Sequence[Summary]) -> Iterator[str]:
    yield "| world | target | figure | at most | |"
    yield "|---|---|---|---|---|"
    for one in findings(rows):
        if one.most or not one.is_met:
            word = "met" if one.is_met else "**missed**"
            yield f"| {one.world} | {one.what} | {one.figure:g} | {one.most:g} | {word} |"


def _middle(value: Middle) -> str:
    return f"{value.median:g} ({value.worst:g})"


def _time(one: Summary) -> str:
    if math.isinf(one.seconds.worst) and one.stopped_seeds:
        return f"{seconds(one.seconds.median)} ({one.stopped_seeds} of {one.seeds})"
    return f"{seconds(one.seconds.median)} ({seconds(one.seconds.worst)})"
