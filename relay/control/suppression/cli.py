"""The command `suppress`: recipients an account may not write to."""

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING, Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask_desk, dry_run_option, duration, tell
from relay.control.sheet import inert, restored

if TYPE_CHECKING:
    from relay.control.accounts.calls import AccountCalls
    from relay.control.suppression.views import SuppressionChanged, SuppressionRow, SuppressionView

_REASONS = click.Choice(["unsubscribe", "complaint", "hard_bounce", "by_hand", "trap"])  # suppressed.Reason
_COLUMNS = ("account", "address", "reason", "evidence", "created_at", "ends_at")
_AT_ONCE = 2_000  # rows of a request: below the API's 5,000 rows, and below its megabyte with evidence of 300 bytes

_Command = Callable[..., Any]


def _whose_options(command: _Command) -> _Command:
    command = click.option("--global", "is_global", is_flag=True, help="The list that holds for all accounts.")(command)
    return click.option("--account", default="", help="The list of this account.")(command)


@click.group()
def suppress() -> None:
    """Recipients no mail may go to: ls, why, add, rm, import, export.

    In force at the next RCPT. Works while the relay runs, and before its first start.
    """


@suppress.command("ls")
@_whose_options
@click.option("--address", default="", help="Only this address.")
@click.option("--reason", type=_REASONS, default=None, help="Only rows of this reason.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@as_json_option
@click.pass_obj
def suppress_ls(context: Context, /, **options: Any) -> None:
    """List rows in force, of one account or of all, in the order of their addresses."""
    from relay.control import show

    views = ask_desk(
        context,
        lambda desk: desk.suppressions(
            _whose(options),
            address=options["address"],
            reason=options["reason"] or "",
            limit=options["limit"],
        ),
    )
    if options["as_json"]:
        show.as_json(views)
        return
    show.table(
        ("account", "address", "reason", "since (UTC)", "until (UTC)", "evidence"),
        ((one.account or "(all)", one.address, one.reason, one.created_at, one.ends_at, one.evidence) for one in views),
        "nobody is suppressed",
    )


@suppress.command("why")
@click.argument("address")
@_whose_options
@as_json_option
@click.pass_obj
def suppress_why(context: Context, /, **options: Any) -> int:
    """Say why no mail may go to an address: each list it is on, what shows it, until when, and the way off.

    Exit code 1 when it is on none.
    """
    from relay.control import show
    from relay.control.checks import shell

    whose, address = _whose(options), options["address"].strip().lower()
    views = ask_desk(context, lambda desk: [*desk.suppressions(whose, address=address)])
    if whose:
        views += ask_desk(context, lambda desk: _of_everybody(desk, address))
    if options["as_json"]:
        show.as_json(views)
        return 0 if views else 1
    for view in views:
        click.echo(f"{address} is on the list of {view.account or 'all accounts'}: {view.reason}")
        click.echo(show.clean(f"  shown by  {view.evidence or 'nothing that was noted'}"))
        click.echo(f"  since     {_said(view.created_at)}, until {_said(view.ends_at) or 'somebody removes it'}")
        of = ["--account", view.account] if view.account else ["--global"]
        click.echo(f"  undo: {shell('suppress', 'rm', address, *of)}")
    if not views:
        click.echo(f"{address} is on no list{f' of {whose}' if whose else ''}")
    return 0 if views else 1


@suppress.command("add")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@_whose_options
@click.option("--reason", type=_REASONS, default="by_hand", show_default=True)
@click.option("--evidence", default="", help="What shows it, in words.")
@click.option("--for", "lasting", default="", metavar="TIME", help="Like 30d; default: for good.")
@click.option("--until", default="", metavar="INSTANT", help="Like 2027-01-31T00:00:00+00:00; default: for good.")
@as_json_option
@dry_run_option
@click.pass_obj
def suppress_add(context: Context, /, **options: Any) -> None:
    """Send nothing more to these addresses."""
    from relay.control.suppression.suppressed import Reason
    from relay.control.suppression.views import SuppressionOrder, SuppressionRow

    if options["lasting"] and options["until"]:
        raise click.UsageError("give --for or --until, not both")
    ends_at = _instant(options["until"]) if options["until"] else None
    if options["lasting"]:
        ends_at = datetime.now(UTC) + timedelta(seconds=duration(options["lasting"]))
    rows = [
        SuppressionRow(address=address, reason=Reason(options["reason"]), evidence=options["evidence"], ends_at=ends_at)
        for address in options["addresses"]
    ]
    order = SuppressionOrder(rows=rows, account=_one_list(options), dry_run=options["dry_run"])
    _tell_added(ask_desk(context, lambda desk: desk.suppress(order)), options["as_json"])


@suppress.command("rm")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option("--file", "file", type=click.File(encoding="utf-8-sig"), help="All addresses of a CSV file.")
@_whose_options
@as_json_option
@dry_run_option
@click.pass_obj
def suppress_rm(context: Context, /, **options: Any) -> None:
    """Take addresses off the list: mail to them is taken again at once."""
    from relay.control.suppression.views import SuppressionRemoval

    addresses, account, is_dry = [*options["addresses"]], _one_list(options), options["dry_run"]
    if options["file"]:
        addresses += [row.address for row in _rows(options["file"])]
    if not addresses:
        raise click.UsageError("give addresses, or --file")

    def remove(desk: "AccountCalls", part: Sequence[str]) -> "SuppressionChanged":
        return desk.unsuppress(SuppressionRemoval(addresses=[*part], account=account, dry_run=is_dry))

    done = ask_desk(context, lambda desk: _summed([remove(desk, part) for part in _parts(addresses)]))
    missing = f"; {done.missing} were not on the list" if done.missing else ""
    tell(done, options["as_json"], f"{'would remove' if is_dry else 'removed'} {done.removed} addresses{missing}")


@suppress.command("import")
@click.argument("file", type=click.File(encoding="utf-8-sig"), metavar="FILE.csv")
@_whose_options
@click.option("--reason", type=_REASONS, default="by_hand", show_default=True, help="Where the file says none.")
@as_json_option
@dry_run_option
@click.pass_obj
def suppress_import(context: Context, /, **options: Any) -> None:
    """Suppress all addresses of a CSV file.

    Its columns: address, and if you like reason, evidence, created_at, ends_at; without a header, one address a line.
    What `export` writes can be read. Rows that are over are left out.
    """
    from relay.control.suppression.views import SuppressionOrder

    account, is_dry, now = _one_list(options), options["dry_run"], datetime.now(UTC)
    rows = [row for row in _rows(options["file"], options["reason"]) if row.ends_at is None or row.ends_at > now]
    if not rows:
        raise click.UsageError(f"{options['file'].name}: no addresses in it")

    def add(desk: "AccountCalls", part: "Sequence[SuppressionRow]") -> "SuppressionChanged":
        return desk.suppress(SuppressionOrder(rows=[*part], account=account, dry_run=is_dry))

    done = ask_desk(context, lambda desk: _summed([add(desk, part) for part in _parts(rows)]))
    _tell_added(done, options["as_json"])
    if not options["as_json"] and not is_dry and not done.replaced and not done.undo:
        from relay.control.checks import shell

        whose = ["--account", account] if account else ["--global"]
        click.echo(f"undo: {shell('suppress', 'rm', '--file', options['file'].name, *whose)}")


@suppress.command("export")
@_whose_options
@click.pass_obj
def suppress_export(context: Context, /, **options: Any) -> None:
    """Write rows in force as CSV to standard output, of one account or of all."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for view in ask_desk(context, lambda desk: [*_pages(desk, _whose(options))]):
        values = (getattr(view, name) for name in _COLUMNS)
        writer.writerow(
            value.isoformat() if isinstance(value, datetime) else "" if value is None else inert(value)
            for value in values
        )


def _of_everybody(desk: "AccountCalls", address: str) -> "list[SuppressionView]":
    """The rows that hold for all accounts; [] for who may not see them."""
    from relay.control.client import ControlError

    try:
        return desk.suppressions("", address=address)
    except ControlError as error:
        if error.status != 403:
            raise
        return []


def _said(instant: datetime | None) -> str:
    return f"{instant:%F %H:%M}Z" if instant else ""


def _pages(desk: "AccountCalls", account: str | None) -> "Iterator[SuppressionView]":
    after = ""
    while page := desk.suppressions(account, after=after, limit=10_000):
        yield from page
        after = f"{page[-1].account}|{page[-1].address}"


def _rows(file: IO[str], reason: str = "by_hand") -> "Iterator[SuppressionRow]":
    """Read a CSV file. Raises UsageError naming the line."""
    from relay.control.suppression.suppressed import Reason
    from relay.control.suppression.views import SuppressionRow

    reader = csv.reader(file)
    names: list[str] = ["address"]
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if reader.line_num == 1 and "@" not in "".join(cells):
            names = [cell.strip().lower() for cell in cells]
            if "address" not in names:
                raise click.UsageError(f"{file.name}: its header has no column `address`")
            continue
        found = dict(zip(names, (restored(cell.strip()) for cell in cells), strict=False))
        try:
            yield SuppressionRow(
                address=found["address"],
                reason=Reason(found.get("reason") or reason),
                evidence=found.get("evidence", ""),
                created_at=_instant(found["created_at"]) if found.get("created_at") else None,
                ends_at=_instant(found["ends_at"]) if found.get("ends_at") else None,
            )
        except (ValueError, click.BadParameter) as error:
            raise click.UsageError(f"{file.name}, line {reader.line_num}: {error}") from None


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r}: write it like 2027-01-31T00:00:00+00:00") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _whose(options: dict[str, Any]) -> str | None:
    """The account chosen; "" for the list of all accounts, None for every list."""
    if options["account"] and options["is_global"]:
        raise click.UsageError("give --account or --global, not both")
    return options["account"] or ("" if options["is_global"] else None)


def _one_list(options: dict[str, Any]) -> str:
    account = _whose(options)
    if account is None and options.get("reason") == "trap":
        return ""  # whoever writes to a trap is known for it: no account may
    if account is None:
        raise click.UsageError("say whose list: --account NAME, or --global")
    return account


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[at : at + _AT_ONCE] for at in range(0, len(rows), _AT_ONCE))


def _summed(parts: "Sequence[SuppressionChanged]") -> "SuppressionChanged":
    from relay.control.suppression.views import SuppressionChanged

    if len(parts) == 1:
        return parts[0]
    return SuppressionChanged(
        added=sum(part.added for part in parts),
        replaced=sum(part.replaced for part in parts),
        removed=sum(part.removed for part in parts),
        missing=sum(part.missing for part in parts),
        dry_run=parts[0].dry_run,
    )


def _tell_added(done: "SuppressionChanged", as_json: bool) -> None:
    replaced = f", replaced {done.replaced}" if done.replaced else ""
    tell(done, as_json, f"{'would suppress' if done.dry_run else 'suppressed'} {done.added} addresses{replaced}")
