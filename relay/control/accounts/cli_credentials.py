"""The commands `cred` and `allow`: who gets in with a password, and who without."""

from typing import Any

import click

from relay.cli import Context
from relay.control.cli_options import (
    as_json_option,
    ask_desk,
    dry_run_option,
    duration,
    password_option,
    read_password,
    secret_lines,
    tell,
)


@click.group()
def cred() -> None:
    """Logins of accounts: add, rotate, revoke, list.

    Works while the relay runs, and before its first start.
    """


@cred.command("add")
@click.argument("account")
@click.argument("login")
@click.option("--network", "networks", multiple=True, help="Good only from here (CIDR); may be repeated.")
@click.option("--domain", "domains", multiple=True, help="Sends only as d, or below d for '*.d'; may be repeated.")
@click.option("--end-sender", default="", help="All its mail counts as this end sender's.")
@password_option
@as_json_option
@dry_run_option
@click.pass_obj
def cred_add(context: Context, /, **options: Any) -> None:
    """Add a login to ACCOUNT, beside those it has.

    The password is generated and shown this once, or read from standard input.
    """
    from relay.control.accounts.views import NewCredential

    new = NewCredential(
        login=options["login"],
        password=read_password(options["password_stdin"]),
        networks=list(options["networks"]),
        sender_domains=list(options["domains"]),
        end_sender=options["end_sender"],
        dry_run=options["dry_run"],
    )
    secret = ask_desk(context, lambda desk: desk.add_credential(options["account"], new))
    would = "would add" if new.dry_run else "added"
    tell(secret, options["as_json"], f"{would} a login to account {secret.account}", *secret_lines(secret))


@click.command("cred-add", hidden=True)
@click.argument("account")
@click.option("--login", required=True, help="The new login; logins of all accounts differ.")
@password_option
@as_json_option
@dry_run_option
@click.pass_context
def account_cred_add(ctx: click.Context, /, **options: Any) -> None:
    """Add a login; now written `mailweir cred add ACCOUNT LOGIN`."""
    ctx.invoke(cred_add, networks=(), domains=(), end_sender="", **options)


@cred.command("rotate")
@click.argument("login")
@click.option(
    "--overlap",
    type=duration,
    default="24h",
    metavar="DURATION",
    show_default=True,
    help="The old password stays good for.",
)
@password_option
@as_json_option
@dry_run_option
@click.pass_obj
def cred_rotate(
    context: Context, login: str, overlap: float, password_stdin: bool, as_json: bool, dry_run: bool
) -> None:
    """Give LOGIN a new password, good at once.

    The old one stays good until the overlap ends; one that was still good from an earlier rotation does not.
    """
    from relay.control import show
    from relay.control.accounts.views import Rotation

    order = Rotation(overlap_seconds=overlap, password=read_password(password_stdin), dry_run=dry_run)
    secret = ask_desk(context, lambda desk: desk.rotate_credential(login, order))
    until = f"good until {show.clean(secret.previous_until)} UTC" if secret.previous_until else "not good any more"
    tell(
        secret,
        as_json,
        f"{'would rotate' if dry_run else 'rotated'} the password of account {secret.account}",
        *secret_lines(secret),
        f"the old password {'would be ' if dry_run else 'is '}{until}",
    )


@cred.command("revoke")
@click.argument("login")
@as_json_option
@dry_run_option
@click.pass_obj
def cred_revoke(context: Context, login: str, as_json: bool, dry_run: bool) -> None:
    """End a login for good, at once; open sessions lose it too."""
    from relay.control.accounts.views import Order

    secret = ask_desk(context, lambda desk: desk.revoke_credential(login, Order(dry_run=dry_run)))
    would = "would be" if dry_run else "is"
    tell(secret, as_json, f"login {login} of account {secret.account} {would} revoked, which cannot be undone")


@cred.command("ls")
@click.argument("account", required=False, default="")
@as_json_option
@click.pass_obj
def cred_ls(context: Context, account: str, as_json: bool) -> None:
    """List logins, of all accounts or one, with their last use."""
    from relay.control import show
    from relay.control.accounts import show as show_accounts

    views = ask_desk(context, lambda desk: desk.credentials(account))
    show.as_json(views) if as_json else show_accounts.credentials(views)


@click.group()
def allow() -> None:
    """Networks whose clients need no password: add, rm, ls.

    Works while the relay runs, and before its first start.
    """


@allow.command("add")
@click.argument("account")
@click.argument("network", metavar="CIDR")
@as_json_option
@dry_run_option
@click.pass_obj
def allow_add(context: Context, account: str, network: str, as_json: bool, dry_run: bool) -> None:
    """Let clients of the network CIDR be ACCOUNT, without a password."""
    from relay.control.accounts.views import NewNetwork

    view = ask_desk(context, lambda desk: desk.allow(account, NewNetwork(network=network, dry_run=dry_run)))
    tell(view, as_json, f"{'would allow' if dry_run else 'allowed'} {view.network} as account {view.account}")


@allow.command("rm")
@click.argument("network", metavar="CIDR")
@as_json_option
@dry_run_option
@click.pass_obj
def allow_rm(context: Context, network: str, as_json: bool, dry_run: bool) -> None:
    """Ask clients of the network CIDR for a password again."""
    from relay.control.accounts.views import NewNetwork

    view = ask_desk(context, lambda desk: desk.disallow(NewNetwork(network=network, dry_run=dry_run)))
    would = "would no longer be" if dry_run else "is no longer"
    tell(view, as_json, f"{view.network} {would} account {view.account}")


@allow.command("ls")
@click.argument("account", required=False, default="")
@as_json_option
@click.pass_obj
def allow_ls(context: Context, account: str, as_json: bool) -> None:
    """List allowed networks, the narrowest first."""
    from relay.control import show
    from relay.control.accounts import show as show_accounts

    views = ask_desk(context, lambda desk: desk.networks(account))
    show.as_json(views) if as_json else show_accounts.networks(views)
