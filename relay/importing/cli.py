"""The command `import`: suppression lists and accounts of another provider, from CSV."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
import msgspec

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask_desk, dry_run_option

if TYPE_CHECKING:
    from relay.control.desk_calls import DeskCalls
    from relay.control.suppression.views import SuppressionRow
    from relay.importing.reading import Fault, Skipped

_FILE = click.File(encoding="utf-8-sig")
_AT_ONCE = 2_000  # rows of a request: below the API's 5,000 rows and its megabyte
_TOLD = 50  # faults in words; all are counted
_NOTICED = 500  # accounts between two lines of progress
# formats.NAMES, which --help need not load
_FORMATS = ["mailweir", "mailchannels", "sparkpost", "postmark", "ses", "mandrill", "mailchimp", "sendgrid", "mailgun"]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What was made of a file. `skipped` lines say nothing to keep; `faults` are wrong and were left out."""

    format: str
    added: int
    replaced: int
    skipped: int
    faults: "Sequence[Fault]"
    undo: str = ""
    dry_run: bool = False


@click.group("import")
def importing() -> None:
    """Bring suppression lists and accounts of another provider, from CSV."""


@importing.command("suppressions")
@click.argument("file", type=_FILE, metavar="FILE.csv")
@click.option("--account", default="", help="The list of this account.")
@click.option("--global", "is_global", is_flag=True, help="The list that holds for all accounts.")
@click.option("--from", "provider", type=click.Choice(_FORMATS), default=None, help="Default: told by its columns.")
@click.option(
    "--reason",
    type=click.Choice(["unsubscribe", "complaint", "hard_bounce", "by_hand"]),
    default=None,
    help="Why, where no line says it.",
)
@click.option("--undo", "is_undo", is_flag=True, help="Take this file's addresses off the list again.")
@as_json_option
@dry_run_option
@click.pass_obj
def import_suppressions(context: Context, /, file: IO[str], **options: Any) -> int:
    """Suppress the addresses of a list that another provider kept.

    Its columns say whose it is. Lines that cannot be read are told and left out, the others are taken; exit code 1
    when there were such lines. Soft bounces, what is over and repeated addresses are skipped.
    """
    from relay.control.suppression.suppressed import Reason
    from relay.importing.reading import Table, UnreadableFile, format_of, suppressions

    account = _whose(options)
    try:
        table = Table(file)
        format_ = format_of(table, options["provider"] or "")
        usual = Reason(options["reason"]) if options["reason"] else None
        read = list(suppressions(table, format_, usual, datetime.now(UTC)))
    except UnreadableFile as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    rows, skipped, faults = _sorted(read)
    take = _remove if options["is_undo"] else _suppress
    added, replaced = ask_desk(context, lambda desk: take(desk, rows, account, is_dry=options["dry_run"]))
    whose = ["--account", account] if account else ["--global"]
    undo = _undo_of(file.name, whose, options) if added and not replaced else ""
    done = Imported(
        format=format_.name,
        added=added,
        replaced=replaced,
        skipped=len(skipped),
        faults=faults,
        undo=undo,
        dry_run=options["dry_run"],
    )
    verb = ("would remove", "removed") if options["is_undo"] else ("would suppress", "suppressed")
    return _told(done, options["as_json"], f"{verb[not done.dry_run]} {added} addresses of a {format_.name} list")


@importing.command("accounts")
@click.argument("file", type=_FILE, metavar="FILE.csv")
@click.option("--shared-host", is_flag=True, help="All are servers with many end senders behind one login.")
@click.option("--resellers", "makes_resellers", is_flag=True, help="Add resellers that are missing.")
@click.option("--logins", type=click.Path(path_type=Path), metavar="OUT.csv", help="Make a login for each; see above.")
@as_json_option
@dry_run_option
@click.pass_obj
def import_accounts(context: Context, /, file: IO[str], **options: Any) -> int:
    """Add the accounts of a list: WHM's, sub-accounts of a mail provider, or a plain table.

    Columns: name (user, username, handle), contact (email), domains, reseller (owner), suspended, rcpts_per_hour.
    Accounts that are there already are skipped. --logins OUT.csv makes a login for each and writes login and password
    there, this once.
    """
    from relay.importing.accounts import accounts
    from relay.importing.reading import Fault, Table, UnreadableFile
    from relay.importing.taking import take_accounts

    try:
        read = list(accounts(Table(file), is_shared=options["shared_host"]))
    except UnreadableFile as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    faults = [one for one in read if isinstance(one, Fault)]
    arriving = [one for one in read if not isinstance(one, Fault)]
    with _secrets(None if options["dry_run"] else options["logins"]) as logins:
        took = ask_desk(
            context,
            lambda desk: take_accounts(
                desk,
                arriving,
                logins=logins,
                makes_resellers=options["makes_resellers"],
                is_dry=options["dry_run"],
                progress=_progress("accounts", _NOTICED),
            ),
        )
    faults = sorted([*faults, *took.faults], key=lambda fault: fault.line)
    done = Imported(
        format="accounts",
        added=took.added,
        replaced=0,
        skipped=took.known,
        faults=faults,
        dry_run=options["dry_run"],
    )
    return _told(done, options["as_json"], f"{'would add' if done.dry_run else 'added'} {done.added} accounts")


@contextlib.contextmanager
def _secrets(path: Path | None) -> Iterator[IO[str] | None]:
    """A new file that its owner alone may read; None without a path. Never writes over one."""
    if path is None:
        yield None
        return
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(f"{path} is there already; name another file") from None
    with open(handle, "w", encoding="utf-8") as file:
        yield file


def _whose(options: dict[str, Any]) -> str:
    if bool(options["account"]) == options["is_global"]:
        raise click.UsageError("say whose list: --account NAME, or --global")
    return str(options["account"])


def _sorted(read: "Sequence[SuppressionRow | Fault | Skipped]") -> "tuple[list[Any], list[Any], list[Any]]":
    from relay.control.suppression.views import SuppressionRow
    from relay.importing.reading import Skipped

    rows = [one for one in read if isinstance(one, SuppressionRow)]
    skipped = [one for one in read if isinstance(one, Skipped)]
    return rows, skipped, [one for one in read if not isinstance(one, SuppressionRow | Skipped)]


def _suppress(desk: "DeskCalls", rows: "Sequence[SuppressionRow]", account: str, *, is_dry: bool) -> tuple[int, int]:
    from relay.control.suppression.views import SuppressionOrder

    added = replaced = 0
    progress = _progress("addresses", _AT_ONCE)
    for at in range(0, len(rows), _AT_ONCE):
        part = [*rows[at : at + _AT_ONCE]]
        done = desk.suppress(SuppressionOrder(rows=part, account=account, dry_run=is_dry))
        added, replaced = added + done.added, replaced + done.replaced
        progress(at + len(part), len(rows))
    return added, replaced


def _remove(desk: "DeskCalls", rows: "Sequence[SuppressionRow]", account: str, *, is_dry: bool) -> tuple[int, int]:
    from relay.control.suppression.views import SuppressionRemoval

    removed = 0
    for at in range(0, len(rows), _AT_ONCE):
        addresses = [row.address for row in rows[at : at + _AT_ONCE]]
        removed += desk.unsuppress(SuppressionRemoval(addresses=addresses, account=account, dry_run=is_dry)).removed
    return removed, 0


def _undo_of(name: str, whose: Sequence[str], options: dict[str, Any]) -> str:
    from relay.control.checks import shell

    return shell("import", "suppressions", name, *whose, *([] if options["is_undo"] else ["--undo"]))


def _progress(what: str, every: int) -> Any:
    """Say on standard error how far it is, where a person looks on."""

    def tell(done: int, of: int) -> None:
        if of > every and sys.stderr.isatty() and (done % every == 0 or done == of):
            click.echo(f"\r{done:,} of {of:,} {what}", err=True, nl=done == of)

    return tell


def _told(done: Imported, as_json: bool, said: str) -> int:
    if as_json:
        from relay.control import show

        show.as_json(done)
        return 1 if done.faults else 0
    verb = "would be replaced" if done.dry_run else "were replaced"
    replaced = f", {done.replaced} that were there {verb}" if done.replaced else ""
    skipped = f", skipped {done.skipped}" if done.skipped else ""
    click.echo(f"{said}{replaced}{skipped}")
    for fault in done.faults[:_TOLD]:
        click.echo(f"line {fault.line}: {fault.what}", err=True)
    if done.faults:
        click.echo(f"{len(done.faults)} lines were left out", err=True)
    if done.undo and not done.dry_run:
        click.echo(f"undo: {done.undo}")
    return 1 if done.faults else 0
