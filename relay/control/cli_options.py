"""What the commands of the control API share: options, the way to the relay, and how a change is told."""

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from relay.cli import Context

if TYPE_CHECKING:
    from relay.control.accounts.views import Secret
    from relay.control.client import ControlClient
    from relay.control.desk_calls import DeskCalls
    from relay.control.views import ReleaseOrder

_T = TypeVar("_T")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
password_option = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


def duration(text: str) -> float:
    """Read 90m, 24h or 7d as seconds.

    >>> duration("1.5h")
    5400.0
    """
    found = _DURATION.fullmatch(text)
    if not found:
        raise click.BadParameter(f"{text!r}: write it like 90m, 24h or 7d")
    return float(found[1]) * _SECONDS[found[2]]


def ask(context: Context, question: "Callable[[ControlClient], _T]") -> _T:
    """Ask the running relay."""
    from relay.control.client import ControlClient

    with ControlClient.of(context.settings()) as relay:
        return question(relay)


def ask_desk(context: Context, question: "Callable[[DeskCalls], _T]") -> _T:
    """Ask the running relay, or its state when none runs."""
    from relay.control.local import at_the_desk

    return at_the_desk(context.settings(), question)


def tell(answer: object, as_json: bool, *lines: str) -> None:
    """Print an answer as JSON, or these lines, and below them how the change is taken back."""
    if as_json:
        from relay.control import show

        show.as_json(answer)
        return
    for line in lines:
        click.echo(line)
    undo = getattr(answer, "undo", "")
    if undo and not getattr(answer, "dry_run", False):
        click.echo(f"undo: {undo}")


def read_password(from_stdin: bool) -> str:
    if not from_stdin:
        return ""
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise click.UsageError("--password-stdin: standard input has no password on its first line")
    return password


def secret_lines(secret: "Secret") -> list[str]:
    lines = [f"login:    {secret.login}"]
    if secret.password:
        lines.append(f"password: {secret.password}    (shown this once; not stored in clear)")
        lines.append(f"HTTP key: {secret.bearer}")
    return lines


def release_order(options: dict[str, Any], **more: Any) -> "ReleaseOrder":
    """What the options of a release ask for."""
    from relay.control.views import ReleaseOrder

    return ReleaseOrder(
        verdict="not_spam" if options["not_spam"] else "release",
        note=options["note"],
        content=True if options["content"] else None,
        at_once=options["at_once"],
        dry_run=options["dry_run"],
        **more,
    )
