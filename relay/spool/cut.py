"""One cut through spool and journal, for a backup: what was accepted before it is in it, what came later is not.

The cut is made by the commit thread between two transactions, in milliseconds: hard links keep what the index names at
that instant, whatever is delivered and deleted afterwards, and a reader keeps the index as it is. Only then is the
index copied, beside the commits. Who copies the files away clears the staging folders; a start of the relay does too.

An outcome that was journaled in the very moment of the cut may still have its recipient in the index; a restore finds
it in the journal (backup/settling.py). Never the other way round.
"""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.spool.index import get_meta
from relay.spool.journal import Journal
from relay.spool.segments import segment_path

STAGING = ".backup"  # below `spool` and `journal`: links work within one file system only
_JOURNALS = (".jsonl", ".jsonl.open")
_Call = Callable[[Callable[[sqlite3.Connection, Any], Any]], Awaitable[Any]]


class CutFailed(Exception):
    """No cut could be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What is staged: journal files with their bytes at the cut, and what the spool held."""

    journal: list[tuple[str, int]]
    messages: int
    recipients: int


@dataclass(frozen=True, slots=True)
class _Pinned:
    """The index as it was, held by an open reader."""

    reader: sqlite3.Connection
    journal: list[tuple[str, int]]


class Cuts:
    """The running relay's. `call` runs a function in the commit thread."""

    def __init__(self, folder: Path, journal: Journal, call: _Call) -> None:
        self._folder, self._journal, self._call = folder, journal, call

    async def take(self) -> Cut:
        """Stage a cut; an earlier one goes. Raises CutFailed."""
        try:
            linked = await asyncio.to_thread(_prepare, self._folder, self._journal.folder)
        except OSError as error:
            raise CutFailed(f"spool and journal cannot be linked: {error}") from error
        pinned = await self._call(lambda _connection, _change: self._attempt(linked))
        if isinstance(pinned, CutFailed):
            raise pinned
        return await asyncio.to_thread(_copied, self._folder, pinned)

    def _attempt(self, linked: dict[str, int]) -> _Pinned | CutFailed:
        # An error is a value here: raised, it would fail the commit, and mail with it.
        try:
            return self._journal.still(lambda journal: _pin(self._folder, journal, linked))
        except (OSError, sqlite3.Error) as error:
            return CutFailed(f"spool and journal cannot be linked: {error}")


def take_alone(folder: Path, journal: Path) -> Cut:
    """The same while no relay runs; the caller holds its lock. Raises CutFailed."""
    try:
        return _copied(folder, _pin(folder, journal, _prepare(folder, journal)))
    except (OSError, sqlite3.Error) as error:
        raise CutFailed(f"spool and journal cannot be linked: {error}") from error


def clear(*folders: Path) -> None:
    """Remove what is staged below these folders: only names go, no file that somebody still needs."""
    for folder in folders:
        shutil.rmtree(folder / STAGING, ignore_errors=True)


def link_all(paths: Iterable[Path], target: Path) -> list[tuple[str, int]]:
    """Link files into `target`; returns names and bytes at that instant. One that is gone by now is left out."""
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = []
    for path in paths:
        for name in (path.name, path.name.removesuffix(".open")):  # it may be closed at this moment
            with suppress(FileNotFoundError):
                os.link(path.with_name(name), target / name)
                found.append((name, (target / name).stat().st_size))
                break
    return found


def _prepare(folder: Path, journal: Path) -> dict[str, int]:
    """Link what will not change any more, before mail waits for the cut; returns the journal files and their bytes."""
    clear(folder, journal)
    link_all(folder.glob("*.seg"), folder / STAGING)
    return dict(link_all(sorted(journal.glob("*.jsonl")), journal / STAGING))


def _pin(folder: Path, journal: Path, linked: dict[str, int]) -> _Pinned:
    names = sorted(name for name in os.listdir(journal) if name.endswith(_JOURNALS) and name not in linked)
    found = [*linked.items(), *link_all((journal / name for name in names), journal / STAGING)]
    staged = folder / STAGING
    known = set(os.listdir(staged))
    reader = sqlite3.connect(folder / "index.sqlite", isolation_level=None, check_same_thread=False)
    try:
        reader.execute("BEGIN")
        named = reader.execute("SELECT number FROM segment WHERE messages > 0").fetchall()
        paths = [segment_path(folder, number) for (number,) in named]
        link_all((path for path in paths if path.name not in known), staged)
    except BaseException:
        reader.close()
        raise
    return _Pinned(reader, found)


def _copied(folder: Path, pinned: _Pinned) -> Cut:
    with closing(pinned.reader) as reader:
        copy = folder / STAGING / "index.sqlite"
        with closing(sqlite3.connect(copy, isolation_level=None)) as target:
            reader.backup(target)  # in one step: it reads what the open transaction sees
            target.execute("PRAGMA journal_mode = DELETE")
        copy.chmod(0o600)
        (messages,) = reader.execute("SELECT count(*) FROM message").fetchone()
        return Cut(pinned.journal, int(messages), get_meta(reader, "recipients"))
