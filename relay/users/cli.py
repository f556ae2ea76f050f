"""The command `user`: who may sign in to the dashboard, as what, and for which part of the tree."""

import click

from relay.cli import Context
from relay.control.cli_options import (
    as_json_option,
    ask_desk,
    dry_run_option,
    duration,
    password_option,
    read_password,
    tell,
)

_ROLES = click.Choice(["viewer", "abuse", "operator", "admin"])  # tree.Role


@click.group()
def user() -> None:
    """People who sign in to the dashboard: add, ls, set, passwd, token, rm.

    viewer looks; abuse holds and releases; operator changes limits, queues and models; admin manages accounts and
    users. With --reseller or --account a user sees and does that for this part only. Works before the first start too.
    """


@user.command("add")
@click.argument("name")
@click.option("--role", type=_ROLES, default="viewer", show_default=True)
@click.option("--reseller", default="", help="Sees only this reseller's accounts.")
@click.option("--account", default="", help="Sees only this account.")
@click.option(
    "--oidc",
    "--no-password",
    "by_provider",
    is_flag=True,
    help="Signs in through the identity provider, or is a program.",
)
@password_option
@as_json_option
@dry_run_option
@click.pass_obj
def user_add(
    context: Context,
    name: str,
    role: str,
    reseller: str,
    account: str,
    by_provider: bool,
    password_stdin: bool,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Add a user; without --password-stdin a password is made and shown once."""
    from relay.tree import Role
    from relay.users.views import NewUser

    new = NewUser(
        name=name,
        role=Role(role),
        reseller=reseller,
        account=account,
        password=read_password(password_stdin),
        by_provider=by_provider,
        dry_run=dry_run,
    )
    view = ask_desk(context, lambda desk: desk.add_user(new))
    lines = [f"{'would add' if dry_run else 'added'} {view.role.value} {view.name}{_part(view.reseller, view.account)}"]
    if view.password:
        lines.append(f"password: {view.password}    (shown this once; not stored in clear)")
    tell(view, as_json, *lines)


@user.command("ls")
@as_json_option
@click.pass_obj
def user_ls(context: Context, as_json: bool) -> None:
    """List users."""
    from relay.control import show

    views = ask_desk(context, lambda desk: desk.users())
    if as_json:
        show.as_json(views)
        return
    rows = (
        (
            view.name,
            view.role.value,
            _part(view.reseller, view.account).strip() or "everything",
            view.signs_in,
            "disabled" if view.is_disabled else "ok",
        )
        for view in views
    )
    show.table(("user", "role", "sees", "signs in by", "state"), rows, "no users: the dashboard asks nobody to sign in")


@user.command("set")
@click.argument("name")
@click.option("--role", type=_ROLES)
@click.option("--reseller", help='Sees only this reseller\'s accounts; "" everything.')
@click.option("--account", help='Sees only this account; "" everything.')
@click.option("--disable/--enable", "is_disabled", default=None, help="Nobody signs in under this name; sessions end.")
@as_json_option
@dry_run_option
@click.pass_obj
def user_set(
    context: Context,
    name: str,
    role: str | None,
    reseller: str | None,
    account: str | None,
    is_disabled: bool | None,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Change a user's role, part of the tree or state; it counts at once, in open sessions too."""
    from relay.tree import Role
    from relay.users.views import UserChange

    change = UserChange(
        role=Role(role) if role else None,
        reseller=reseller,
        account=account,
        is_disabled=is_disabled,
        dry_run=dry_run,
    )
    view = ask_desk(context, lambda desk: desk.change_user(name, change))
    what = f"{view.role.value}{_part(view.reseller, view.account)}{', disabled' if view.is_disabled else ''}"
    tell(view, as_json, f"{view.name} {'would be' if dry_run else 'is'} {what}")


@user.command("passwd")
@click.argument("name")
@password_option
@as_json_option
@click.pass_obj
def user_passwd(context: Context, name: str, password_stdin: bool, as_json: bool) -> None:
    """Give a user another password; all sessions end."""
    from relay.users.views import UserChange

    change = UserChange(password=read_password(password_stdin), new_password=not password_stdin)
    view = ask_desk(context, lambda desk: desk.change_user(name, change))
    shown = f"password: {view.password}    (shown this once; not stored in clear)" if view.password else "changed"
    tell(view, as_json, shown)


@user.command("token")
@click.argument("name")
@click.option("--for", "seconds", type=duration, default="365d", show_default=True, metavar="DURATION")
@as_json_option
@dry_run_option
@click.pass_obj
def user_token(context: Context, name: str, seconds: float, as_json: bool, dry_run: bool) -> None:
    """Make a token for a program that acts as this user on the control API.

    What ends the user's sessions ends it too: another password, --disable, rm.
    """
    from relay.control import show
    from relay.users.views import TokenOrder

    made = ask_desk(context, lambda desk: desk.make_token(name, TokenOrder(seconds=seconds, dry_run=dry_run)))
    if dry_run:
        tell(made, as_json, f"would make a token of {name}")
        return
    tell(made, as_json, f"token: {made.token}    (shown this once)", f"good until {show.clean(made.expires_at)} UTC")


@user.command("rm")
@click.argument("name")
@as_json_option
@dry_run_option
@click.pass_obj
def user_rm(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """Remove a user; all sessions end. What was done under this name stays in the audit log."""
    view = ask_desk(context, lambda desk: desk.remove_user(name, dry_run=dry_run))
    tell(view, as_json, f"{'would remove' if dry_run else 'removed'} {view.name}")


def _part(reseller: str, account: str) -> str:
    if account:
        return f" of account {account}"
    return f" of reseller {reseller}" if reseller else ""
