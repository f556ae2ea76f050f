"""The command `reputation`: whose it is how good, and why."""

from typing import Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option

KINDS = ("sender", "account", "ip", "from_domain", "url_domain", "pool", "ip_provider")
_BANDS = ("good", "fair", "poor", "bad", "unknown")
_NAMES = {
    "spam": "messages scored as spam",
    "hard_bounce": "hard bounces",
    "complaint": "complaints",
    "block": "refusals by destinations",
    "listing": "DNS listings",
}


@click.group()
def reputation() -> None:
    """How good senders, accounts, domains, addresses and pools are: ls, show."""


@reputation.command("ls")
@click.option("--kind", type=click.Choice(KINDS), default="sender", show_default=True)
@click.option("--band", type=click.Choice(_BANDS), help="Only these.")
@click.option("--search", default="", help="Only names with this in them.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@as_json_option
@click.pass_obj
def reputation_ls(context: Context, kind: str, band: str | None, search: str, limit: int, as_json: bool) -> None:
    """List reputations, the worst first; those too little is known of come last."""
    from analytics.client import QueryClient
    from relay.control import show

    given = {"entity_kind": kind, "band": band or "", "search": search, "limit": limit}
    with QueryClient.of(context.settings(), "admin") as client:
        rows = client.table("reputations", **given).to_pylist()
    if as_json:
        show.as_json(rows)
        return
    show.table(
        (kind, "band", "score", "90 %", "n", *(["account"] if kind == "from_domain" else [])),
        [
            (row["entity"], row["band"], *_score(row), *([row["account"]] if kind == "from_domain" else []))
            for row in rows
        ],
        "nobody yet: reputation is computed from what was delivered; `mailweir jobs ls` says when it ran",
    )


@reputation.command("show")
@click.argument("entity")
@click.option("--kind", type=click.Choice(KINDS), default=None, help="Where one name is several things.")
@as_json_option
@click.pass_obj
def reputation_show(context: Context, entity: str, kind: str | None, as_json: bool) -> int:
    """Show a reputation, and what each signal cost: counts, rate with its 90 % interval, points.

    ENTITY is a sender, account, address, domain, pool or ADDRESS|DESTINATION. Exit code 1 when nothing is known of it.
    """
    from analytics.client import QueryClient
    from relay.control import show

    with QueryClient.of(context.settings(), "admin") as client:
        found = client.table("reputations", entity=entity, entity_kind=kind or "").to_pylist()
        signals = client.table("reputation_signals", entity=entity, entity_kind=kind or "").to_pylist()
    if as_json:
        show.as_json([row | {"signals": _of(row, signals)} for row in found])
        return 0 if found else 1
    if not found:
        click.echo(f"nothing is known of {show.clean(entity)}; `mailweir reputation ls --kind KIND` lists who is known")
        return 1
    for row in found:
        score, interval, n = _score(row)
        whose = f" of account {row['account']}" if row["account"] and row["account"] != entity else ""
        click.echo(
            f"{row['entity_kind']} {show.clean(entity)}{show.clean(whose)}: {row['band']}, score {score}, "
            f"90 % interval {interval}, n = {n} messages of about the last week"
        )
        show.table(
            ("signal", "counted", "half-life", "rate", "90 %", "points", "share", "score"),
            [_cost(one) for one in _of(row, signals)],
            "nothing was counted for or against it",
        )
    return 0


def _of(row: dict[str, Any], signals: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in signals if (one["entity_kind"], one["account"]) == (row["entity_kind"], row["account"])]


def _score(row: dict[str, Any]) -> tuple[str, str, int]:
    return f"{row['score']:.0f}", f"{row['low']:.0f}-{row['high']:.0f}", row["n"]


def _cost(one: dict[str, Any]) -> tuple[object, ...]:
    tail = (f"{one['points']:.3f}", f"{one['share']:.0%}", f"{one['score_before']:.1f} -> {one['score_after']:.1f}")
    if not one["half_life_seconds"]:
        return (_NAMES[one["signal"]], "", "", "", "", *tail)
    hours = one["half_life_seconds"] / 3600
    return (
        _NAMES[one["signal"]],
        f"{one['bad']:.1f} of {one['seen']:.1f}",
        f"{hours:g} h" if hours <= 24 else f"{hours / 24:g} d",
        f"{one['rate']:.2%}",
        f"{one['low']:.2%}-{one['high']:.2%}",
        *tail,
    )
