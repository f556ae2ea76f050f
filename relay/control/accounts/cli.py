"""The command `account`. It works while the relay runs, and before its first start."""

from typing import TYPE_CHECKING, Any

import click

from relay.cli import Context
from relay.control.cli_options import (
    as_json_option,
    ask_desk,
    dry_run_option,
    password_option,
    read_password,
    secret_lines,
    tell,
)

if TYPE_CHECKING:
    from relay.control.accounts.views import AccountChanged

# Modules that cost time (HTTP, tables, settings) are imported where they are used: `account --help` needs none.


class _WithOldNames(click.Group):
    """Knows the verbs of earlier versions too, without showing them."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from relay.control.accounts import cli_credentials

        old = {
            "list": account_ls,
            "allow": cli_credentials.allow_add,
            "cred-add": cli_credentials.account_cred_add,
            "cred-revoke": cli_credentials.cred_revoke,
        }
        return old.get(cmd_name) or super().get_command(ctx, cmd_name)


@click.group(cls=_WithOldNames)
def account() -> None:
    """Customers of the relay: add, change, suspend, remove.

    Works while the relay runs, and before its first start.
    """


@account.command("add")
@click.argument("name")
@click.option("--shared-host", is_flag=True, help="Many end senders behind one login (a web server, a panel).")
@click.option("--contact", default="", help="Mail address of who answers for it.")
@click.option("--reseller", default="", help="Put it below this reseller.")
@click.option("--domain", "domains", multiple=True, help="A domain it sends for, '*': as anybody; may be repeated.")
@click.option("--rcpts-per-hour", type=click.IntRange(0), help="Limit of each end sender; 0: none.")
@click.option("--login", help="Its first login; default: NAME.")
@click.option("--no-login", is_flag=True, help="Make none (it will come from an allowed network).")
@password_option
@as_json_option
@dry_run_option
@click.pass_obj
def account_add(context: Context, /, **options: Any) -> None:
    """Add an account with a login.

    The password is generated and shown this once, or read from standard input.
    """
    from relay.control.accounts.views import Limits, NewAccount

    new = NewAccount(
        name=options["name"],
        reseller=options["reseller"],
        shared_host=options["shared_host"],
        contact=options["contact"],
        sender_limits=Limits(rcpts_per_hour=options["rcpts_per_hour"]),
        domains=list(options["domains"]),
        login="" if options["no_login"] else options["login"] or options["name"],
        password=read_password(options["password_stdin"]),
        dry_run=options["dry_run"],
    )
    added = ask_desk(context, lambda desk: desk.add_account(new))
    lines = secret_lines(added.secret) if added.secret else []
    tell(added, options["as_json"], f"{'would add' if new.dry_run else 'added'} account {added.account.name}", *lines)


@account.command("ls")
@as_json_option
@click.pass_obj
def account_ls(context: Context, as_json: bool) -> None:
    """List all accounts."""
    from relay.control import show
    from relay.control.accounts import show as show_accounts

    views = ask_desk(context, lambda desk: desk.accounts())
    show.as_json(views) if as_json else show_accounts.accounts(views)


@account.command("show")
@click.argument("name")
@as_json_option
@click.pass_obj
def account_show(context: Context, name: str, as_json: bool) -> None:
    """Show everything about one account."""
    from relay.control import show
    from relay.control.accounts import show as show_accounts

    view = ask_desk(context, lambda desk: desk.account(name))
    show.as_json(view) if as_json else show_accounts.account(view)


@account.command("set")
@click.argument("name")
@click.option("--shared-host/--no-shared-host", default=None, help="Many end senders behind one login, or one.")
@click.option("--contact", help="Mail address of who answers for it.")
@click.option("--reseller", help="Move it below this reseller; '': below none.")
@click.option("--domain", "add_domains", multiple=True, help="One more domain, '*': any; may be repeated.")
@click.option("--no-domain", "remove_domains", multiple=True, help="One domain less; may be repeated.")
@click.option(
    "--identity-rule",
    "identity_rules",
    multiple=True,
    metavar="KIND=SOURCE[~PATTERN][!keep]",
    help="How the end sender is named, in this order, instead of the usual one; may be repeated.",
)
@click.option("--usual-identity", is_flag=True, help="Name the end sender in the usual order again.")
@click.option(
    "--normalise-line-ends/--refuse-bare-line-ends",
    "normalises_line_ends",
    default=None,
    help="Bare CR and LF become CRLF, or are refused.",
)
@click.option("--pool", help="Egress pool of its own (`mailweir pool`); '': those of all.")
@click.option(
    "--list-unsubscribe",
    type=click.Choice(["on", "off"]),
    help="Add one-click List-Unsubscribe to its mail that has none (needs web.public_url).",
)
@as_json_option
@dry_run_option
@click.pass_obj
def account_set(context: Context, /, **options: Any) -> None:
    """Change what is given of an account; the rest stays."""
    from msgspec import UNSET

    from relay.control.accounts.views import AccountChange

    def given(name: str) -> Any:
        return UNSET if options[name] is None else options[name]

    if options["usual_identity"] and options["identity_rules"]:
        raise click.UsageError("give --identity-rule or --usual-identity, not both")
    wish = options["list_unsubscribe"]
    if wish == "on" and not context.settings().web.public_url:
        raise click.UsageError("--list-unsubscribe on: set web.public_url first, the address of the links")
    has_rules = options["usual_identity"] or options["identity_rules"]
    change = AccountChange(
        reseller=given("reseller"),
        shared_host=given("shared_host"),
        contact=given("contact"),
        add_domains=list(options["add_domains"]),
        remove_domains=list(options["remove_domains"]),
        identity_rules=list(options["identity_rules"]) if has_rules else UNSET,
        normalises_line_ends=given("normalises_line_ends"),
        pool=given("pool"),
        list_unsubscribe=UNSET if wish is None else wish == "on",
        dry_run=options["dry_run"],
    )
    changed = ask_desk(context, lambda desk: desk.change_account(options["name"], change))
    verb, done = ("change", "changed") if changed.undo else ("find nothing to change in", "found nothing to change in")
    _tell_changed(changed, options["as_json"], verb, done)


@account.command("suspend")
@click.argument("name")
@as_json_option
@dry_run_option
@click.pass_obj
def account_suspend(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """Refuse all new mail of an account, at once.

    What it has in the queue is still delivered; `mailweir sender hold` parks it.
    """
    from relay.control.accounts.views import Order

    changed = ask_desk(context, lambda desk: desk.suspend_account(name, Order(dry_run=dry_run)))
    _tell_changed(changed, as_json, "suspend", "suspended")


@account.command("resume")
@click.argument("name")
@as_json_option
@dry_run_option
@click.pass_obj
def account_resume(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """Take mail of a suspended account again."""
    from relay.control.accounts.views import Order

    changed = ask_desk(context, lambda desk: desk.resume_account(name, Order(dry_run=dry_run)))
    _tell_changed(changed, as_json, "resume", "resumed")


@account.command("rm")
@click.argument("name")
@click.option("--force", is_flag=True, help="Even with mail in the spool: it is delivered, or stays held.")
@as_json_option
@dry_run_option
@click.pass_obj
def account_rm(context: Context, name: str, force: bool, as_json: bool, dry_run: bool) -> None:
    """End an account: its logins and networks go, its history stays."""
    from relay.control.accounts.views import Order

    changed = ask_desk(context, lambda desk: desk.remove_account(name, Order(dry_run=dry_run, force=force)))
    _tell_changed(changed, as_json, "remove", "removed")


@account.command("restore")
@click.argument("name")
@as_json_option
@dry_run_option
@click.pass_obj
def account_restore(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """Bring a removed account back, without its logins and networks."""
    from relay.control.accounts.views import Order

    changed = ask_desk(context, lambda desk: desk.restore_account(name, Order(dry_run=dry_run)))
    _tell_changed(changed, as_json, "restore", "restored")


def _tell_changed(changed: "AccountChanged", as_json: bool, verb: str, done: str) -> None:
    spooled = (
        f" ({changed.waiting} messages to deliver, {changed.held} held)" if changed.waiting or changed.held else ""
    )
    would = f"would {verb}" if changed.dry_run else done
    tell(changed, as_json, f"{would} account {changed.account.name}{spooled}")
