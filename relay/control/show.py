"""How the command line prints: tables for people, JSON for programs. Must never print raw what a mail says."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import click
import msgspec
from rich.console import Console
from rich.table import Table

from relay.control.views import DecisionView, SenderView

_PIPE_WIDTH = 200


def as_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print rows below their column names, or say `empty`."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*(clean(cell) for cell in row))
    if not grid.row_count:
        click.echo(empty)
        return
    Console(markup=False, emoji=False, highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(grid)


def clean(value: object) -> str:
    """Text fit for a terminal: no control characters, instants to the second in UTC."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in str(value))


def decisions(views: Sequence[DecisionView]) -> None:
    table(
        ("decision", "since (UTC)", "until", "effect", "rule", "by", "held", "reason"),
        (
            (
                view.id,
                view.starts_at,
                view.ends_at or "released",
                view.effect.value,
                view.rule,
                view.author,
                view.held,
                view.reason,
            )
            for view in views
        ),
        "no decisions",
    )


def sender(view: SenderView) -> None:
    click.echo(f"{clean(view.sender)}: {view.standing}, {view.held} held, limit x {view.multiplier:g}")
    if view.watched_until:
        click.echo(f"watched until {clean(view.watched_until)} UTC, stopped for longer if it relapses")
    if view.blocks:
        click.echo(f"blocked {view.blocks} times in 7 days")
    if view.exempt:
        click.echo(clean(view.exempt.sentence))
    decisions(view.decisions)


def why(view: DecisionView) -> None:
    """A decision with everything it rests on."""
    click.echo(clean(view.sentence))
    rows: list[tuple[str, object]] = [
        *((f"evidence {name}", _joined(found)) for name, found in sorted(view.evidence.items())),
        ("certainty", view.certainty),
        ("ends at", view.ends_at or ("when a person ends it" if view.is_open else None)),
        ("ends sooner by", view.ends_sooner or None),
        ("undo", view.undo or None),
        ("multiplier", view.value),
        ("policy", view.policy_version or None),
        ("model", view.model or None),
        ("confirmed by", view.confirmed_by or None),
        ("held messages", view.held),
    ]
    table(("what", "value"), ((name, found) for name, found in rows if found is not None), "")


def _joined(found: object) -> object:
    return ", ".join(found) if isinstance(found, list) else found
