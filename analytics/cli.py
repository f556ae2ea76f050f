"""The commands `analytics`, `warehouse` and `doctor`. What they run is imported when they run."""

import sys
from pathlib import Path

import click

from relay.cli import Context


@click.command("analytics")
@click.pass_obj
def serve(context: Context) -> None:
    """Run analytics alone."""
    from analytics.process import run
    from relay import log

    log.setup("analytics")
    sys.exit(run(context.settings()))


@click.command()
@click.pass_obj
def doctor(context: Context) -> None:
    """Find what is wrong with this installation, and say the fix.

    Exit code 1 when something fails; warnings alone are 0.
    """
    from analytics.doctor import Level, examine

    colour = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
    worst = Level.OK
    for finding in examine(context.config):
        worst = max(worst, finding.level)
        click.echo(f"{click.style(f'{finding.level.name.lower():<4}', colour[finding.level])}  {finding.text}")
        if finding.fix:
            click.echo(f"      fix: {finding.fix}")
    sys.exit(1 if worst is Level.FAIL else 0)


@click.group()
def warehouse() -> None:
    """The warehouse: ingest, rebuild, info."""


@warehouse.command()
@click.pass_obj
def ingest(context: Context) -> None:
    """Ingest what waits in the journal, while analytics is stopped."""
    from analytics.ingesting.ingest import Ingest
    from analytics.ingesting.journals import JournalFolder
    from analytics.warehouse import Warehouse

    settings = context.settings()
    opened = Warehouse.open(settings.dir / "warehouse.duckdb", settings.journal_dir)
    try:
        done = Ingest(opened, JournalFolder(settings.journal_dir), settings.policy).run()
    finally:
        opened.close()
    click.echo(f"{done.files} files, {done.rows} records")
    for name in done.corrupt:
        click.echo(f"damaged, set aside: {settings.journal_dir / 'aside' / name}", err=True)


@warehouse.command()
@click.pass_obj
def rebuild(context: Context) -> None:
    """Make the warehouse again from the archived journals, while analytics is stopped."""
    from rich.progress import Progress

    from analytics.ingesting.journals import JournalFolder
    from analytics.ingesting.rebuild import rebuild as replay

    settings = context.settings()
    total = sum(path.stat().st_size for path in JournalFolder(settings.journal_dir).archived())
    rows = 0
    with Progress(transient=True) as progress:
        task = progress.add_task("replaying the archive", total=total)
        for replayed in replay(settings):
            rows += replayed.rows
            progress.update(task, advance=replayed.size_bytes)
    click.echo(f"{rows} records are in {settings.dir / 'warehouse.duckdb'}")


@warehouse.command()
@click.pass_obj
def info(context: Context) -> None:
    """Show what the warehouse holds, what waits, what is damaged, the feeds from outside, and the jobs."""
    from rich.console import Console

    from analytics.client import QueryClient

    console = Console()
    settings = context.settings()
    with QueryClient.of(settings, "admin") as client:
        ingested = client.table("ingest").to_pylist()[0]
        console.print(
            f"{settings.dir / 'warehouse.duckdb'}: {_size(settings.dir / 'warehouse.duckdb')}, "
            f"{ingested['rows']} records from {ingested['files']} files, last at {_instant(ingested['last_at'])}, "
            f"{ingested['behind_files']} files wait, {ingested['corrupt_files']} damaged"
        )
        for row in client.table("corrupt").to_pylist():
            console.print(f"damaged {row['file']}: {row['reason']}")
        for row in client.table("feeds").to_pylist():
            console.print(
                f"feed {row['kind']} {row['source']}".rstrip() + f": last new {_instant(row['fresh_at'])}, "
                f"data until {_instant(row['data_at'])}{', STALE' if row['is_stale'] else ''}"
            )
        for row in client.table("jobs").to_pylist():
            console.print(
                f"{row['job']:<11} {row['last_status']:<6} {row['last_seconds']:8.3f} s  "
                f"last {_instant(row['last_started_at'])}  next {_instant(row['next_run_at'])}  {row['last_error']}"
            )


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB" if path.exists() else "not here"


def _instant(value: object) -> str:
    return f"{value:%F %T}Z" if value else "never"
