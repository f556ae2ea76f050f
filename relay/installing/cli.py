"""The commands `init` and `systemd`: what a newcomer calls first, and what makes it last."""

import socket
import sys
from pathlib import Path

import click

from relay.control.cli_options import dry_run_option

_PATH = click.Path(path_type=Path)
_NAMES = ("hostname", "dir", "leaves", "senders", "desk")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=Path("mailweir.toml"))
@click.option("--hostname", help="The relay's name in DNS.")
@click.option("--dir", help="Folder for everything it writes.")
@click.option("--leaves", metavar="direct|HOST:PORT", help="How mail leaves: by MX, or through a smarthost.")
@click.option("--senders", metavar="local|public", help="Who hands mail in: this machine, or all at 25, 465 and 587.")
@click.option("--desk", metavar="ADDRESS|none", help="Your abuse desk, which is told of stopped senders.")
@click.option("--defaults", "asks_nothing", is_flag=True, help="Ask nothing; a script without a terminal is not asked.")
@click.option("--force", is_flag=True, help="Overwrite the file if there is one.")
@dry_run_option
def init(file: Path, force: bool, asks_nothing: bool, dry_run: bool, **options: str | None) -> None:
    """Write a commented mailweir.toml.

    Asks five questions where somebody sits at a terminal and gave no answer as an option. Every setting stands in the
    file with its meaning and default, switched off by a `#`; what you answered is switched on.
    """
    from relay.installing.answers import QUESTIONS, Answers, BadAnswer, chosen, defaults
    from relay.settings.rendered import render

    target = file.absolute()
    if target.exists() and not force and not dry_run:  # before anybody answers questions for nothing
        raise click.ClickException(f"{target} exists; --force overwrites it")
    is_asked = not any(options.values()) and _asks(asks_nothing)
    proposed = defaults(target, socket.getfqdn() if is_asked else "")
    given = {name: options[name] or getattr(proposed, name) for name in _NAMES}
    if is_asked:
        given = {one.name: click.prompt(one.text, default=given[one.name]) for one in QUESTIONS}
    try:
        answers = Answers(**given)
        values = chosen(answers)
    except BadAnswer as error:
        raise click.ClickException(str(error)) from None
    text = render(Path(answers.dir).expanduser().absolute(), values)
    if dry_run:
        click.echo(text, nl=False)
        return
    _write(target, text, force)
    click.echo(f"wrote {target}\nnext: mailweir account add NAME, then mailweir up")


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option("--program", type=_PATH, help="Where mailweir is; default: this one.")
@click.option(
    "--config-file", type=click.Path(path_type=Path), default=Path("/etc/mailweir/mailweir.toml"), show_default=True
)
@click.option("--data", type=click.Path(path_type=Path), default=Path("/var/lib/mailweir"), show_default=True)
@click.option("--backups", type=click.Path(path_type=Path), default=Path("/var/backups/mailweir"), show_default=True)
@click.option("--user", default="mailweir", show_default=True)
@click.option("--sockets/--no-sockets", default=True, help="systemd opens 25, 465 and 587; else a capability does.")
@dry_run_option
def systemd(out: Path, program: Path | None, dry_run: bool, sockets: bool, **place: Path | str) -> None:
    """Write units for systemd, hardened, with a user, folders and a nightly backup.

    Files of the same name are written over. docs/install.md says where they go.
    """
    from relay.installing.units import Place, files

    where = Place(
        program=(program or Path(sys.argv[0])).absolute(),
        config=Path(place["config_file"]),
        data=Path(place["data"]),
        backups=Path(place["backups"]),
        user=str(place["user"]),
        has_sockets=sockets,
    )
    for name, text in files(where).items():
        path = out / name
        if not dry_run:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o644)  # nothing secret, and everybody may ask what a unit does
        click.echo(f"{'would write' if dry_run else 'wrote'} {path}")


def _asks(asks_nothing: bool) -> bool:
    return not asks_nothing and sys.stdin.isatty() and sys.stdout.isatty()


def _write(target: Path, text: str, force: bool) -> None:
    try:
        with target.open("w" if force else "x") as out:
            out.write(text)
    except FileExistsError:
        raise click.ClickException(f"{target} exists; --force overwrites it") from None
    # Passwords of smarthosts may come to stand in it.
    target.chmod(0o600)
