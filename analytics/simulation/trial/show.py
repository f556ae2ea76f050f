"""Score sheets in the terminal."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from analytics.simulation.trial.summary import Middle, Summary, all_pauses
from analytics.simulation.trial.targets import Finding


def show(console: Console, summaries: Sequence[Summary], found: Sequence[Finding]) -> None:
    """Print what was abused, who else felt it, and which targets are met."""
    attacks = [one for one in summaries if one.is_attack]
    honest = [one for one in summaries if not one.is_attack]
    if attacks:
        console.print(_of_attacks(attacks))
    if honest:
        console.print(_of_honest(honest))
    if found:
        console.print(_of_targets(found))


def _of_attacks(rows: Sequence[Summary]) -> Table:
    table = Table(title="Abuse: median (worst) of the seeds", title_justify="left")
    for name in ("world", "rule", "sent", "delivered before the stop", "to the stop", "delivered in all", "others"):
        table.add_column(name, justify="left" if name in ("world", "rule", "others") else "right")
    for one in rows:
        table.add_row(
            one.world,
            f"{one.regulator}: {_rules(one.rules)}",
            f"{one.sent.median:.0f}",
            _middle(one.before_stop),
            f"{seconds(one.seconds.median)} ({seconds(one.seconds.worst)})",
            _middle(one.delivered),
            f"{one.held_for_others} held for it, {one.refused} refused, p95 {one.p95:.1f} s (calm {one.p95_calm:.1f})",
        )
    return table


def _of_honest(rows: Sequence[Summary]) -> Table:
    table = Table(title="Nobody abuses anything", title_justify="left")
    for name in (
        "world",
        "regulator",
        "messages",
        "held",
        "refused",
        "late",
        "p95",
        "paused",
        "in 1,000 sender-months",
    ):
        table.add_column(name, justify="left" if name in ("world", "regulator") else "right")
    for one in rows:
        table.add_row(
            one.world,
            one.regulator,
            f"{one.messages:,}",
            f"{one.held:,} ({one.misread:,} for their text)",
            f"{one.refused:,}",
            f"{one.late:,}",
            f"{one.p95:.1f} s",
            f"{one.pauses.paused} of {one.pauses.sender_months:.0f} {_rules(one.pause_rules)}".strip(),
            interval(one.pauses.per_thousand),
        )
    for regulator in dict.fromkeys(one.regulator for one in rows):
        whole = all_pauses([one for one in rows if one.regulator == regulator])
        table.add_row(
            "all", regulator, "", "", "", "", "", f"{whole.paused} of {whole.sender_months:.0f}",
            interval(whole.per_thousand), style="bold",
        )  # fmt: skip
    return table


def _of_targets(found: Sequence[Finding]) -> Table:
    table = Table(title="Targets", title_justify="left")
    for name in ("world", "what", "figure", "at most", ""):
        table.add_column(name, justify="right" if name in ("figure", "at most") else "left")
    for one in found:
        if one.most > 0 or not one.is_met:
            word = "met" if one.is_met else "missed"
            style = "" if one.is_met else "bold red"
            table.add_row(one.world, one.what, f"{one.figure:g}", f"{one.most:g}", word, style=style)
    return table


def interval(figures: tuple[float, float, float]) -> str:
    """Write an estimate with its bounds.

    >>> interval((0.5, 0.1, 1.2))
    '0.5 [0.1-1.2]'
    """
    return f"{figures[0]:.3g} [{figures[1]:.2g}-{figures[2]:.2g}]"


def seconds(value: float) -> str:
    """Write a time for a reader.

    >>> seconds(7.5), seconds(780), seconds(87_000), seconds(float("inf"))
    ('7.5 s', '13 min', '24 h', 'never')
    """
    if math.isinf(value):
        return "never"
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.0f} min" if value < 7_200 else f"{value / 3_600:.0f} h"


def _middle(value: Middle) -> str:
    return f"{value.median:g} ({value.worst:g})"


def _rules(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} x{count}" if count > 1 else name for name, count in ordered)
