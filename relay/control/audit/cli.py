"""The command `audit`: the log of who did what, and whether it is whole."""

from typing import TYPE_CHECKING

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask_desk

if TYPE_CHECKING:
    from relay.control.audit.views import AuditEntry, ChainPart, Verified
    from relay.control.desk_calls import DeskCalls


@click.group()
def audit() -> None:
    """Who did what: list it, and verify that no row was changed or taken out."""


@audit.command("ls")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@as_json_option
@click.pass_obj
def audit_ls(context: Context, limit: int, as_json: bool) -> None:
    """List what was done, youngest first."""
    from relay.control import show

    rows = ask_desk(context, lambda desk: desk.audit(limit))
    if as_json:
        show.as_json(rows)
        return
    columns = ("row", "at (UTC)", "who", "role", "did", "account", "to", "detail")
    show.table(columns, map(_cells, rows), "nothing was done yet")


@audit.command("head")
@as_json_option
@click.pass_obj
def audit_head(context: Context, as_json: bool) -> None:
    """Print the last row of each node's chain.

    Keep it off this machine: `audit verify --from-head` tells later whether rows were cut off or all written anew.
    """
    from relay.control import show

    heads = ask_desk(context, lambda desk: desk.audit_heads())
    if as_json:
        show.as_json(heads)
        return
    for head in heads:
        click.echo(head.text)


@audit.command("verify")
@click.option(
    "--from-head", "anchor", default="", metavar="HEAD", help="What `audit head` printed once, or its digest."
)
@as_json_option
@click.pass_obj
def audit_verify(context: Context, anchor: str, as_json: bool) -> None:
    """Verify the chain from its first row to its last.

    Exit code 1 when a row was changed, taken out or put elsewhere; the first one is named.
    """
    from relay.control import show

    found = ask_desk(context, lambda desk: _verified(desk, anchor))
    if as_json:
        show.as_json(found)
    else:
        for line in found.lines:
            click.echo(line)
    click.get_current_context().exit(0 if found.is_whole else 1)


def _cells(row: "AuditEntry") -> tuple[object, ...]:
    detail = ", ".join(f"{name} {value}" for name, value in row.detail.items() if value not in (None, ""))
    number = f"{row.node}:{row.sequence}"
    return (number, row.logged_at, row.principal, row.role, row.command, row.account, row.target, detail)


def _verified(desk: "DeskCalls", anchor: str) -> "Verified":
    from relay.control.audit.views import Verified

    node, _, rest = anchor.partition(":") if ":" in anchor else ("", "", anchor)
    wanted = rest.rpartition(":")[2].strip()
    is_met, is_whole, lines = not anchor, True, []
    names = dict.fromkeys(head.node for head in desk.audit_heads())
    for name in [*names, *([node] if node and node not in names else [])]:
        rows, part, met = _walk(desk, name, wanted)
        is_met |= met
        is_whole &= part.broken is None
        lines.append(_line(name, rows, part))
    if not is_met:
        lines.append(f"the row of head {anchor} is not there: rows were cut off at the end, or all written anew")
    return Verified(is_whole=is_whole and is_met, lines=lines)


def _walk(desk: "DeskCalls", node: str, wanted: str) -> "tuple[int, ChainPart, bool]":
    from relay.control.audit.views import AuditHead

    after: AuditHead | None = AuditHead(node=node, sequence=0, digest="")
    rows, met = 0, False
    while True:
        assert after is not None
        part = desk.audit_chain(after, wanted)
        rows, met, after = rows + part.rows, met or part.met, part.reached
        if not part.has_more:
            return rows, part, met


def _line(node: str, rows: int, part: "ChainPart") -> str:
    if part.broken is None:
        head = part.reached.text if part.reached else "nothing"
        return f"node {node}: {rows} rows, the chain holds; head {head}"
    bad = part.broken
    return (
        f"node {node}: BROKEN at row {bad.sequence} ({bad.logged_at:%Y-%m-%d %H:%M:%S} UTC, {bad.command} of "
        f"{bad.target!r} by {bad.principal}): {part.why}. The {rows} rows before it hold"
    )
