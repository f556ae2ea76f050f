"""The commands `queue`: mail that waits, for people in a terminal."""

from typing import TYPE_CHECKING, Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option, tell

if TYPE_CHECKING:
    from relay.control.waiting.views import PauseDone, PauseOrder, QueueDone, QueueOrder

_dest = click.option("--dest", "destination", default="", help="Only to this domain.")
_account = click.option("--account", default="", help="Only of this account.")
_sender = click.option("--sender", default="", help="Only of this end sender (account|kind|value).")
_message = click.option("--message", default="", help="Only of this message.")


@click.group()
def queue() -> None:
    """Mail that waits: look, try now, give up, pause."""


@queue.command("ls")
@_dest
@_account
@_sender
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@as_json_option
@click.pass_obj
def queue_ls(context: Context, /, as_json: bool, **which: Any) -> None:
    """List recipients that wait, by sender and destination, and what is paused."""
    from relay.control import show
    from relay.control.waiting import show as show_queue

    view = ask(context, lambda relay: relay.queued(**which))
    show.as_json(view) if as_json else show_queue.queued(view)


@queue.command("show")
@click.argument("message")
@as_json_option
@click.pass_obj
def queue_show(context: Context, message: str, as_json: bool) -> None:
    """Show what of one message waits; `mailweir why` says what became of the rest."""
    from relay.control import show
    from relay.control.waiting import show as show_queue

    view = ask(context, lambda relay: relay.queued_message(message))
    show.as_json(view) if as_json else show_queue.message(view)


@queue.command("retry")
@_dest
@_account
@_sender
@_message
@as_json_option
@dry_run_option
@click.pass_obj
def queue_retry(context: Context, /, as_json: bool, **which: Any) -> None:
    """Try waiting mail now; after a failure it waits as after any other."""
    order = _order(which)
    done = ask(context, lambda relay: relay.retry_queued(order))
    _tell(done, as_json, "retry", "retrying")


@queue.command("bounce")
@_dest
@_account
@_sender
@_message
@click.option("--reason", required=True, help="Why; the senders read it in their reports.")
@as_json_option
@dry_run_option
@click.pass_obj
def queue_bounce(context: Context, /, as_json: bool, **which: Any) -> None:
    """Give waiting mail up and tell its senders, as if its time were over."""
    order = _order(which)
    done = ask(context, lambda relay: relay.bounce_queued(order))
    _tell(done, as_json, "bounce", "bounced")
    if not as_json and not done.dry_run:
        click.echo("undo: none, the senders are told")


@queue.command("pause")
@click.option("--dest", "destination", default="", help="Mail to this domain.")
@click.option("--account", default="", help="Mail of this account.")
@click.option("--sender", default="", help="Mail of this end sender (account|kind|value).")
@click.option("--reason", default="paused by hand", help="Shown in `queue ls`.")
@as_json_option
@dry_run_option
@click.pass_obj
def queue_pause(context: Context, /, as_json: bool, **which: Any) -> None:
    """Let mail lie, new mail too, until it is resumed. No try is counted; its lifetime goes on."""
    order = _pause(which)
    done = ask(context, lambda relay: relay.pause_queue(order))
    _tell_pause(done, as_json, "pause", "paused")


@queue.command("resume")
@click.option("--dest", "destination", default="", help="Mail to this domain.")
@click.option("--account", default="", help="Mail of this account.")
@click.option("--sender", default="", help="Mail of this end sender (account|kind|value).")
@as_json_option
@dry_run_option
@click.pass_obj
def queue_resume(context: Context, /, as_json: bool, **which: Any) -> None:
    """End a pause."""
    order = _pause(which)
    done = ask(context, lambda relay: relay.resume_queue(order))
    _tell_pause(done, as_json, "resume", "resumed")


def _order(which: dict[str, Any]) -> "QueueOrder":
    from relay.control.waiting.views import QueueOrder

    if not any(which[name] for name in ("destination", "account", "sender", "message")):
        raise click.UsageError("say which mail: --dest, --account, --sender or --message")
    return QueueOrder(**which)


def _pause(which: dict[str, Any]) -> "PauseOrder":
    from relay.control.waiting.views import PauseOrder

    if sum(bool(which[name]) for name in ("destination", "account", "sender")) != 1:
        raise click.UsageError("say one of --dest, --account and --sender")
    return PauseOrder(**which)


def _tell(done: "QueueDone", as_json: bool, verb: str, past: str) -> None:
    would = f"would {verb}" if done.dry_run else past
    lines = [f"{would} {done.recipients} recipients of {done.messages} messages"]
    if done.busy:
        lines.append(f"{done.busy} are being tried this moment, or have just ended, and were left alone")
    if done.is_cut:
        lines.append("more fit than one order takes; repeat it")
    tell(done, as_json, *lines)


def _tell_pause(done: "PauseDone", as_json: bool, verb: str, past: str) -> None:
    from relay.control.show import clean

    would = f"would {verb}" if done.dry_run else past
    tell(done, as_json, f"{would} {done.pause.kind} {clean(done.pause.key)}")
