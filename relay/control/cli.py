"""The commands `held` and `why`: the control API for people in a terminal."""

import re
from typing import Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option, release_order

# Modules that cost time (HTTP, tables, settings) are imported where they are used: `held --help` needs none.

_DECISION = re.compile(r"[a-z0-9]{1,16}-d\d+")


@click.group()
def held() -> None:
    """Held mail: list, release, drop."""


@held.command("ls")
@click.option("--sender", default="", help="Only of this end sender (account|kind|value).")
@click.option("--account", default="", help="Only of this account.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=500, show_default=True)
@as_json_option
@click.pass_obj
def held_ls(context: Context, sender: str, account: str, limit: int, as_json: bool) -> None:
    """List held messages, newest first."""
    from relay.control import show

    views = ask(context, lambda relay: relay.held(sender=sender, account=account, limit=limit))
    show.as_json(views) if as_json else show.held(views)


@held.command("release")
@click.option("--sender", default="", help="All of this end sender; its hold ends too.")
@click.option("--message", "messages", multiple=True, help="Only this message; may be repeated.")
@click.option("--not-spam", is_flag=True, help="It was a mistake: forgive the sender, teach the model.")
@click.option("--note", default="", help="Why, for the audit log.")
@as_json_option
@dry_run_option
@click.pass_obj
def held_release(context: Context, /, **options: Any) -> None:
    """Send held mail on its way."""
    from relay.control import show

    if bool(options["sender"]) == bool(options["messages"]):
        raise click.UsageError("give --sender or --message")
    order = release_order(options, sender=options["sender"], message_ids=list(options["messages"]))
    result = ask(context, lambda relay: relay.release_held(order))
    show.as_json(result) if options["as_json"] else show.freed(result)


@held.command("drop")
@click.argument("messages", nargs=-1, required=True, metavar="MESSAGE...")
@click.option("--reason", default="dropped by hand", help="For the audit log.")
@as_json_option
@dry_run_option
@click.pass_obj
def held_drop(context: Context, messages: tuple[str, ...], reason: str, as_json: bool, dry_run: bool) -> None:
    """Delete held messages for good."""
    from relay.control import show
    from relay.control.views import DropOrder

    order = DropOrder(message_ids=list(messages), reason=reason, dry_run=dry_run)
    result = ask(context, lambda relay: relay.drop_held(order))
    if as_json:
        show.as_json(result)
    else:
        click.echo(f"{'would drop' if dry_run else 'dropped'} {result.messages} messages")


@click.command()
@click.argument("what", metavar="DECISION|MESSAGE|SENDER")
@as_json_option
@click.pass_obj
def why(context: Context, what: str, as_json: bool) -> None:
    """Say why a decision, message or sender stands as it does."""
    from relay.control import explain

    settings = context.settings()
    if _DECISION.fullmatch(what):
        explain.decision(settings, what, as_json=as_json)
    elif "|" in what:
        explain.sender(settings, what, as_json=as_json)
    else:
        explain.message(settings, what, as_json=as_json)
