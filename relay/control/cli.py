"""The commands `account`, `held`, `sender` and `why`: the control API for people in a terminal."""

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from relay.cli import Context

if TYPE_CHECKING:
    from relay.control.client import ControlClient
    from relay.control.views import ReleaseOrder

_T = TypeVar("_T")

# Modules that cost time (HTTP, tables, settings) are imported where they are used: `account --help` needs none.

_DECISION = re.compile(r"[a-z0-9]{1,16}-d\d+")

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
_password = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@click.group()
def account() -> None:
    """Customers of the relay: accounts, logins, networks.

    Works while the relay runs, and before its first start.
    """


@account.command("add")
@click.argument("name")
@click.option("--shared-host", is_flag=True, help="Many end senders behind one login (a web server, a panel).")
@click.option("--contact", default="", help="Mail address of who answers for it.")
@click.option("--reseller", default="", help="Put it below this reseller.")
@click.option("--domain", "domains", multiple=True, help="A domain it sends for; may be repeated.")
@click.option("--rcpts-per-hour", type=click.IntRange(1), help="Limit of each end sender; default: the settings.")
@click.option("--login", help="Its first login; default: NAME.")
@click.option("--no-login", is_flag=True, help="Make none (it will come from an allowed network).")
@_password
@_json
@_dry_run
@click.pass_obj
def account_add(context: Context, /, **options: Any) -> None:
    """Add an account with a login.

    The password is generated and shown this once, or read from standard input.
    """
    from relay.control import show
    from relay.control.local import at_the_desk
    from relay.control.views import NewAccount

    login = "" if options["no_login"] else options["login"] or options["name"]
    new = NewAccount(
        name=options["name"],
        reseller=options["reseller"],
        shared_host=options["shared_host"],
        contact=options["contact"],
        rcpts_per_hour=options["rcpts_per_hour"],
        domains=list(options["domains"]),
        login=login,
        password=_read_password(options["password_stdin"]),
        dry_run=options["dry_run"],
    )
    added = at_the_desk(context.settings(), lambda desk: desk.add_account(new))
    if options["as_json"]:
        show.as_json(added)
        return
    click.echo(f"{'would add' if new.dry_run else 'added'} account {added.account.name}")
    if added.secret:
        _print_secret(added.secret.login, added.secret.password)


@account.command("list")
@_json
@click.pass_obj
def account_list(context: Context, as_json: bool) -> None:
    """List all accounts."""
    from relay.control import show
    from relay.control.local import at_the_desk

    views = at_the_desk(context.settings(), lambda desk: desk.accounts())
    show.as_json(views) if as_json else show.accounts(views)


@account.command("show")
@click.argument("name")
@_json
@click.pass_obj
def account_show(context: Context, name: str, as_json: bool) -> None:
    """Show one account."""
    from relay.control import show
    from relay.control.local import at_the_desk

    view = at_the_desk(context.settings(), lambda desk: desk.account(name))
    show.as_json(view) if as_json else show.accounts([view])


@account.command("cred-add")
@click.argument("name")
@click.option("--login", required=True, help="The new login; logins of all accounts differ.")
@_password
@_json
@_dry_run
@click.pass_obj
def cred_add(context: Context, name: str, login: str, password_stdin: bool, as_json: bool, dry_run: bool) -> None:
    """Add a login to account NAME, beside those it has."""
    from relay.control import show
    from relay.control.local import at_the_desk
    from relay.control.views import NewCredential

    new = NewCredential(login=login, password=_read_password(password_stdin), dry_run=dry_run)
    secret = at_the_desk(context.settings(), lambda desk: desk.add_credential(name, new))
    if as_json:
        show.as_json(secret)
    else:
        click.echo(f"{'would add' if dry_run else 'added'} a login to account {name}")
        _print_secret(secret.login, secret.password)


@account.command("cred-revoke")
@click.argument("login")
@_json
@click.pass_obj
def cred_revoke(context: Context, login: str, as_json: bool) -> None:
    """End a login for good."""
    from relay.control import show
    from relay.control.local import at_the_desk

    secret = at_the_desk(context.settings(), lambda desk: desk.revoke_credential(login))
    show.as_json(secret) if as_json else click.echo(f"login {login} of account {secret.account} is revoked")


@account.command("allow")
@click.argument("name")
@click.argument("network", metavar="CIDR")
@_json
@_dry_run
@click.pass_obj
def allow(context: Context, name: str, network: str, as_json: bool, dry_run: bool) -> None:
    """Let clients of the network CIDR be account NAME, without a password."""
    from relay.control import show
    from relay.control.local import at_the_desk
    from relay.control.views import NewNetwork

    view = at_the_desk(context.settings(), lambda desk: desk.allow(name, NewNetwork(network=network, dry_run=dry_run)))
    if as_json:
        show.as_json(view)
    else:
        click.echo(f"{'would allow' if dry_run else 'allowed'} {network} as account {name}")


@click.group()
def held() -> None:
    """Held mail: list, release, drop."""


@held.command("ls")
@click.option("--sender", default="", help="Only of this end sender (account|kind|value).")
@click.option("--account", default="", help="Only of this account.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=500, show_default=True)
@_json
@click.pass_obj
def held_ls(context: Context, sender: str, account: str, limit: int, as_json: bool) -> None:
    """List held messages, newest first."""
    from relay.control import show

    views = _ask(context, lambda relay: relay.held(sender=sender, account=account, limit=limit))
    show.as_json(views) if as_json else show.held(views)


@held.command("release")
@click.option("--sender", default="", help="All of this end sender; its hold ends too.")
@click.option("--message", "messages", multiple=True, help="Only this message; may be repeated.")
@click.option("--not-spam", is_flag=True, help="It was a mistake: forgive the sender, teach the model.")
@click.option("--note", default="", help="Why, for the audit log.")
@_json
@_dry_run
@click.pass_obj
def held_release(context: Context, /, **options: Any) -> None:
    """Send held mail on its way."""
    from relay.control import show

    if bool(options["sender"]) == bool(options["messages"]):
        raise click.UsageError("give --sender or --message")
    order = _release_order(options, sender=options["sender"], message_ids=list(options["messages"]))
    result = _ask(context, lambda relay: relay.release_held(order))
    show.as_json(result) if options["as_json"] else show.freed(result)


@held.command("drop")
@click.argument("messages", nargs=-1, required=True, metavar="MESSAGE...")
@click.option("--reason", default="dropped by hand", help="For the audit log.")
@_json
@_dry_run
@click.pass_obj
def held_drop(context: Context, messages: tuple[str, ...], reason: str, as_json: bool, dry_run: bool) -> None:
    """Delete held messages for good."""
    from relay.control import show
    from relay.control.views import DropOrder

    order = DropOrder(message_ids=list(messages), reason=reason, dry_run=dry_run)
    result = _ask(context, lambda relay: relay.drop_held(order))
    if as_json:
        show.as_json(result)
    else:
        click.echo(f"{'would drop' if dry_run else 'dropped'} {result.messages} messages")


@click.group()
def sender() -> None:
    """One end sender: show, hold, release.

    A sender is written account|kind|value; quote it in the shell.
    """


@sender.command("show")
@click.argument("sender")
@_json
@click.pass_obj
def sender_show(context: Context, sender: str, as_json: bool) -> None:
    """Show where a sender stands, and all decisions about it."""
    from relay.control import show

    view = _ask(context, lambda relay: relay.sender(sender))
    show.as_json(view) if as_json else show.sender(view)


@sender.command("hold")
@click.argument("sender")
@click.option("--reason", default="held by hand", help="Shown wherever the decision is.")
@click.option("--minutes", type=float, help="Ends by itself after; default: never.")
@_json
@_dry_run
@click.pass_obj
def sender_hold(
    context: Context, sender: str, reason: str, minutes: float | None, as_json: bool, dry_run: bool
) -> None:
    """Park everything a sender sends, and what is still queued."""
    from relay.control import show
    from relay.control.views import HoldOrder

    order = HoldOrder(reason=reason, minutes=minutes, dry_run=dry_run)
    result = _ask(context, lambda relay: relay.hold_sender(sender, order))
    if as_json:
        show.as_json(result)
    else:
        click.echo(show.clean(("Would do: " if dry_run else "") + result.decision.sentence))
        click.echo(f"{result.messages} undelivered messages parked")


@sender.command("release")
@click.argument("sender")
@click.option("--not-spam", is_flag=True, help="It was a mistake: forgive the sender, teach the model.")
@click.option("--note", default="", help="Why, for the audit log.")
@_json
@_dry_run
@click.pass_obj
def sender_release(context: Context, /, sender: str, **options: Any) -> None:
    """End every decision about a sender and free its held mail."""
    from relay.control import show

    order = _release_order(options)
    result = _ask(context, lambda relay: relay.release_sender(sender, order))
    show.as_json(result) if options["as_json"] else show.freed(result)


@click.command()
@click.argument("what", metavar="DECISION|MESSAGE|SENDER")
@_json
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


def _ask(context: Context, question: "Callable[[ControlClient], _T]") -> _T:
    from relay.control.client import ControlClient

    with ControlClient.of(context.settings()) as relay:
        return question(relay)


def _release_order(options: dict[str, Any], **more: Any) -> "ReleaseOrder":
    from relay.control.views import ReleaseOrder

    return ReleaseOrder(
        verdict="not_spam" if options["not_spam"] else "release",
        note=options["note"],
        dry_run=options["dry_run"],
        **more,
    )


def _read_password(from_stdin: bool) -> str:
    if not from_stdin:
        return ""
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise click.UsageError("--password-stdin: standard input has no password on its first line")
    return password


def _print_secret(login: str, password: str) -> None:
    click.echo(f"login:    {login}")
    if password:
        click.echo(f"password: {password}    (shown this once; not stored in clear)")
