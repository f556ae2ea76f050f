"""The command `panel`: what to paste on a customer's server. Reads settings and accounts; never prints a password."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask_desk

if TYPE_CHECKING:
    from relay.control.accounts.views import AccountView
    from relay.panels.pages import Names, Panel
    from relay.settings import Settings

_PANELS = click.Choice(["cpanel", "plesk", "directadmin", "exim", "postfix"])  # pages.Panel
_USUAL_PORT = 587
_EXAMPLE_SERVER = "web1.hosting.example"
_LOCAL_NAME = "mailweir.localhost"  # the default of node.hostname
# Exim reads more than a name into other signs, and Postfix's table ends the login at a colon
_PLAIN_LOGIN = re.compile(r"[A-Za-z0-9._@+-]+")


@click.group()
def panel() -> None:
    """Put a server or panel behind this relay: snippet."""


@panel.command()
@click.argument("panel", type=_PANELS)
@click.option("--account", default="", help="Of whom the server is; default: the only one there is.")
@click.option("--login", default="", help="What the server logs in as; default: the account's first.")
@click.option("--server", default="", help="The server's own host name; Postfix and Plesk need it.")
@click.option("--host", default="", help="This relay, as in its certificate; default: node.hostname.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Its door for logins; default: that of smtp.submission.")
@click.option("--same-machine", "is_same_machine", is_flag=True, help="Relay and server share one machine.")
@click.option("--only", "place", default="", metavar="PLACE", help="One block alone, by its file or section.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write a folder, with the plugin.")
@as_json_option
@click.pass_obj
def snippet(context: Context, /, panel: str, place: str, out: Path | None, as_json: bool, **given: Any) -> None:
    """Show what to paste on a server: cpanel, plesk, directadmin, exim or postfix.

    The tested blocks, how to check, what users notice and the way back, with this relay's names filled in. SECRET
    stands for the password, which the relay knows only as a hash: fill it in on the server.
    """
    from relay.panels.pages import Panel, guide

    kind = Panel(panel)
    names, notes = _names(context, kind, given)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if place:
        click.echo(_block(kind, names, place), nl=False)
    elif out is not None:
        _write(kind, names, out, as_json)
    elif as_json:
        _show_json(kind, names)
    else:
        click.echo(guide(kind, names), nl=False)


def _names(context: Context, panel: "Panel", given: dict[str, Any]) -> "tuple[Names, list[str]]":
    """Fill in from the settings and an account what was not given; say what to look at."""
    from relay.panels.pages import Names

    settings = context.settings()
    account = _account(context, given["account"], bool(given["login"]))
    logins = account.logins if account else []
    login = given["login"] or next(iter(logins), "")
    if not login:
        raise click.UsageError(f"account {given['account']} has no login: mailweir cred add {given['account']} LOGIN")
    if not given["server"] and panel.value in ("postfix", "plesk"):
        raise click.UsageError(
            "--server: Postfix names its users by its own host name; give what `postconf myhostname` says"
        )
    names = Names(
        host=given["host"] or settings.node.hostname,
        port=given["port"] or _port(settings),
        account=account.name if account else given["account"],
        login=login,
        server=given["server"] or _EXAMPLE_SERVER,
        is_same_machine=given["is_same_machine"],
    )
    return names, _notes(names, account)


def _account(context: Context, name: str, has_login: bool) -> "AccountView | None":
    """The account by name, or the only one for servers; None for one not made yet, whose login was given."""
    accounts = ask_desk(context, lambda desk: desk.accounts())
    if name:
        found = next((one for one in accounts if one.name == name), None)
        if found is None and not has_login:
            raise click.UsageError(f"there is no account {name!r}: mailweir account add {name} --shared-host")
        return found
    shared = [one for one in accounts if one.shared_host] or accounts
    if len(shared) != 1:
        known = f"; there are {', '.join(one.name for one in shared)}" if shared else ""
        raise click.UsageError(
            f"--account: say whose server it is{known or ': mailweir account add web1 --shared-host --login srv1'}"
        )
    return shared[0]


def _notes(names: "Names", account: "AccountView | None") -> list[str]:
    notes = []
    if account is None:
        notes.append(
            f"no account {names.account} yet: mailweir account add {names.account} --shared-host --login {names.login}"
        )
    elif not account.shared_host:
        notes.append(
            f"X-AuthUser is not believed from {names.account}: mailweir account set {names.account} --shared-host"
        )
    elif names.login not in account.logins:
        notes.append(f"{names.account} has no login {names.login}: mailweir cred add {names.account} {names.login}")
    if names.host == _LOCAL_NAME and not names.is_same_machine:
        notes.append("no other machine finds a relay called mailweir.localhost: set node.hostname, or give --host")
    if not _PLAIN_LOGIN.fullmatch(names.login):
        notes.append(f"the login {names.login} has signs with a meaning of their own in mail servers: make a plain one")
    return notes


def _port(settings: "Settings") -> int:
    from relay.settings import split_listen

    return split_listen(settings.smtp.submission[0])[1] if settings.smtp.submission else _USUAL_PORT


def _block(panel: "Panel", names: "Names", place: str) -> str:
    from relay.panels.pages import blocks

    found = {block.place: block.text for block in blocks(panel, names)}
    if place not in found:
        raise click.UsageError(f"--only {place}: there is no such block; there are {', '.join(found)}")
    return found[place]


def _write(panel: "Panel", names: "Names", out: Path, as_json: bool) -> None:
    from relay.control import show
    from relay.panels.kit import write

    written = [str(path) for path in write(panel, names, out)]
    if as_json:
        show.as_json({"folder": str(out.absolute()), "files": written})
        return
    click.echo(f"wrote {out}: {', '.join(written)}")
    click.echo("next: read README.md there, and fill in SECRET on the server")


def _show_json(panel: "Panel", names: "Names") -> None:
    from relay.control import show
    from relay.panels.pages import blocks, guide, sections

    show.as_json(
        {
            "panel": panel.value,
            "host": names.host,
            "port": names.port,
            "account": names.account,
            "login": names.login,
            "server": names.server,
            "blocks": [
                {"place": block.place, "append": block.is_addition, "where": block.where, "text": block.text}
                for block in blocks(panel, names)
            ],
            "sections": sections(guide(panel, names)),
        }
    )
