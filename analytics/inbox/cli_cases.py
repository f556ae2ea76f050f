"""The command `case`: people's mail to abuse@ and postmaster@."""

from typing import TYPE_CHECKING, Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, dry_run_option

if TYPE_CHECKING:
    from analytics.client import QueryClient


@click.group()
def case() -> None:
    """What people wrote about abuse: ls, show, close, reopen."""


@case.command("ls")
@click.option("--all", "with_closed", is_flag=True, help="Closed ones too.")
@as_json_option
@click.pass_obj
def case_ls(context: Context, with_closed: bool, as_json: bool) -> None:
    """List open cases, the latest first."""
    from relay.control import show

    with _client(context) as client:
        rows = client.table("cases", status="" if with_closed else "open").to_pylist()
    if as_json:
        show.as_json(rows)
        return
    show.table(
        ("case", "status", "since (UTC)", "to", "from", "subject"),
        (
            (row["case_id"], row["status"], row["opened_at"], row["recipient"], row["mail_from"], row["subject"])
            for row in rows
        ),
        "no case is open" if not with_closed else "there was no case",
    )


@case.command("show")
@click.argument("case_id", metavar="CASE")
@as_json_option
@click.pass_obj
def case_show(context: Context, case_id: str, as_json: bool) -> None:
    """Show a case, and what was written."""
    from relay.control import show

    with _client(context) as client:
        found = client.case(case_id)
    if as_json:
        show.as_json(found)
        return
    for name in ("case_id", "status", "opened_at", "recipient", "mail_from", "subject", "file"):
        click.echo(show.clean(f"{name:<10} {found[name]}"))
    if found["author"]:
        click.echo(show.clean(f"{found['status']} by {found['author']}: {found['why']}"))
    click.echo("")
    for line in (found["text"] or "(the mail is gone; only this is left of it)").splitlines():
        click.echo(show.clean(line))


@case.command("close")
@click.argument("case_id", metavar="CASE")
@click.option("--note", default="", help="What was done about it.")
@as_json_option
@dry_run_option
@click.pass_obj
def case_close(context: Context, /, **options: Any) -> None:
    """Close a case."""
    _change(context, "closed", options)


@case.command("reopen")
@click.argument("case_id", metavar="CASE")
@click.option("--note", default="", help="Why.")
@as_json_option
@dry_run_option
@click.pass_obj
def case_reopen(context: Context, /, **options: Any) -> None:
    """Open a closed case again."""
    _change(context, "open", options)


def _change(context: Context, status: str, options: dict[str, Any]) -> None:
    from relay.control import show

    with _client(context) as client:
        done = client.change_case(options["case_id"], status, why=options["note"], dry_run=options["dry_run"])
    if options["as_json"]:
        show.as_json(done)
        return
    verb = "would be" if done["dry_run"] and done["changed"] else "is" if done["changed"] else "was already"
    click.echo(f"case {done['case_id']} {verb} {status}")
    if done["undo"] and not done["dry_run"]:
        click.echo(f"undo: {done['undo']}")


def _client(context: Context) -> "QueryClient":
    from analytics.client import QueryClient

    return QueryClient.of(context.settings(), "admin")
