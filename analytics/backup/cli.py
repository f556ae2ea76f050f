"""The commands `backup` and `restore`. What they run is imported when they run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, dry_run_option

if TYPE_CHECKING:
    from analytics.backup.saving import Progress
    from relay.backup.manifest import Manifest
    from relay.backup.restoring import Restored
    from relay.settings import Settings

_folder = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("folder", metavar="DIR", type=_folder)
@click.option(
    "--keep", type=click.IntRange(1), metavar="N", help="DIR holds many: write DIR/INSTANT, then keep the last N whole."
)
@as_json_option
@dry_run_option
@click.pass_obj
def backup(context: Context, folder: Path, keep: int | None, as_json: bool, dry_run: bool) -> None:
    """Back up the whole node to a folder, while it runs or not.

    Mail accepted before the cut is in it, with state, journals, warehouse, models and secrets: keep it as safe as the
    data folder itself. Exit code 1, and no manifest.json, when it is not whole.
    """
    from analytics.backup.saving import prune, save, size_of
    from relay.settings import settings_file

    settings, target = context.settings(), folder.absolute()
    if keep:
        target = target / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if dry_run:
        _tell({"dir": str(settings.dir), "to": str(target), "size_bytes": size_of(settings.dir)}, as_json, _planned)
        return
    with _progress("backing up", quiet=as_json) as progress:
        manifest = save(settings, settings_file(context.config), target, progress)
    pruned = prune(folder.absolute(), keep) if keep else []
    told = {
        "to": str(target),
        "cut_at": manifest.cut_at.isoformat(),
        "files": len(manifest.entries),
        "size_bytes": manifest.size_bytes,
        "messages": manifest.messages,
        "recipients": manifest.recipients,
        "relay_ran": manifest.relay_ran,
        "analytics_ran": manifest.analytics_ran,
        "not_in_it": _outside(settings),
        "deleted": pruned,
    }
    _tell(told, as_json, _saved)


@click.command()
@click.argument("folder", metavar="DIR", type=_folder)
@click.option(
    "--journals",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The old machine's journal folder, where it is left: what it delivered after the backup is not sent again.",
)
@as_json_option
@dry_run_option
@click.pass_obj
def restore(context: Context, folder: Path, journals: Path | None, as_json: bool, dry_run: bool) -> None:
    """Restore a backup into an empty data folder.

    The settings say where: `dir`. Every file is checked against its SHA-256, and every waiting message is read. Run it
    as the user that runs the relay, while neither relay nor analytics runs there.
    """
    from relay.backup import restoring
    from relay.backup.manifest import read

    settings, source = context.settings(), folder.absolute()
    total = read(source).size_bytes
    with _progress("verifying" if dry_run else "restoring", quiet=as_json) as progress:
        progress.total(total)
        if dry_run:
            manifest = restoring.verify(source, progress.advance)
            restoring.refuse_unfit(manifest, settings)
        else:
            restored = restoring.restore(source, settings, journals, progress.advance)
    if dry_run:
        _tell(_verified(manifest, settings), as_json, _would)
    else:
        _tell(_restored(restored, settings), as_json, _done)
        click.get_current_context().exit(1 if restored.damaged else 0)


@contextmanager
def _progress(what: str, *, quiet: bool) -> Iterator["Progress"]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from analytics.backup import saving

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task(what, total=None)
        yield saving.Progress(
            lambda total: bar.update(task, total=total), lambda count: bar.update(task, advance=count)
        )


def _outside(settings: "Settings") -> list[str]:
    """Files that the settings name and that lie elsewhere: a backup of the data folder has them not."""
    named = [
        (f"{section}.{key}", value)
        for section, part in settings
        if hasattr(part, "model_fields_set")
        for key, value in part
        if isinstance(value, Path)
    ]
    return [f"{key} = {path}" for key, path in named if not path.absolute().is_relative_to(settings.dir)]


def _verified(manifest: "Manifest", settings: "Settings") -> dict[str, object]:
    return {
        "to": str(settings.dir),
        "cut_at": manifest.cut_at.isoformat(),
        "version": manifest.version,
        "files": len(manifest.entries),
        "size_bytes": manifest.size_bytes,
        "messages": manifest.messages,
        "recipients": manifest.recipients,
    }


def _restored(restored: "Restored", settings: "Settings") -> dict[str, object]:
    return {
        **_verified(restored.manifest, settings),
        "messages": restored.messages,
        "recipients": restored.recipients,
        "held": restored.held,
        "already_finished": restored.settled.finished,
        "journals_joined": restored.journals_joined,
        "lost": restored.settled.lost,
        "damaged": restored.damaged,
    }


def _tell(told: dict[str, object], as_json: bool, say: Callable[[dict[str, object]], Iterator[str]]) -> None:
    if as_json:
        from relay.control import show

        show.as_json(told)
        return
    for line in say(told):
        click.echo(line)


def _planned(told: dict[str, object]) -> Iterator[str]:
    yield f"would back up {told['dir']} to {told['to']}: about {_size(told['size_bytes'])}"


def _saved(told: dict[str, object]) -> Iterator[str]:
    yield f"backed up to {told['to']}: {told['files']} files, {_size(told['size_bytes'])}, each with its SHA-256"
    yield f"the cut was at {told['cut_at']}: {told['messages']} messages waited for {told['recipients']} recipients"
    for name in _list(told["not_in_it"]):
        yield f"not in it, as it lies outside the data folder: {name}"
    for name in _list(told["deleted"]):
        yield f"deleted the backup {name}"


def _would(told: dict[str, object]) -> Iterator[str]:
    yield f"whole: {told['files']} files, {_size(told['size_bytes'])}, by version {told['version']}"
    yield (
        f"would be restored to {told['to']} as of {told['cut_at']}: {told['messages']} messages for "
        f"{told['recipients']} recipients"
    )


def _done(told: dict[str, object]) -> Iterator[str]:
    yield f"restored to {told['to']}: {told['files']} files, {_size(told['size_bytes'])}, each as its SHA-256 says"
    yield (
        f"{told['messages']} messages wait for {told['recipients']} recipients, {told['held']} held; "
        f"{told['already_finished']} recipients had left by then and are not sent again"
    )
    if lost := _list(told["lost"]):
        yield f"lost: {len(lost)} messages were accepted after the backup and not delivered: {', '.join(lost[:5])}"
    for name in _list(told["damaged"]):
        yield f"damaged: {name}"
    yield "next: mailweir doctor, then start relay and analytics"


def _list(value: object) -> list[str]:
    assert isinstance(value, list)
    return value


def _size(value: object) -> str:
    assert isinstance(value, int)
    return f"{value / 1e6:.1f} MB"
