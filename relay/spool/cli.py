"""The command `spool`: what lies on the disk, for the operator. Reads the files itself and never writes to them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli import Context

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.spool.inspection import Inspection, Report, WaitingMessage

# Modules that cost time are imported where they are used: `spool --help` needs none.

_SHOWN = ("message_id", "state", "account", "sender", "mail_from", "received_at", "size_bytes", "subject", "rule")
_RATE_DELAY = "rate_delay"  # the rule of policy/verdict/judge.py
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def spool() -> None:
    """The queue on disk: check, list, show, export.

    Works while the relay runs, and when it cannot: the files are only read.
    """


@spool.command()
@_json
@click.pass_obj
def check(context: Context, as_json: bool) -> None:
    """Read every byte that waits, and say what is damaged or lost.

    Exit code 1 when something is wrong. Orphan bytes are not: they are the rest of what was delivered.
    """
    from relay.control import show

    with _opened(context) as inspection:
        report = _run_check(inspection)
    if as_json:
        show.as_json({"ok": report.is_ok, "report": report})
    else:
        _print_report(report)
    click.get_current_context().exit(0 if report.is_ok else 1)


@spool.command("ls")
@click.option("--sender", help="Only of this end sender (account|kind|value).")
@click.option("--account", help="Only of this account.")
@click.option("--dest", help="Only with a recipient waiting at this domain.")
@click.option("--state", type=click.Choice(["queued", "held", "quarantined"]), help="Only in this state.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many, oldest first.")
@_json
@click.pass_obj
def ls(
    context: Context,
    sender: str | None,
    account: str | None,
    dest: str | None,
    state: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List messages that wait, with their recipients."""
    from itertools import islice

    from relay.control import show
    from relay.spool.entry import CorruptEntry
    from relay.spool.inspection import Wanted

    wanted = Wanted(sender, account, dest.lower() if dest else None, state)
    with _opened(context) as inspection:
        entries = list(islice(inspection.messages(wanted), limit))
        found = [inspection.envelope(m, s) for m, s in entries if not isinstance(m, CorruptEntry)]
    for message, _ in entries:
        if isinstance(message, CorruptEntry):
            click.echo(f"mailweir: {message}", err=True)
    if as_json:
        show.as_json(found)
        return
    rows = [
        (
            message.message_id,
            message.received_at,
            _state_of(message),
            message.sender,
            len(message.recipients),
            message.recipients[0].address if message.recipients else "",
            min((r.due_at for r in message.recipients if r.due_at), default=None),
            message.size_bytes,
        )
        for message in found
    ]
    show.table(
        ("message", "received (UTC)", "state", "sender", "rcpts", "first", "due (UTC)", "bytes"), rows, "nothing waits"
    )


@spool.command("show")
@click.argument("message_id", metavar="MESSAGE")
@click.option("--headers", is_flag=True, help="Print its header lines too.")
@click.option("--raw", is_flag=True, help="Print the message itself, and nothing else.")
@_json
@click.pass_obj
def show_message(context: Context, message_id: str, headers: bool, raw: bool, as_json: bool) -> None:
    """Show one message: its envelope and what each recipient waits for."""
    from relay.control import show

    with _opened(context) as inspection:
        found = inspection.message(message_id)
        if found is None:
            raise click.ClickException(f"the spool has no message {message_id!r}; `mailweir spool ls` lists them")
        message, state = found
        if raw:
            click.echo(message.prefix, nl=False)
            for piece in inspection.content(message):
                click.echo(piece, nl=False)
            return
        envelope = inspection.envelope(message, state)
        head = inspection.head(message) if headers else []
    if as_json:
        show.as_json({"envelope": envelope, "headers": head} if headers else envelope)
        return
    for name in (
        "message_id",
        "state",
        "account",
        "sender",
        "mail_from",
        "received_at",
        "size_bytes",
        "subject",
        "rule",
    ):
        click.echo(f"{name.replace('_', ' '):12} {show.clean(getattr(envelope, name))}")
    rows = [(r.address, r.state, r.attempts, r.due_at) for r in envelope.recipients]
    show.table(("recipient", "state", "tries", "due (UTC)"), rows, "no recipient is left")
    for line in head:
        click.echo(show.clean(line))


@spool.command()
@click.argument("where", metavar="[MESSAGE] DIR", nargs=-1, type=click.Path(path_type=Path))
@click.option("--all", "is_all", is_flag=True, help="Export every message; give only DIR.")
@_json
@click.pass_obj
def export(context: Context, where: tuple[Path, ...], is_all: bool, as_json: bool) -> None:
    """Write messages as .eml files, the envelope of each as .json beside it.

    The files are readable by you alone. Nothing leaves the spool.
    """
    from relay.control import show
    from relay.spool.export import export_all, export_one

    if len(where) != (1 if is_all else 2):
        raise click.UsageError("give MESSAGE and DIR, or --all and DIR")
    folder = where[-1]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _opened(context) as inspection:
        if is_all:
            with _progress(inspection.count(), "exporting") as advance:
                done = export_all(inspection, folder, advance)
        else:
            done = export_one(inspection, str(where[0]), folder)
    if as_json:
        show.as_json(done)
    else:
        click.echo(f"exported {len(done.written)} to {folder}")
        for line in done.damaged:
            click.echo(f"damaged: {line}", err=True)
    click.get_current_context().exit(1 if done.damaged else 0)


def _state_of(message: "WaitingMessage") -> str:
    """Say apart what waits for room under a limit from what waits for its next try."""
    is_untried = all(recipient.attempts == 0 for recipient in message.recipients)
    return "delayed" if message.state == "queued" and message.rule == _RATE_DELAY and is_untried else message.state


@contextmanager
def _opened(context: Context) -> Iterator["Inspection"]:
    from relay.spool.inspection import Inspection

    settings = context.settings()
    inspection = Inspection(settings.dir / "spool", settings.node.name)
    try:
        yield inspection
    finally:
        inspection.close()


def _run_check(inspection: "Inspection") -> "Report":
    with _progress(inspection.count(), "reading") as advance:
        for report in inspection.check():  # noqa: B007 - the last one is wanted
            advance()
    return report


@contextmanager
def _progress(total: int, what: str) -> Iterator["Callable[[], None]"]:
    """A bar on the terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


def _print_report(report: "Report") -> None:
    click.echo(f"{report.messages} messages, {report.recipients} recipients, {report.held} messages held")
    share = f", {report.disk_bytes / report.alive_bytes:.1f} times" if report.alive_bytes else ""
    alive, disk = report.alive_bytes / 1e6, report.disk_bytes / 1e6
    click.echo(f"{alive:.1f} MB alive in {report.segments} segments of {disk:.1f} MB{share}")
    for found, words in (
        (report.damaged, "damaged: bytes gone or altered"),
        (report.quarantined, "quarantined: put off, then returned to the sender"),
        (report.without_recipients, "without any recipient"),
        (report.set_aside, "set aside after damage, for you to look at"),
    ):
        for name in found:
            click.echo(f"{words}: {name}")
    if report.recipients_without_message:
        click.echo(f"{report.recipients_without_message} recipients whose message is gone")
    if report.index != "ok":
        click.echo(f"index: {report.index}; stop the relay and start it again, it salvages what can be read")
    click.echo("all is well" if report.is_ok else "something is wrong, see above")
