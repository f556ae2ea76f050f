"""The command `reseller`. It works while the relay runs, and before its first start."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask_desk, dry_run_option, tell

if TYPE_CHECKING:
    from relay.resellers.views import BrandDone

_HOST = "HOST"


@click.group()
def reseller() -> None:
    """Resellers, who answer for accounts: add, set, suspend, remove, brand.

    Works while the relay runs, and before its first start.
    """


@reseller.command("add")
@click.argument("name")
@click.option("--contact", default="", help="Whom the operator writes to.")
@as_json_option
@dry_run_option
@click.pass_obj
def reseller_add(context: Context, name: str, contact: str, as_json: bool, dry_run: bool) -> None:
    """Add a reseller; `account add --reseller` puts accounts below it, `limit set reseller` limits all of it."""
    from relay.control.accounts.views import NewReseller

    new = NewReseller(name=name, contact=contact, dry_run=dry_run)
    view = ask_desk(context, lambda desk: desk.add_reseller(new))
    tell(view, as_json, f"{'would add' if dry_run else 'added'} reseller {name}")


@reseller.command("ls")
@as_json_option
@click.pass_obj
def reseller_ls(context: Context, as_json: bool) -> None:
    """List all resellers."""
    from relay.control import show
    from relay.control.accounts import show as show_accounts

    views = ask_desk(context, lambda desk: desk.resellers())
    show.as_json(views) if as_json else show_accounts.resellers(views)


@reseller.command("set")
@click.argument("name")
@click.option("--contact", required=True, help="Whom the operator writes to.")
@as_json_option
@dry_run_option
@click.pass_obj
def reseller_set(context: Context, name: str, contact: str, as_json: bool, dry_run: bool) -> None:
    """Set a reseller's contact."""
    from relay.resellers.views import ResellerChange

    change = ResellerChange(contact=contact, dry_run=dry_run)
    view = ask_desk(context, lambda desk: desk.change_reseller(name, change))
    tell(view, as_json, f"{'would set' if dry_run else 'set'} the contact of reseller {name}: {view.contact or 'none'}")


@reseller.command("suspend")
@click.argument("name")
@as_json_option
@dry_run_option
@click.pass_obj
def reseller_suspend(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """Refuse all new mail of all its accounts, at once."""
    from relay.control.accounts.views import Order

    view = ask_desk(context, lambda desk: desk.suspend_reseller(name, Order(dry_run=dry_run)))
    tell(view, as_json, f"{'would suspend' if dry_run else 'suspended'} reseller {name} ({view.accounts} accounts)")


@reseller.command("resume")
@click.argument("name")
@as_json_option
@dry_run_option
@click.pass_obj
def reseller_resume(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """Take mail of a suspended reseller's accounts again."""
    from relay.control.accounts.views import Order

    view = ask_desk(context, lambda desk: desk.resume_reseller(name, Order(dry_run=dry_run)))
    tell(view, as_json, f"{'would resume' if dry_run else 'resumed'} reseller {name} ({view.accounts} accounts)")


@reseller.command("remove")
@click.argument("name")
@as_json_option
@dry_run_option
@click.pass_obj
def reseller_remove(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """End a reseller without accounts and users; history keeps its name."""
    from relay.control.accounts.views import Order

    view = ask_desk(context, lambda desk: desk.remove_reseller(name, Order(dry_run=dry_run)))
    tell(view, as_json, f"{'would remove' if dry_run else 'removed'} reseller {name}")


@reseller.command("restore")
@click.argument("name")
@as_json_option
@dry_run_option
@click.pass_obj
def reseller_restore(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """Bring a removed reseller back, with its limits and brand."""
    from relay.control.accounts.views import Order

    view = ask_desk(context, lambda desk: desk.restore_reseller(name, Order(dry_run=dry_run)))
    tell(view, as_json, f"{'would restore' if dry_run else 'restored'} reseller {name}")


@reseller.group()
def brand() -> None:
    """How a reseller's customers see this relay: show, set, back."""


@brand.command("show")
@click.argument("name")
@click.option("--logo-to", type=click.Path(dir_okay=False, path_type=Path), help="Write the logo to this file.")
@as_json_option
@click.pass_obj
def brand_show(context: Context, name: str, logo_to: Path | None, as_json: bool) -> None:
    """Show a reseller's brand and its earlier versions."""
    from relay.control import show

    view = ask_desk(context, lambda desk: desk.brand(name))
    if logo_to is not None:
        logo_to.write_bytes(view.brand.logo)
    if as_json:
        show.as_json(view)
        return
    logo = f"{view.brand.logo_type}, {len(view.brand.logo)} bytes" if view.brand.logo else ""
    parts = ("name", "colour", "reply_to", "notice_text", "web_host", "release_host", "bounce_host", "dashboard_host")
    rows = [("logo", logo), *((part.replace("_", " "), getattr(view.brand, part)) for part in parts)]
    show.table(("part", "value"), [(part, value or "(the relay's own)") for part, value in rows], "")
    versions = [(one.version, one.set_at, one.author, one.name) for one in view.versions]
    show.table(("version", "set at (UTC)", "by", "name"), versions, "no brand was set yet")


@brand.command("set")
@click.argument("name")
@click.option("--name", "shown", help="What customers read instead of `Mail relay`.")
@click.option("--colour", help="Of buttons and the dashboard's edge, like #0b57d0.")
@click.option("--logo", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PNG or SVG, up to 32 KB.")
@click.option("--no-logo", is_flag=True, help="Without a logo again.")
@click.option("--reply-to", metavar="ADDRESS", help="Whom its customers write to.")
@click.option("--notice-text", help="Stands at the end of each notice to its customers.")
@click.option("--web-host", metavar=_HOST, help="In unsubscribe links.")
@click.option("--release-host", metavar=_HOST, help="In release links.")
@click.option("--bounce-host", metavar=_HOST, help="In its customers' return-path records.")
@click.option("--dashboard-host", metavar=_HOST, help="Where the sign-in page is its own.")
@as_json_option
@dry_run_option
@click.pass_obj
def brand_set(context: Context, /, **options: Any) -> None:
    """Change parts of a reseller's brand; "" is the relay's own again."""
    from relay.resellers.views import BrandOrder

    parts = ("colour", "reply_to", "notice_text", "web_host", "release_host", "bounce_host", "dashboard_host")
    given: dict[str, Any] = {part: options[part] for part in parts if options[part] is not None}
    if options["shown"] is not None:
        given["name"] = options["shown"]
    if options["no_logo"]:
        given["logo"] = b""
    elif options["logo"] is not None:
        given["logo"] = options["logo"].read_bytes()
    if not given:
        raise click.UsageError("give at least one part, such as --name 'North Hosting'")
    order, name = BrandOrder(**given, dry_run=options["dry_run"]), options["name"]
    _tell_done(ask_desk(context, lambda desk: desk.set_brand(name, order)), name, options["as_json"])


@brand.command("back")
@click.argument("name")
@click.argument("version", type=click.IntRange(0))
@as_json_option
@dry_run_option
@click.pass_obj
def brand_back(context: Context, name: str, version: int, as_json: bool, dry_run: bool) -> None:
    """Put an earlier version in force again; 0: no brand."""
    from relay.resellers.views import BrandBack

    order = BrandBack(version=version, dry_run=dry_run)
    _tell_done(ask_desk(context, lambda desk: desk.brand_back(name, order)), name, as_json)


def _tell_done(done: "BrandDone", name: str, as_json: bool) -> None:
    verb = "would be" if done.dry_run else "is"
    tell(done, as_json, f"version {done.brand.version} of the brand of {name} {verb} in force")
