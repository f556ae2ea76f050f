"""Takes a backup of a whole node, while it runs or not.

In this order, so that nothing is lost and nothing told twice: the warehouse and the archive stand still, the relay
cuts spool and journal at one instant, state and counters are copied, then the warehouse's file. Then everything goes
on, and what the cut staged is copied, with all else in the data folder. What the warehouse has read is named in it by
file, so the journals that wait are read once after a restore; mail that was read is named by its records.
"""

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from analytics.client import AnalyticsDown, QueryClient
from relay import __version__
from relay.backup.copying import Copier, give
from relay.backup.manifest import DATA, NAME, SETTINGS, Manifest, write
from relay.backup.taking import LOCK, taking
from relay.backup.views import CutView
from relay.control.client import ControlClient, ControlError, ControlUnreachable
from relay.control.state.lock import AlreadyRunning, acquire
from relay.files import still_there
from relay.settings import Settings
from relay.spool.cut import STAGING, Cut, clear, link_all, take_alone
from relay.spool.segments import segment_path

_SECONDS = 3600.0
_WAREHOUSE = ("warehouse.duckdb", "warehouse.duckdb.wal")
_DATABASES = ("state.sqlite", "counters.sqlite")
_NOT_TAKEN = {"relay.lock", LOCK, "logs", "spool", "journal", "warehouse.tmp", *_WAREHOUSE}


class BackupFailed(Exception):
    """No backup was taken; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A file to be copied, its first `limit` bytes."""

    source: Path
    path: str
    size_bytes: int
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Who shows how far it is: `total` hears the bytes there will be, `advance` of each piece."""

    total: Callable[[int], None]
    advance: Callable[[int], None]


def save(settings: Settings, config: Path | None, target: Path, progress: Progress) -> Manifest:
    """Write a backup to a new folder; whole when it returns.

    Raises BackupFailed, AnotherBackup, ControlError, QueryError, CutFailed, OSError.
    """
    if not settings.dir.is_dir():
        raise BackupFailed(f"dir = {str(settings.dir)!r}: there is no data folder; does --config name the right file?")
    _make(target, settings.dir)
    spool, journal = settings.dir / "spool", settings.journal_dir
    copier = Copier(target / DATA, progress.advance)
    try:
        with taking(settings.dir):
            with _still(settings) as ran:
                cut, relay_ran = _cut(settings)
                staged = _staged(journal)
                for name in _DATABASES:
                    if (settings.dir / name).exists():
                        copier.copy_database(settings.dir / name, name)
                pieces = [*_cut_pieces(spool, journal, cut, staged), *_other_pieces(settings.dir)]
                _warehouse(settings.dir, copier, pieces, progress)
            _copy(copier, pieces)
    finally:
        clear(spool, journal)
    if config is not None and config.is_file():
        shutil.copyfile(config, target / SETTINGS)
        (target / SETTINGS).chmod(0o600)
    manifest = Manifest(
        version=__version__,
        node=settings.node.name,
        dir=str(settings.dir),
        cut_at=cut.cut_at,
        finished_at=datetime.now(UTC),
        relay_ran=relay_ran,
        analytics_ran=ran,
        messages=cut.messages,
        recipients=cut.recipients,
        entries=sorted(copier.entries, key=lambda entry: entry.path),
    )
    write(target, manifest)
    give(target, target.parent)  # else the nightly one, which is not root, could not delete it
    return manifest


def _copy(copier: Copier, pieces: list[_Piece]) -> None:
    for piece in pieces:
        if copier.copy(piece.source, piece.path, piece.limit) is None and piece.limit is not None:
            raise BackupFailed(f"{piece.source} is gone, which was staged; take the backup again")


def size_of(folder: Path) -> int:
    """About how many bytes a backup of this data folder takes."""
    found = 0
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in (STAGING, "logs")]
        found += sum(state.st_size for _, state in still_there(Path(place, name) for name in names))
    return found


def prune(folder: Path, keep: int) -> list[str]:
    """Delete all whole backups in `folder` but the last `keep`; return their names."""
    whole = sorted(path.parent for path in folder.glob(f"*/{NAME}"))
    old = whole[: max(len(whole) - keep, 0)]
    for path in old:
        shutil.rmtree(path)
    return [path.name for path in old]


def _make(target: Path, data: Path) -> None:
    if target.is_relative_to(data):
        raise BackupFailed(f"{target} lies in the data folder; a backup belongs on another disk")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupFailed(
            f"{target} is there already and not empty; name a new folder, or --keep N for a folder of many"
        )
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    (target / DATA).mkdir(mode=0o700)


@contextmanager
def _still(settings: Settings) -> Iterator[bool]:
    """Keep the warehouse as it is while the block runs; gives whether analytics runs."""
    with QueryClient.of(settings, "admin", timeout_seconds=_SECONDS) as client:
        try:
            client.backup("begin")
        except AnalyticsDown:
            before = _marks(settings.dir)
            _refuse_held(settings.dir / _WAREHOUSE[0])
            yield False
            if _marks(settings.dir) != before:
                raise BackupFailed("analytics was started meanwhile; take the backup again") from None
            return
        try:
            yield True
        finally:
            held = client.backup("end")["held"]
    if not held:
        raise BackupFailed("analytics went on before its files were copied; take the backup again, on a quicker disk")


def _marks(folder: Path) -> list[tuple[int, int]]:
    found = [(folder / name).stat() for name in _WAREHOUSE if (folder / name).exists()]
    return [(one.st_size, one.st_mtime_ns) for one in found]


def _refuse_held(path: Path) -> None:
    try:
        if path.exists():
            duckdb.connect(str(path), read_only=True).close()
    except duckdb.IOException as error:
        if "lock" in str(error):
            raise BackupFailed(f"{path} is in use, and its owner does not answer: {error}") from None
    except duckdb.Error:
        pass  # broken: it is taken as it is, and can be made again


def _cut(settings: Settings) -> tuple[CutView, bool]:
    """Have the relay cut, or without one do so under its lock; tell whether it runs."""
    try:
        with ControlClient.of(settings, timeout_seconds=_SECONDS) as relay:
            return relay.cut(), True
    except ControlError as error:
        # as in control/local.py: nobody answers, or the relay of another folder does
        if not isinstance(error, ControlUnreachable) and error.status != 401:
            raise
        try:
            with acquire(settings.dir):
                return _cut_alone(settings), False
        except AlreadyRunning as running:
            raise BackupFailed(f"{running} - but {error}") from None


def _cut_alone(settings: Settings) -> CutView:
    now, spool = datetime.now(UTC), settings.dir / "spool"
    cut = take_alone(spool, settings.journal_dir) if (spool / "index.sqlite").exists() else Cut([], 0, 0)
    return CutView(cut_at=now, journal=cut.journal, messages=cut.messages, recipients=cut.recipients)


def _staged(journal: Path) -> list[tuple[str, int]]:
    """Link what is archived and set aside; returns paths below `journal`, with their bytes."""
    return [
        (f"{name}/{file}", size)
        for name in ("archive", "aside")
        for file, size in link_all(sorted((journal / name).glob("*.jsonl")), journal / STAGING / name)
    ]


def _cut_pieces(spool: Path, journal: Path, cut: CutView, archived: list[tuple[str, int]]) -> Iterator[_Piece]:
    for name, size in [*cut.journal, *archived]:
        yield _Piece(journal / STAGING / name, f"journal/{name}", size, size)
    index = spool / STAGING / "index.sqlite"
    if not index.exists():
        return
    yield _Piece(index, "spool/index.sqlite", index.stat().st_size)
    for name, size in _segments(index):
        path = spool / STAGING / name
        if path.exists():  # else it was lost before, and the relay knows
            yield _Piece(path, f"spool/{name}", size, size)


def _segments(index: Path) -> list[tuple[str, int]]:
    """The segments with mail, and up to where they were committed: what lies behind was written after the cut."""
    with closing(sqlite3.connect(f"{index.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        rows = connection.execute("SELECT number, written FROM segment WHERE messages > 0 ORDER BY number").fetchall()
    return [(segment_path(index.parent, number).name, written) for number, written in rows]


def _other_pieces(folder: Path) -> Iterator[_Piece]:
    """Everything else there is: secrets, tokens, keys, certificates, models, raw reports, words."""
    for path, state in still_there(sorted(folder.rglob("*"))):
        parts = path.relative_to(folder).parts
        if parts[0] in _NOT_TAKEN or parts[0].startswith((*_DATABASES, ".")) or not stat.S_ISREG(state.st_mode):
            continue
        yield _Piece(path, "/".join(parts), state.st_size)


def _warehouse(folder: Path, copier: Copier, pieces: list[_Piece], progress: Progress) -> None:
    files = [folder / name for name in _WAREHOUSE if (folder / name).exists()]
    wanted = sum(piece.size_bytes for piece in pieces) + sum(path.stat().st_size for path in files)
    free = shutil.disk_usage(copier.target).free
    if wanted > free:
        raise BackupFailed(f"{copier.target}: {free / 1e6:.0f} MB are free, {wanted / 1e6:.0f} MB are needed")
    progress.total(wanted)
    for path in files:
        copier.copy(path, path.name)
