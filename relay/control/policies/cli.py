"""The command `policy`: the lines of the verdict as versions."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask_desk, dry_run_option, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.control.policies.views import PolicyDone, VersionView
    from relay.policy.file import Change
    from relay.settings import Policy

_file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
_note_option = click.option("--note", default="", help="Why; kept with the version and in the audit log.")


@click.group()
def policy() -> None:
    """The lines of the verdict, in versions: show, apply, roll back, replay.

    A policy is a TOML file with one table, [policy]. A version that was applied wins over that table in mailweir.toml.
    """


@policy.command("show")
@click.argument("version", default="")
@click.option("--toml", "as_toml", is_flag=True, help="Print the file, to be changed and applied.")
@as_json_option
@click.pass_obj
def policy_show(context: Context, version: str, as_toml: bool, as_json: bool) -> None:
    """Show the policy in force, or another VERSION (its digits, or its number)."""
    from relay.control import show
    from relay.policy.file import plain

    view = ask_desk(context, lambda desk: desk.policy(version))
    if as_json:
        show.as_json(view)
        return
    if as_toml:
        click.echo(view.text, nl=False)
        return
    click.echo(_whose(view.version))
    columns = ("key", "value", "default", "meaning")
    rows = (
        (key.key, plain(key.value), "" if key.default == key.value else plain(key.default), key.meaning)
        for key in view.keys
    )
    show.table(columns, rows, "")
    for change in view.overruled:
        click.echo(f"mailweir.toml says policy.{change.key} = {plain(change.old)}; the applied version wins")


@policy.command("ls")
@as_json_option
@click.pass_obj
def policy_ls(context: Context, as_json: bool) -> None:
    """List all versions, youngest first."""
    from relay.control import show

    views = ask_desk(context, lambda desk: desk.policy_versions())
    if as_json:
        show.as_json(views)
        return
    columns = ("version", "number", "since (UTC)", "by", "of", "in force", "note")
    show.table(columns, map(_cells, views), "no policy was in force yet")


@policy.command("validate")
@_file_argument
@as_json_option
def policy_validate(file: Path, as_json: bool) -> None:
    """Check a policy file: unknown keys, values out of range, lines that contradict each other.

    Exit code 1 when it cannot be applied.
    """
    from relay.control import show
    from relay.policy.file import differences, doubts
    from relay.policy.verdict.steps import version_of
    from relay.settings import Policy

    found = _read(file)
    changes, doubtful = differences(Policy(), found), doubts(found)
    if as_json:
        show.as_json({"version": version_of(found), "changed": changes, "doubts": doubtful})
        return
    click.echo(f"{file}: right, version {version_of(found)}, {len(changes)} keys differ from the defaults")
    for doubt in doubtful:
        click.echo(f"doubtful: {doubt}")


@policy.command("diff")
@click.argument("what", metavar="FILE|VERSION")
@as_json_option
@click.pass_obj
def policy_diff(context: Context, what: str, as_json: bool) -> None:
    """Say key by key what a file, or another version, would change in the policy in force."""
    from relay.control import show
    from relay.policy.file import differences, read

    in_force = ask_desk(context, lambda desk: desk.policy())
    path = Path(what)
    new = _read(path) if path.exists() else read(ask_desk(context, lambda desk: desk.policy(what)).text, what)
    changes = differences(read(in_force.text), new)
    if as_json:
        show.as_json(changes)
    else:
        _print_changes(changes)


@policy.command("apply")
@_file_argument
@_note_option
@as_json_option
@dry_run_option
@click.pass_obj
def policy_apply(context: Context, file: Path, note: str, as_json: bool, dry_run: bool) -> None:
    """Put a policy file in force, from the next message on; a wrong file changes nothing."""
    from relay.control.policies.views import PolicyOrder

    _read(file)  # its own name in the error
    order = PolicyOrder(text=file.read_text(), note=note, dry_run=dry_run)
    _tell(ask_desk(context, lambda desk: desk.apply_policy(order)), as_json)


@policy.command("rollback")
@click.argument("version", default="")
@_note_option
@as_json_option
@dry_run_option
@click.pass_obj
def policy_rollback(context: Context, version: str, note: str, as_json: bool, dry_run: bool) -> None:
    """Put an earlier VERSION in force again; without one, that before the present.

    Where that was [policy] of mailweir.toml, the file decides again.
    """
    from relay.control.policies.views import RollbackOrder

    order = RollbackOrder(version=version, note=note, dry_run=dry_run)
    _tell(ask_desk(context, lambda desk: desk.rollback_policy(order)), as_json)


def _read(file: Path) -> "Policy":
    from relay.policy.file import PolicyError, read

    try:
        return read(file.read_text(), str(file))
    except UnicodeDecodeError as error:
        raise PolicyError(f"{file}: this is not a text in UTF-8: {error}") from None


def _tell(done: "PolicyDone", as_json: bool) -> None:
    if not as_json:
        _print_changes(done.changes)
    would, whose = "would be" if done.dry_run else "is", " ([policy] of mailweir.toml)" if done.origin == "file" else ""
    lines = [f"doubtful: {doubt}" for doubt in done.doubts]
    tell(done, as_json, *lines, f"policy {done.version}{whose} {would} in force")


def _print_changes(changes: "Sequence[Change]") -> None:
    from relay.control import show
    from relay.policy.file import plain

    columns = ("key", "old", "new", "meaning")
    rows = ((change.key, plain(change.old), plain(change.new), change.meaning) for change in changes)
    show.table(columns, rows, "no key differs")


def _cells(view: "VersionView") -> tuple[object, ...]:
    in_force = "yes" if view.in_force else ""
    return (view.version, view.sequence, view.applied_at, view.author, view.origin, in_force, view.note)


def _whose(view: "VersionView") -> str:
    origin = "applied" if view.origin == "applied" else "[policy] of mailweir.toml, read"
    state = "in force" if view.in_force else "not in force"
    note = f": {view.note}" if view.note and view.origin == "applied" else ""
    return f"policy {view.version} (number {view.sequence}), {state}; {origin} by {view.author} at " + (
        f"{view.applied_at:%Y-%m-%d %H:%M} UTC{note}"
    )
