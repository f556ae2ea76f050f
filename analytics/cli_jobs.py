"""The command `jobs`: what analytics does by itself, when, and how it went."""

from datetime import datetime
from typing import Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option


@click.group()
def jobs() -> None:
    """What analytics does by itself: ls, run."""


@jobs.command("ls")
@as_json_option
@click.pass_obj
def jobs_ls(context: Context, as_json: bool) -> None:
    """List all jobs: last run, how long it took, next run, failures in a row, error."""
    from analytics.client import QueryClient
    from relay.control import show

    with QueryClient.of(context.settings(), "admin") as client:
        rows = client.table("jobs").to_pylist()
    if as_json:
        show.as_json(rows)
        return
    click.echo(f"{'job':<16} {'every':>7}  {'last run':<19}  {'took':>9}  {'next run':<19}  failures")
    for row in rows:
        click.echo(_line(row))


@jobs.command("run")
@click.argument("name")
@as_json_option
@click.pass_obj
def jobs_run(context: Context, name: str, as_json: bool) -> int:
    """Run a job now and wait for its end. Exit code 1 when it fails.

    Every job may be run at any time: it does what is due, and nothing twice.
    """
    from analytics.client import QueryClient
    from relay.control import show

    with QueryClient.of(context.settings(), "admin", timeout_seconds=3_600) as client:
        answer = client.run_job(name)
    if as_json:
        show.as_json(answer)
    else:
        said = answer["error"] or answer["detail"] or "there was nothing to do"
        click.echo(show.clean(f"{name}: {'failed: ' if answer['error'] else ''}{said}"))
    return 1 if answer["error"] else 0


def _line(row: dict[str, Any]) -> str:
    from relay.control import show

    wrong = f"{row['failures']}  {show.clean(row['last_error'])}" if row["failures"] else "0"
    return (
        f"{row['job']:<16} {_period(row['every_seconds']):>7}  {_instant(row['last_started_at']):<19}  "
        f"{row['last_seconds']:>7.3f} s  {_instant(row['next_run_at']):<19}  {wrong}"
    )


def _period(seconds: float) -> str:
    """Say how often.

    >>> _period(0.5), _period(900), _period(86_400)
    ('0.5 s', '15 min', '24 h')
    """
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3_600 else f"{seconds / 3_600:g} h"


def _instant(value: datetime | None) -> str:
    return f"{value:%F %T}" if value else "never"
