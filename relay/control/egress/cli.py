"""The command `ip`. It works while the relay runs, and before its first start."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask_desk, dry_run_option, tell

if TYPE_CHECKING:
    from relay.control.egress.calls import EgressCalls

# Modules that cost time (HTTP, tables, settings) are imported where they are used: `ip --help` needs none.

_T = TypeVar("_T")
_reason_option = click.option("--reason", default="", help="Why; kept in the audit log.")
_force_option = click.option("--force", is_flag=True, help="Even an address that this machine does not have (yet).")


def ask_egress(context: Context, question: "Callable[[EgressCalls], _T]") -> _T:
    """Ask the running relay about egress, or its state when none runs."""
    from relay.control.egress.calls import EgressCalls

    return ask_desk(context, lambda desk: question(EgressCalls(desk)))


@click.group()
def ip() -> None:
    """Addresses mail leaves from: add, check, quarantine, retire.

    Works while the relay runs, and before its first start.
    """


@ip.command("ls")
@as_json_option
@click.pass_obj
def ip_ls(context: Context, as_json: bool) -> None:
    """List all sources, and where destinations hold something against them."""
    from relay.control import show
    from relay.control.egress import show as show_egress

    views = ask_egress(context, lambda egress: egress.sources())
    show.as_json(views) if as_json else show_egress.sources(views)


@ip.command("show")
@click.argument("name")
@as_json_option
@click.pass_obj
def ip_show(context: Context, name: str, as_json: bool) -> None:
    """Show everything about one source."""
    from relay.control import show
    from relay.control.egress import show as show_egress

    view = ask_egress(context, lambda egress: egress.source(name))
    show.as_json(view) if as_json else show_egress.source(view)


@ip.command("check")
@click.argument("name")
@as_json_option
@click.pass_obj
def ip_check(context: Context, name: str, as_json: bool) -> int:
    """Ask DNS whether a source's address, its reverse name and its EHLO name agree.

    Exit code 1 when they do not.
    """
    from relay.control import show
    from relay.control.egress import ip_checks

    view = ask_egress(context, lambda egress: egress.source(name))
    found = ip_checks.check(context.settings(), view)
    if as_json:
        show.as_json(found)
    else:
        for line in found.lines():
            click.echo(show.clean(line))
    return 0 if found.is_well else 1


@ip.command("add")
@click.argument("name")
@click.argument("address")
@click.option("--ehlo", default="", help="Its EHLO name; default: node.hostname.")
@click.option("--warm-up", "is_warming", is_flag=True, help="It is new to the world: begin with its warm-up.")
@_force_option
@as_json_option
@dry_run_option
@click.pass_obj
def ip_add(
    context: Context, /, name: str, address: str, ehlo: str, is_warming: bool, force: bool, as_json: bool, dry_run: bool
) -> None:
    """Add a local address as a source; `pool set` puts it into a pool."""
    from relay.control.egress.views import NewSource

    new = NewSource(name=name, address=address, ehlo=ehlo, is_warming=is_warming, force=force, dry_run=dry_run)
    view = ask_egress(context, lambda egress: egress.add_source(new))
    lines = [
        f"{'would add' if dry_run else 'added'} source {name}, {view.address}",
        *([view.note] if view.note else []),
    ]
    tell(view, as_json, *lines)


@ip.command("set")
@click.argument("name")
@click.option("--address", help="Another address.")
@click.option("--ehlo", help="Another EHLO name; '': node.hostname.")
@_force_option
@as_json_option
@dry_run_option
@click.pass_obj
def ip_set(
    context: Context, name: str, address: str | None, ehlo: str | None, force: bool, as_json: bool, dry_run: bool
) -> None:
    """Change what is given of a source; the rest stays."""
    from msgspec import UNSET

    from relay.control.egress.views import SourceChange

    change = SourceChange(
        address=UNSET if address is None else address,
        ehlo=UNSET if ehlo is None else ehlo,
        force=force,
        dry_run=dry_run,
    )
    view = ask_egress(context, lambda egress: egress.change_source(name, change))
    tell(view, as_json, f"{'would change' if dry_run else 'changed'} source {name}")


def _stand(
    context: Context,
    name: str,
    verb: Literal["activate", "quarantine", "retire"],
    as_json: bool,
    dry_run: bool,
    reason: str,
) -> None:
    from relay.control.egress.views import StandOrder

    view = ask_egress(context, lambda egress: egress.stand(name, verb, StandOrder(reason=reason, dry_run=dry_run)))
    done = f"would {verb}" if dry_run else f"{verb.removesuffix('e')}ed"
    tell(view, as_json, f"{done} source {name}", *([view.note] if view.note else []))


@ip.command("activate")
@click.argument("name")
@_reason_option
@as_json_option
@dry_run_option
@click.pass_obj
def ip_activate(context: Context, name: str, as_json: bool, dry_run: bool, reason: str) -> None:
    """Use a source again, also where it rests now."""
    _stand(context, name, "activate", as_json, dry_run, reason)


@ip.command("quarantine")
@click.argument("name")
@_reason_option
@as_json_option
@dry_run_option
@click.pass_obj
def ip_quarantine(context: Context, name: str, as_json: bool, dry_run: bool, reason: str) -> None:
    """Give a source nothing new, until `ip activate`; what is in flight ends."""
    _stand(context, name, "quarantine", as_json, dry_run, reason)


@ip.command("retire")
@click.argument("name")
@_reason_option
@as_json_option
@dry_run_option
@click.pass_obj
def ip_retire(context: Context, name: str, as_json: bool, dry_run: bool, reason: str) -> None:
    """Take a source out of use for good; its name stays."""
    _stand(context, name, "retire", as_json, dry_run, reason)


@ip.command("rm")
@click.argument("name")
@as_json_option
@dry_run_option
@click.pass_obj
def ip_rm(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """Forget a source that no pool has, with its warm-up."""
    from relay.control.accounts.views import Order

    view = ask_egress(context, lambda egress: egress.remove_source(name, Order(dry_run=dry_run)))
    tell(view, as_json, f"{'would remove' if dry_run else 'removed'} source {name}")
