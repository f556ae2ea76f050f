"""The command `limit`: who may send how much."""

from typing import Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask_desk, dry_run_option, tell

_LEVELS = click.Choice(["sender", "senders", "domain", "domains", "account", "reseller"])  # envelope.Level
_NAMES = ("rcpts_per_hour", "rcpts_per_day", "unique_rcpts_per_hour", "rcpts_per_message", "messages_per_hour")


def _number(text: str) -> int | str:
    """A number, 0 for no limit, or `default`: what the wider level says."""
    if text == "default":
        return text
    if not text.isascii() or not text.isdigit():
        raise click.BadParameter(f"{text!r}: write a number, 0 for no limit, or `default`")
    return int(text)


@click.group()
def limit() -> None:
    """Limits by level, from one end sender to a reseller: set, ls, rm.

    LEVEL and KEY: sender account|kind|value; senders ACCOUNT (each of its end senders); domain account|domain;
    domains ACCOUNT (each of its envelope domains); account ACCOUNT; reseller NAME. Works before the first start too.
    """


@limit.command("set")
@click.argument("level", type=_LEVELS)
@click.argument("key")
@click.option("--rcpts-per-hour", type=_number, metavar="N", help="Recipients in any 60 minutes.")
@click.option("--rcpts-per-day", type=_number, metavar="N", help="Recipients in any 24 hours.")
@click.option("--unique-rcpts-per-hour", type=_number, metavar="N", help="Different recipients in any 60 minutes.")
@click.option("--rcpts-per-message", type=_number, metavar="N", help="Recipients of one message.")
@click.option("--messages-per-hour", type=_number, metavar="N", help="Messages in any 60 minutes.")
@as_json_option
@dry_run_option
@click.pass_obj
def limit_set(context: Context, /, level: str, key: str, as_json: bool, dry_run: bool, **numbers: Any) -> None:
    """Set the limits that are given; 0 lifts one, `default` leaves it to the wider level."""
    from relay.control.accounts.show import limits_in_words
    from relay.control.accounts.views import LimitOrder
    from relay.policy.limits.levels import Level

    given = {name: None if number == "default" else number for name, number in numbers.items() if number is not None}
    if not given:
        raise click.UsageError(f"give at least one of {', '.join('--' + name.replace('_', '-') for name in _NAMES)}")
    order = LimitOrder(level=Level(level), key=key, dry_run=dry_run, **given)
    view = ask_desk(context, lambda desk: desk.set_limits(order))
    tell(view, as_json, f"{'would set' if dry_run else 'set'} limits of {level} {key}: {limits_in_words(view)}")


@limit.command("rm")
@click.argument("level", type=_LEVELS)
@click.argument("key")
@as_json_option
@dry_run_option
@click.pass_obj
def limit_rm(context: Context, level: str, key: str, as_json: bool, dry_run: bool) -> None:
    """Take the limits of LEVEL and KEY away; the wider levels' remain."""
    from relay.control.accounts.views import NoLimits
    from relay.policy.limits.levels import Level

    order = NoLimits(level=Level(level), key=key, dry_run=dry_run)
    view = ask_desk(context, lambda desk: desk.remove_limits(order))
    tell(view, as_json, f"{'would remove' if dry_run else 'removed'} the limits of {level} {key}")


@limit.command("ls")
@click.argument("account", required=False, default="")
@as_json_option
@click.pass_obj
def limit_ls(context: Context, account: str, as_json: bool) -> None:
    """List the limits that differ from the settings, all or one account's."""
    from relay.control import show
    from relay.control.accounts import show as show_accounts

    views = ask_desk(context, lambda desk: desk.limits(account))
    show.as_json(views) if as_json else show_accounts.limits(views)
