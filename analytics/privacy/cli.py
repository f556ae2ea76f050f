"""The commands `forget` and `purge`. What they run is imported when they run."""

import re
from typing import TYPE_CHECKING

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option

if TYPE_CHECKING:
    from relay.privacy.views import Trace

_SECONDS = 3600.0
_DAYS = re.compile(r"(\d{1,5})d?")


@click.command()
@click.argument("address")
@click.option("--suppression", is_flag=True, help="Take it off the suppression list too: it may get mail again.")
@as_json_option
@dry_run_option
@click.pass_obj
def forget(context: Context, address: str, suppression: bool, as_json: bool, dry_run: bool) -> None:
    """Forget a person: a keyed name takes the place of an address wherever it is past.

    State, spool, warehouse, archived journals, audit log; reports as they came are deleted. What is in force stays and
    is named with the command that changes it. `--dry-run` lists what is found where. It cannot be undone.
    """
    from relay.control import show
    from relay.privacy.views import ForgetOrder, Forgot

    order = ForgetOrder(address=address, suppression=suppression, dry_run=dry_run)
    by_relay = ask(context, lambda relay: relay.forget(order))
    traces = _analytics(context, "forgotten", address=address, token=by_relay.token, dry_run=dry_run)
    done = Forgot(token=by_relay.token, traces=[*by_relay.traces, *traces], dry_run=dry_run)
    if as_json:
        show.as_json(done)
        return
    _table(done.traces, dry_run)
    click.echo(f"in its place: {done.token}; not looked into: backups, exported files, the system's log")


@click.command()
@click.option("--older-than", metavar="DAYS", help="Delete messages and their journals older than that, like 30d.")
@click.option("--account", help="Delete all that is kept of an account that was removed.")
@as_json_option
@dry_run_option
@click.pass_obj
def purge(context: Context, older_than: str | None, account: str | None, as_json: bool, dry_run: bool) -> None:
    """Delete what is kept of old messages, or of a customer who left, before its time.

    The relay's own rows (decisions, audit log) and what is counted of everybody together stay. It cannot be undone.
    """
    from relay.control import show

    if (older_than is None) == (account is None):
        raise click.UsageError("give --older-than DAYS or --account NAME, one of them")
    if account is not None:
        _refuse_active(context, account)
        traces = _analytics(context, "purge", account=account, dry_run=dry_run)
    else:
        found = _DAYS.fullmatch(older_than or "")
        if not found:
            raise click.UsageError(f"--older-than {older_than}: write days, like 30d")
        traces = _analytics(context, "purge", days=int(found[1]), dry_run=dry_run)
    if as_json:
        show.as_json(traces)
        return
    _table(traces, dry_run)


def _refuse_active(context: Context, account: str) -> None:
    """Its data are in use: limits and reputation are made of them."""
    known = {one.name for one in ask(context, lambda relay: relay.accounts())}
    if account in known:
        raise click.ClickException(f"account {account!r} is active: mailweir account rm {account}, then purge it")


def _analytics(context: Context, door: str, **order: object) -> "list[Trace]":
    from analytics.client import QueryClient

    with QueryClient.of(context.settings(), "admin", timeout_seconds=_SECONDS) as analytics:
        return analytics.privacy(door, **order)


def _table(traces: "list[Trace]", dry_run: bool) -> None:
    from relay.control import show

    fates = {"replaced": "would be replaced", "deleted": "would be deleted"} if dry_run else {}
    rows = [(one.store, one.what, one.count, fates.get(one.fate, one.fate), one.why) for one in traces]
    show.table(("store", "what", "found", "", "why"), rows, "nothing was found")
