"""The command `decisions`, and `limit` and `note` of `sender`."""

from typing import TYPE_CHECKING

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option, tell

if TYPE_CHECKING:
    from relay.cases.views import NoteDone

# Modules that cost time (HTTP, tables, settings) are imported where they are used.


@click.command()
@click.option("--open", "open_only", is_flag=True, help="Only what is in force.")
@click.option("--account", default="", help="Only of this account.")
@click.option("--sender", default="", help="Only about this sender, account|kind|value.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@as_json_option
@click.pass_obj
def decisions(context: Context, open_only: bool, account: str, sender: str, limit: int, as_json: bool) -> None:
    """List decisions, youngest first: who is stopped or limited, since when, by whom, and why."""
    from relay.control import show

    views = ask(
        context,
        lambda relay: relay.decisions(sender=sender, account=account, open_only=open_only, limit=limit),
    )
    show.as_json(views) if as_json else show.decisions(views)


@click.command("limit")
@click.argument("sender")
@click.argument("rcpts_per_hour", type=click.IntRange(0))
@as_json_option
@dry_run_option
@click.pass_obj
def sender_limit(context: Context, sender: str, rcpts_per_hour: int, as_json: bool, dry_run: bool) -> None:
    """Give a sender a limit of its own: recipients in any 60 minutes, 0 for none.

    It stays until it is taken back. `mailweir limit set sender` knows the other limits.
    """
    from relay.control.accounts.show import limits_in_words
    from relay.control.accounts.views import LimitOrder
    from relay.policy.limits.levels import Level

    order = LimitOrder(level=Level.SENDER, key=sender, rcpts_per_hour=rcpts_per_hour, dry_run=dry_run)
    view = ask(context, lambda relay: relay.set_limits(order))
    tell(view, as_json, f"{'would limit' if dry_run else 'limited'} {sender}: {limits_in_words(view)}")


@click.command("note")
@click.argument("sender")
@click.argument("text", required=False)
@click.option("--rm", "note_id", default="", metavar="ID", help="Remove this note.")
@as_json_option
@dry_run_option
@click.pass_obj
def sender_note(context: Context, sender: str, text: str | None, note_id: str, as_json: bool, dry_run: bool) -> None:
    """List the desk's notes about a sender, or write one; customers never see them."""
    from relay.cases.views import NewNote, NoteRemoval

    if text and note_id:
        raise click.UsageError("give a text to write, or --rm ID, not both")
    if note_id:
        done = ask(context, lambda relay: relay.remove_note(note_id, NoteRemoval(dry_run=dry_run)))
        _tell(done, as_json, "remove", "removed")
    elif text:
        new = NewNote(text=text, dry_run=dry_run)
        _tell(ask(context, lambda relay: relay.add_note(sender, new)), as_json, "write", "written")
    else:
        _list(context, sender, as_json)


def _tell(done: "NoteDone", as_json: bool, verb: str, past: str) -> None:
    from relay.control import show

    told = f"would {verb}" if done.dry_run else past
    tell(done, as_json, f"{told}: {show.clean(done.note.text)} ({done.note.sender})")


def _list(context: Context, sender: str, as_json: bool) -> None:
    from relay.control import show

    notes = ask(context, lambda relay: relay.notes(sender))
    if as_json:
        show.as_json(notes)
        return
    rows = ((note.id, note.noted_at, note.author, note.text) for note in notes)
    show.table(("note", "written (UTC)", "by", "text"), rows, "no notes")
