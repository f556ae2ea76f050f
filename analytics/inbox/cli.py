"""The command `inbox`: mail that was collected elsewhere, and what came in."""

import mailbox
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, dry_run_option

_MAILBOXES = click.Choice(["imported", "abuse", "postmaster", "fbl", "dmarc", "tlsrpt"])  # intake.MAILBOXES


@click.group()
def inbox() -> None:
    """Mail for bounces, reports and abuse: ls, import."""


@inbox.command("ls")
@click.option("--days", type=click.IntRange(1, 400), default=30, show_default=True)
@as_json_option
@click.pass_obj
def inbox_ls(context: Context, days: int, as_json: bool) -> None:
    """Count what came: by mailbox, what it was, how much of it was traced, and how much is nobody's."""
    from datetime import UTC, datetime, timedelta

    from analytics.client import QueryClient
    from relay.control import show

    since = datetime.now(UTC) - timedelta(days=days)
    with QueryClient.of(context.settings(), "admin") as client:
        rows = client.table("inbox", since=since).to_pylist()
        nobodys = sum(row["reports"] for row in client.table("backscatter", since=since).to_pylist())
    if as_json:
        show.as_json({"mails": rows, "backscatter": nobodys})
        return
    show.table(
        ("to", "what", "mails", "bounces", "complaints", "traced", "last (UTC)"),
        (
            (
                row["report_type"],
                row["found"],
                row["mails"],
                row["bounces"],
                row["complaints"],
                row["traced"],
                row["last_at"],
            )
            for row in rows
        ),
        "nothing came",
    )
    click.echo(f"{nobodys} bounces and complaints are about no mail of ours that could be proved (backscatter)")


@inbox.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path), metavar="MAILDIR|MBOX")
@click.option(
    "--mailbox", "to", type=_MAILBOXES, default="imported", show_default=True, help="What it was collected by."
)
@as_json_option
@dry_run_option
@click.pass_obj
def inbox_import(context: Context, /, **options: Any) -> int:
    """Bring the mails of a Maildir or an mbox file; nothing in it is changed.

    They end where mail ends that came by SMTP. The same mail twice counts once. With --mailbox abuse or postmaster
    people's mail becomes a case. Exit code 1 when a mail was refused.
    """
    from analytics.client import QueryClient

    path: Path = options["path"]
    counts: Counter[str] = Counter()
    with QueryClient.of(context.settings(), "admin") as client:
        for raw in mails_of(path):
            taken = client.bring(raw, options["to"], origin=f"import {path.name}", dry_run=options["dry_run"])
            counts[taken["status"]] += 1
            counts[f"found {taken['found'] or taken['reason']}"] += 1
    _tell(counts, options["as_json"], options["dry_run"])
    return 1 if counts["refused"] else 0


def mails_of(path: Path) -> Iterator[bytes]:
    """Yield the mails of a Maildir (new and cur) or an mbox file, as they came. Raises UsageError."""
    if path.is_dir():
        if not (path / "cur").is_dir():
            raise click.UsageError(f"{path}: is no Maildir: it has no folder cur")
        for folder in ("new", "cur"):
            for file in sorted((path / folder).glob("*")):
                if file.is_file():
                    yield file.read_bytes()
        return
    box = mailbox.mbox(path, create=False)
    try:
        if not len(box) and path.stat().st_size:
            raise click.UsageError(f"{path}: is no mbox: no line in it begins a mail with `From `")
        for key in box.iterkeys():
            yield box.get_bytes(key)
    finally:
        box.close()


def _tell(counts: Counter[str], as_json: bool, is_dry: bool) -> None:
    if as_json:
        from relay.control import show

        show.as_json({**counts, "dry_run": is_dry})
        return
    found = ", ".join(
        f"{name.removeprefix('found ')} {count}" for name, count in sorted(counts.items()) if name.startswith("found ")
    )
    click.echo(
        f"{'would take' if is_dry else 'taken'} {counts['new']}, known already {counts['known']}, "
        f"refused {counts['refused']}{f' ({found})' if found else ''}"
    )
