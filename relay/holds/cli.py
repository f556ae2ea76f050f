"""The commands `held`: mail in its hold, for people in a terminal."""

from typing import TYPE_CHECKING, Any, TypeVar

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option, duration, release_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.control.client import ControlClient

# Modules that cost time (HTTP, tables, settings) are imported where they are used: `held --help` needs none.

_T = TypeVar("_T")
_PATIENCE_SECONDS = 120.0  # 25,000 messages take some seconds, on a busy disk more
_CRITERIA = ("sender", "account", "cluster", "rule", "score", "older")


def _selecting(command: "Callable[..., None]") -> "Callable[..., None]":
    """The options that select held mail; all that are given must fit."""
    for option in reversed(
        (
            click.option("--sender", default="", help="Only of this end sender (account|kind|value)."),
            click.option("--account", default="", help="Only of this account."),
            click.option("--cluster", default="", help="Only this text and what is nearly the same (c17)."),
            click.option("--rule", default="", help="Only what this rule held."),
            click.option("--score", default="", metavar="FROM..TO", help="Only what scored so, like 0.5..0.9."),
            click.option("--older", default="", metavar="AGE", help="Only what has been held for longer, like 2d."),
        )
    ):
        command = option(command)
    return command


@click.group()
def held() -> None:
    """Held mail: list, show, release, drop."""


@held.command("ls")
@_selecting
@click.option("--by", type=click.Choice(["sender", "cluster", "rule"]), help="Count by that, instead of listing.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@click.option("--before", default="", metavar="MESSAGE", help="The page behind this message.")
@as_json_option
@click.pass_obj
def held_ls(context: Context, /, as_json: bool, by: Any, limit: int, before: str, **which: Any) -> None:
    """List held messages, newest first, or count them by sender, text or rule."""
    from relay.control import show
    from relay.holds import show as show_held
    from relay.holds.views import HeldQuery

    query = HeldQuery(**_query(which))
    if by:
        groups = ask(context, lambda relay: relay.held_groups(by, query, limit))
        show.as_json(groups) if as_json else show_held.groups(groups, by)
        return
    views = ask(context, lambda relay: relay.held(query=query, limit=limit, before=before))
    if as_json:
        show.as_json(views)
        return
    show_held.messages(views)
    if len(views) == limit:
        click.echo(f"there may be more: --before {views[-1].message_id}")


@held.command("show")
@click.argument("message")
@click.option("--text", "with_text", is_flag=True, help="Its first 2,000 characters too; that is audited.")
@as_json_option
@click.pass_obj
def held_show(context: Context, message: str, with_text: bool, as_json: bool) -> None:
    """Show one held message with its headers."""
    from relay.control import show
    from relay.holds import show as show_held

    content = ask(context, lambda relay: relay.held_message(message, with_text=with_text))
    show.as_json(content) if as_json else show_held.content(content)


@held.command("release")
@_selecting
@click.option("--message", "messages", multiple=True, help="Only this message; may be repeated.")
@click.option("--not-spam", is_flag=True, help="It was a mistake: forgive the sender, teach the model.")
@click.option("--all", "content", is_flag=True, help="Of a sender: also what is held for what it says itself.")
@click.option("--now", "at_once", is_flag=True, help="All at once, not at the pace of its sender's limits.")
@click.option("--note", default="", help="Why, for the audit log.")
@as_json_option
@dry_run_option
@click.pass_obj
def held_release(context: Context, /, messages: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Send held mail on its way. With nothing but --sender its hold ends too."""
    from relay.control import show
    from relay.holds import show as show_held

    if bool(messages) == any(options[name] for name in _CRITERIA):
        raise click.UsageError(f"say which mail: --message, or {_criteria_words()}")
    order = release_order(options, message_ids=list(messages), **_query(options))
    result = _ask_long(context, lambda relay: relay.release_held(order))
    show.as_json(result) if as_json else show_held.freed(result)


@held.command("drop")
@click.argument("messages", nargs=-1, metavar="[MESSAGE...]")
@_selecting
@click.option("--reason", default="dropped by hand", help="For the audit log.")
@as_json_option
@dry_run_option
@click.pass_obj
def held_drop(
    context: Context, /, messages: tuple[str, ...], reason: str, as_json: bool, dry_run: bool, **which: Any
) -> None:
    """Delete held messages for good."""
    from relay.control import show
    from relay.control.views import DropOrder
    from relay.holds import show as show_held

    if bool(messages) == any(which[name] for name in _CRITERIA):
        raise click.UsageError(f"say which mail: MESSAGE..., or {_criteria_words()}")
    order = DropOrder(message_ids=list(messages), reason=reason, dry_run=dry_run, **_query(which))
    result = _ask_long(context, lambda relay: relay.drop_held(order))
    show.as_json(result) if as_json else show_held.removed(result)


def _ask_long(context: Context, question: "Callable[[ControlClient], _T]") -> _T:
    from relay.control.client import ControlClient

    with ControlClient.of(context.settings(), timeout_seconds=_PATIENCE_SECONDS) as relay:
        return question(relay)


def _query(which: dict[str, Any]) -> dict[str, Any]:
    low, high = _score_range(which["score"])
    return {
        **{name: which[name] for name in ("sender", "account", "cluster", "rule")},
        "score_from": low,
        "score_to": high,
        "older_seconds": duration(which["older"]) if which["older"] else None,
    }


def _score_range(text: str) -> tuple[float | None, float | None]:
    """Read 0.5..0.9, with either end left out.

    >>> _score_range("0.9..")
    (0.9, None)
    """
    if not text:
        return None, None
    low, dots, high = text.partition("..")
    try:
        if not dots or not (low or high):
            raise ValueError
        return float(low) if low else None, float(high) if high else None
    except ValueError:
        raise click.BadParameter(f"{text!r}: write it like 0.5..0.9, 0.9.. or ..0.5", param_hint="--score") from None


def _criteria_words() -> str:
    return ", ".join(f"--{name}" for name in _CRITERIA)
