"""The command `tenant`: customers of a platform, below its one account."""

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option, tell


@click.group()
def tenant() -> None:
    """Tenants of a platform's account: the header that names them, ls, pause, resume."""


@tenant.command("header")
@click.argument("account")
@click.argument("header", default="X-Tenant")
@click.option("--none", "is_none", is_flag=True, help="No header names tenants any more.")
@as_json_option
@dry_run_option
@click.pass_obj
def tenant_header(context: Context, account: str, header: str, is_none: bool, as_json: bool, dry_run: bool) -> None:
    """Have HEADER of an account's mail name its tenants.

    Each tenant then has limits, triggers, standing and reputation of its own. The header leaves the message before
    delivery. Mail without it stands under the login.
    """
    from relay.tenants.views import TenantHeaderOrder

    order = TenantHeaderOrder(header="" if is_none else header, dry_run=dry_run)
    done = ask(context, lambda relay: relay.set_tenant_header(account, order))
    verb = "would name" if dry_run else "names"
    said = f"{done.header} {verb} the tenants of {account}" if done.header else f"no header {verb} tenants of {account}"
    tell(done, as_json, said)


@tenant.command("ls")
@click.argument("account")
@as_json_option
@click.pass_obj
def tenant_ls(context: Context, account: str, as_json: bool) -> None:
    """List tenants that are paused or stopped, or have mail that waits."""
    from relay.control import show

    view = ask(context, lambda relay: relay.tenants(account))
    if as_json:
        show.as_json(view)
        return
    click.echo(f"header: {view.header or '(none; set it with: mailweir tenant header ' + account + ')'}")
    rows = [(one.tenant, one.standing, one.waiting, one.paused_by, one.since or "", one.reason) for one in view.tenants]
    head = ("tenant", "standing", "waiting", "paused by", "since (UTC)", "reason")
    show.table(head, rows, "no tenant is paused or stopped, and nothing waits")


@tenant.command("pause")
@click.argument("account")
@click.argument("tenant_name", metavar="TENANT")
@click.option("--reason", default="paused by hand", help="Shown in `tenant ls` and `queue ls`.")
@as_json_option
@dry_run_option
@click.pass_obj
def tenant_pause(context: Context, account: str, tenant_name: str, reason: str, as_json: bool, dry_run: bool) -> None:
    """Let one tenant's mail lie, new mail too, until it is resumed. The others notice nothing."""
    from relay.tenants.views import TenantOrder

    order = TenantOrder(reason=reason, dry_run=dry_run)
    done = ask(context, lambda relay: relay.pause_tenant(account, tenant_name, order))
    tell(done, as_json, f"{'would pause' if dry_run else 'paused'} tenant {done.tenant} of {account}")


@tenant.command("resume")
@click.argument("account")
@click.argument("tenant_name", metavar="TENANT")
@as_json_option
@dry_run_option
@click.pass_obj
def tenant_resume(context: Context, account: str, tenant_name: str, as_json: bool, dry_run: bool) -> None:
    """End a tenant's pause; what came due meanwhile is tried now."""
    from relay.tenants.views import TenantOrder

    done = ask(context, lambda relay: relay.resume_tenant(account, tenant_name, TenantOrder(dry_run=dry_run)))
    tell(done, as_json, f"{'would resume' if dry_run else 'resumed'} tenant {done.tenant} of {account}")
