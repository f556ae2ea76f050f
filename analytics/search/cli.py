"""The commands `msg find`, `msg show`, `msg trace`, `sql` and `export`, asked of the running analytics."""

import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from relay.cli import Context

if TYPE_CHECKING:
    import pandas as pd

    from analytics.client import QueryClient

_T = TypeVar("_T")
_PRINTED = ("received_at", "message_id", "outcome", "sender", "recipient", "subject", "score", "reply")
_as_json = click.option("--json", "as_json", is_flag=True, help="For other programs.")
_as_csv = click.option("--csv", "as_csv", is_flag=True, help="Comma-separated, with all columns.")


@click.group()
def msg() -> None:
    """Messages: find them, show one, follow one."""


@msg.command()
@click.argument("query", default="")
@click.option("--limit", default=100, show_default=True, help="Rows at most, up to 10000.")
@click.option("--account", default="", help="Only of this account.")
@_as_json
@_as_csv
@click.pass_obj
def find(context: Context, query: str, limit: int, account: str, as_json: bool, as_csv: bool) -> None:
    """Find messages: `to:*@example.org AND delivered:N`.

    Newest first, of the last 7 days unless the query names a time. docs/search.md has the fields.
    """
    frame = _ask(context, lambda client: client.search(query, account=account, limit=limit))
    _print(frame, as_json, as_csv, _PRINTED)
    if not frame.attrs["is_complete"]:
        click.echo(
            f"there may be older ones: searched back to {frame.attrs['searched_from']:%F %TZ}; "
            "name a time, or raise --limit",
            err=True,
        )


@msg.command()
@click.argument("message_id")
@_as_json
@click.pass_obj
def show(context: Context, message_id: str, as_json: bool) -> None:
    """Show all that is known of one message."""
    known = _message(context, message_id)
    if as_json:
        click.echo(json.dumps(known, default=str, ensure_ascii=False))
        return
    width = max(len(name) for name in known)
    for name, value in known.items():
        if value not in (None, "", [], "[]"):
            click.echo(f"{name:<{width}}  {_clean(str(value))}")


@msg.command()
@click.argument("message_id")
@_as_json
@click.pass_obj
def trace(context: Context, message_id: str, as_json: bool) -> None:
    """Tell what happened to one message, step by step: reception, verdict, holds, tries, complaints."""
    from analytics.search.timeline import timeline

    steps = timeline(_message(context, message_id))
    if as_json:
        click.echo(json.dumps([step.as_dict() for step in steps], ensure_ascii=False))
        return
    for step in steps:
        click.echo(f"{step.happened_at:%F %T}Z  {step.kind:<10}  {_clean(step.text)}")
        for detail in step.details:
            click.echo(f"{'':>33}{_clean(detail)}")


@click.command("sql")
@click.argument("select")
@_as_json
@_as_csv
@click.pass_obj
def sql(context: Context, select: str, as_json: bool, as_csv: bool) -> None:
    """Answer one SELECT about the warehouse."""
    frame = _ask(context, lambda client: client.sql(select))
    _print(frame, as_json, as_csv, tuple(frame.columns))
    if "truncated" in frame.attrs:
        click.echo(f"cut after {frame.attrs['truncated']} rows", err=True)


@click.group()
def export() -> None:
    """Write rows of the warehouse to files."""


@export.command()
@click.argument("what", metavar="TABLE|QUERY")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--since", type=click.DateTime(), help="Of a table: rows from this instant (UTC) on.")
@click.option("--until", type=click.DateTime(), help="Of a table: rows before this instant (UTC).")
@click.option("--account", default="", help="Only of this account.")
@click.pass_obj
def parquet(
    context: Context, what: str, file: Path, since: datetime | None, until: datetime | None, account: str
) -> None:
    """Write a table, or all that a query finds, as Parquet. It goes through memory piece by piece."""
    from analytics.search.files import write_parquet
    from analytics.search.tables import TABLES

    is_table = what in TABLES
    order: dict[str, object] = {"table": what} if is_table else {"query": what}
    if (since or until) and not is_table:
        raise click.UsageError("--since and --until are for tables; a query names its time: `time:2026-11-01..`")
    instants = {name: f"{value.isoformat()}Z" for name, value in (("since", since), ("until", until)) if value}

    def write(client: "QueryClient") -> int:
        with client.stream(**order, **instants, account=account) as reader:
            return write_parquet(reader, file)

    rows = _ask(context, write)
    click.echo(f"{rows} rows are in {file} ({file.stat().st_size / 1e6:.1f} MB)")


def _ask(context: Context, question: Callable[["QueryClient"], _T]) -> _T:
    from analytics.client import QueryClient, QueryError

    with QueryClient.of(context.settings(), "admin", timeout_seconds=600) as client:
        try:
            return question(client)
        except QueryError as error:
            click.echo(error.detail, err=True)
            sys.exit(1)


def _message(context: Context, message_id: str) -> dict[str, Any]:
    rows = _ask(context, lambda client: client.table("message", message_id=message_id)).to_pylist()
    if not rows:
        click.echo(f"nothing is known of the message {message_id!r}; `mailweir msg find` names them", err=True)
        sys.exit(1)
    found: dict[str, Any] = rows[0]
    return found


def _print(frame: "pd.DataFrame", as_json: bool, as_csv: bool, columns: tuple[str, ...]) -> None:
    if as_json:
        click.echo(frame.to_json(orient="records", date_format="iso", date_unit="ms", force_ascii=False))
    elif as_csv:
        from relay.control.sheet import inert

        click.echo(frame.rename(columns=inert).map(inert).to_csv(index=False).rstrip())
    elif frame.empty:
        click.echo("nothing found")
    else:
        shown = frame[list(columns)].map(lambda cell: _clean(cell) if isinstance(cell, str) else cell)
        click.echo(shown.to_string(index=False, max_rows=None, max_colwidth=48))


def _clean(text: str) -> str:
    from relay.control.show import clean

    return clean(text)
