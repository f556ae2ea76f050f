"""Puts a backup in an empty data folder: every byte is checked on the way, and the spool is settled before the end.

Until then a mark in the folder keeps relay and analytics from starting on half of it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relay.backup import settling, surviving
from relay.backup.copying import Advance, Copier, checksum, give
from relay.backup.manifest import DATA, Entry, Manifest, NoBackup, read
from relay.backup.mark import MARK
from relay.backup.settling import Settled
from relay.backup.taking import LOCK
from relay.control.state.lock import acquire
from relay.settings import Settings
from relay.spool.inspection import Inspection, Report


class RestoreRefused(Exception):
    """Nothing was restored; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What is in the data folder now. `damaged`: messages of the spool whose bytes are not what was accepted."""

    manifest: Manifest
    settled: Settled
    journals_joined: int
    messages: int
    recipients: int
    held: int
    damaged: list[str]


def verify(folder: Path, advance: Advance) -> Manifest:
    """Read every byte of a backup. Raises NoBackup, naming what is gone or altered."""
    manifest = read(folder)
    wrong = [entry.path for entry in manifest.entries if not _is_whole(folder / DATA / entry.path, entry, advance)]
    if wrong:
        raise NoBackup(f"{folder}: {len(wrong)} files are gone or altered: {', '.join(wrong[:5])}; use another backup")
    return manifest


def refuse_unfit(manifest: Manifest, settings: Settings) -> None:
    """Raises RestoreRefused where this backup may not go into that folder."""
    if manifest.node != settings.node.name:
        raise RestoreRefused(
            f"the backup is of node {manifest.node!r}, and node.name is {settings.node.name!r}: ids of messages and "
            f"return paths carry it. Set node.name = {manifest.node!r}"
        )
    there = sorted(path.name for path in settings.dir.iterdir()) if settings.dir.is_dir() else []
    if MARK in there:
        raise RestoreRefused(f"{settings.dir}: an earlier restore was cut off; empty the folder and restore again")
    if rest := [name for name in there if name not in ("relay.lock", LOCK)]:
        raise RestoreRefused(
            f"{settings.dir} is not empty ({', '.join(rest[:3])}...); a backup is restored into an empty folder only: "
            "move it away, or name another `dir`"
        )


def restore(folder: Path, settings: Settings, journals: Path | None, advance: Advance) -> Restored:
    """Restore a backup; `journals`: the journal folder of the old machine, where it is left.

    Raises NoBackup, RestoreRefused, AlreadyRunning, OSError, sqlite3.Error; the mark then stays.
    """
    manifest = read(folder)
    refuse_unfit(manifest, settings)
    with acquire(settings.dir):
        mark = settings.dir / MARK
        mark.touch()
        _copy(folder, manifest, settings.dir, advance)
        joined = surviving.join(settings.journal_dir, journals, manifest.cut_at) if journals else []
        settled, report = _settled(settings, manifest)
        give(settings.dir, settings.dir)
        mark.unlink()
    waiting = (report.messages, report.recipients, report.held)
    return Restored(manifest, settled, len(joined), *waiting, [*report.damaged, *report.quarantined])


def _copy(folder: Path, manifest: Manifest, target: Path, advance: Advance) -> None:
    copier = Copier(target, advance)
    for entry in manifest.entries:
        found = copier.copy(folder / DATA / entry.path, entry.path)
        if found is None or (found.size_bytes, found.sha256) != (entry.size_bytes, entry.sha256):
            raise NoBackup(f"{folder / DATA / entry.path} is gone or altered; use another backup")
        (target / entry.path).chmod(entry.mode & 0o770)  # never for everybody, whatever a manifest says


def _settled(settings: Settings, manifest: Manifest) -> tuple[Settled, Report]:
    spool = settings.dir / "spool"
    if not (spool / "index.sqlite").exists():  # of a relay that had never run
        return Settled(), Report()
    settled = settling.settle(spool, _telling(settings.journal_dir, manifest), manifest.node, manifest.cut_at)
    return settled, _checked(settings)


def _telling(journal: Path, manifest: Manifest) -> Iterator[Path]:
    yield from sorted([*journal.glob("*.jsonl"), *journal.glob("*.jsonl.open")])
    yield from settling.recent(sorted((journal / "archive").glob("*.jsonl")), manifest.cut_at)


def _checked(settings: Settings) -> Report:
    inspection = Inspection(settings.dir / "spool", settings.node.name)
    try:
        return deque(inspection.check(), 1).pop()
    finally:
        inspection.close()


def _is_whole(path: Path, entry: Entry, advance: Advance) -> bool:
    try:
        return checksum(path, advance) == (entry.size_bytes, entry.sha256)
    except OSError:
        return False
