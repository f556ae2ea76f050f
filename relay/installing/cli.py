"""The commands `init` and `systemd`: what a newcomer calls first, and what makes it last."""

import socket
import sys
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.control.cli_options import dry_run_option

if TYPE_CHECKING:
    from relay.settings import Settings, Smtp

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
@click.option("--data", type=click.Path(path_type=Path), help="Data folder; default: that of the settings file.")
@click.option("--backups", type=click.Path(path_type=Path), default=Path("/var/backups/mailweir"), show_default=True)
@click.option("--user", default="mailweir", show_default=True)
@click.option("--sockets/--no-sockets", default=True, help="systemd opens the SMTP ports; else a capability does.")
@dry_run_option
def systemd(
    out: Path, program: Path | None, data: Path | None, dry_run: bool, sockets: bool, **place: Path | str
) -> None:
    """Write units for systemd, hardened, with a user, folders and a nightly backup.

    They go by the settings file: its addresses become sockets, its data folder may be written. --out /etc puts each
    file in its place. Files of the same name are written over. See docs/install.md.
    """
    from relay.installing.units import Place, files

    config = Path(place["config_file"]).absolute()
    settings = _settled(config)
    where = Place(
        program=(program or Path(sys.argv[0])).absolute(),
        config=config,
        data=(data or settings.dir).absolute(),
        backups=Path(place["backups"]),
        user=str(place["user"]),
        sockets=_numbered(settings.smtp) if sockets else {},
    )
    for name, text in files(where).items():
        path = out / name
        if not dry_run:
            _write_public(path, text)
        click.echo(f"{'would write' if dry_run else 'wrote'} {path}")


def _write_public(path: Path, text: str) -> None:
    """Nothing secret, and everybody may ask what a unit does."""
    for folder in reversed([one for one in path.parents if not one.exists()]):
        folder.mkdir()
        folder.chmod(0o755)
    path.write_text(text)
    path.chmod(0o644)


def _settled(config: Path) -> "Settings":
    from relay.installing.answers import DEBIAN_DATA
    from relay.settings import Settings, load

    if config.exists():
        return load(config)
    click.echo(f"there is no {config} yet, so this is for the defaults: once more after mailweir init", err=True)
    return Settings(dir=DEBIAN_DATA)


def _numbered(smtp: "Smtp") -> Mapping[str, Sequence[str]]:
    """Sockets that systemd can open: it knows no names. Raises ClickException."""
    from relay.front.entrances import SOCKET_NAMES, socket_addresses
    from relay.settings import split_listen

    sockets = socket_addresses(smtp)
    for name, address in ((name, address) for name, addresses in sockets.items() for address in addresses):
        try:
            ip_address(split_listen(address)[0])
        except ValueError:
            fix = "write the IP address there, or call with --no-sockets"
            raise click.ClickException(
                f"{SOCKET_NAMES[name]}: {address!r} is no address for a socket unit; {fix}"
            ) from None
    return sockets


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
