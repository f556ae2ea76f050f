"""The command `sender`: where an end sender stands, and every decision about it that a person may make."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from relay.cases.cli import sender_limit, sender_note
from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option, duration, release_order

if TYPE_CHECKING:
    from relay.policy.decisions.decision import Effect

_Command = TypeVar("_Command", bound=Callable[..., None])

# Modules that cost time (HTTP, tables, settings) are imported where they are used: `sender --help` needs none.


def _reason(default: str) -> Callable[[_Command], _Command]:
    return click.option("--reason", default=default, help="Shown wherever the decision is.")


def _for(default: str) -> Callable[[_Command], _Command]:
    text = "Ends by itself after, like 90m, 24h, 7d."
    return click.option("--for", "length", default=default, show_default=True, help=text)


@click.group()
def sender() -> None:
    """One end sender: show, watch, throttle, limit, hold, block, suspend, exempt, release, note.

    A sender is written account|kind|value; quote it in the shell.
    """


sender.add_command(sender_limit)
sender.add_command(sender_note)


@sender.command("show")
@click.argument("sender")
@as_json_option
@click.pass_obj
def sender_show(context: Context, sender: str, as_json: bool) -> None:
    """Show where a sender stands, and all decisions about it."""
    from relay.control import show

    view = ask(context, lambda relay: relay.sender(sender))
    show.as_json(view) if as_json else show.sender(view)


@sender.command("hold")
@click.argument("sender")
@_reason("held by hand")
@click.option("--minutes", type=float, help="Ends by itself after; default: never.")
@as_json_option
@dry_run_option
@click.pass_obj
def sender_hold(
    context: Context, sender: str, reason: str, minutes: float | None, as_json: bool, dry_run: bool
) -> None:
    """Park everything a sender sends, and what is still queued."""
    from relay.control import show
    from relay.control.views import HoldOrder

    order = HoldOrder(reason=reason, minutes=minutes, dry_run=dry_run)
    result = ask(context, lambda relay: relay.hold_sender(sender, order))
    if as_json:
        show.as_json(result)
    else:
        click.echo(show.clean(("Would do: " if dry_run else "") + result.decision.sentence))
        click.echo(f"{result.messages} undelivered messages parked")


@sender.command("release")
@click.argument("sender")
@click.option("--not-spam", is_flag=True, help="It was a mistake: forgive the sender, teach the model.")
@click.option("--all", "content", is_flag=True, help="Also what is held for what it says itself.")
@click.option("--now", "at_once", is_flag=True, help="All at once, not at the pace of its limits.")
@click.option("--note", default="", help="Why, for the audit log.")
@as_json_option
@dry_run_option
@click.pass_obj
def sender_release(context: Context, /, sender: str, **options: Any) -> None:
    """End every decision about a sender and free its held mail, at the pace of its limits."""
    from relay.control import show
    from relay.holds import show as show_held

    order = release_order(options)
    result = ask(context, lambda relay: relay.release_sender(sender, order))
    show.as_json(result) if options["as_json"] else show_held.freed(result)


@sender.command("watch")
@click.argument("sender")
@_reason("watched by hand")
@_for("24h")
@as_json_option
@dry_run_option
@click.pass_obj
def sender_watch(context: Context, /, sender: str, **options: Any) -> None:
    """Send a sender's mail through the suspect pool, and stop nothing."""
    from relay.policy.decisions.decision import Effect

    _decide(context, sender, Effect.WATCH, options)


@sender.command("throttle")
@click.argument("sender")
@click.option("--factor", type=click.FloatRange(0.01, 1), default=0.25, show_default=True, help="Of its limits.")
@_reason("throttled by hand")
@_for("6h")
@as_json_option
@dry_run_option
@click.pass_obj
def sender_throttle(context: Context, /, sender: str, factor: float, **options: Any) -> None:
    """Leave a sender a part of its limits; they come back with time afterwards."""
    from relay.policy.decisions.decision import Effect

    _decide(context, sender, Effect.THROTTLE, options, factor)


@sender.command("block")
@click.argument("sender")
@_reason("blocked by hand")
@_for("60m")
@as_json_option
@dry_run_option
@click.pass_obj
def sender_block(context: Context, /, sender: str, **options: Any) -> None:
    """Refuse a sender's mail, for 15 minutes with 450 and then with 550; park what is still queued."""
    from relay.policy.decisions.decision import Effect

    _decide(context, sender, Effect.BLOCK, options)


@sender.command("suspend")
@click.argument("sender")
@click.option("--reason", required=True, help="Shown wherever the decision is.")
@as_json_option
@dry_run_option
@click.pass_obj
def sender_suspend(context: Context, /, sender: str, **options: Any) -> None:
    """Refuse a sender's mail until a person releases it; park what is still queued."""
    from relay.policy.decisions.decision import Effect

    _decide(context, sender, Effect.SUSPEND, options)


@sender.command("exempt")
@click.argument("sender")
@click.option("--text", "fingerprint", default="", help="Only this text (its fingerprint) of the sender's account.")
@click.option("--reason", required=True, help="Why nothing automatic may stop it.")
@click.option("--for", "length", required=True, help="Ends by itself after, like 24h or 7d.")
@as_json_option
@dry_run_option
@click.pass_obj
def sender_exempt(context: Context, /, sender: str, fingerprint: str, **options: Any) -> None:
    """Keep triggers and scores from stopping a sender, or a text. Malware rules and limits still apply."""
    from relay.policy.decisions.decision import Effect
    from relay.tree import text_of

    key = text_of(sender.split("|", 1)[0], fingerprint) if fingerprint else sender
    _decide(context, key, Effect.EXEMPT, options)


def _decide(
    context: Context, sender: str, effect: "Effect", options: dict[str, Any], value: float | None = None
) -> None:
    from relay.control import show
    from relay.control.views import NewDecision

    length = options.get("length")
    ends_at = datetime.now(UTC) + timedelta(seconds=duration(length)) if length else None
    new = NewDecision(
        account=sender.split("|", 1)[0],
        sender=sender,
        effect=effect,
        rule="by-hand",
        reason=options["reason"],
        ends_at=ends_at,
        value=value,
        dry_run=options["dry_run"],
    )
    result = ask(context, lambda relay: relay.propose(new))
    if options["as_json"]:
        show.as_json(result)
        return
    click.echo(show.clean(("Would do: " if new.dry_run else "") + result.decision.sentence))
    if result.messages:
        click.echo(f"{result.messages} undelivered messages parked")
