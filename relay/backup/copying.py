"""Copies files, and says of each copy what it is: bytes and SHA-256. A copy is on disk when it is told of."""

import hashlib
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from relay.backup.manifest import Entry

_PIECE = 1024 * 1024

Advance = Callable[[int], None]


class Copier:
    """Copies into one folder. `advance` hears of each piece, in bytes."""

    def __init__(self, target: Path, advance: Advance) -> None:
        self.target, self._advance = target, advance
        self.entries: list[Entry] = []

    def copy(self, source: Path, path: str, limit: int | None = None) -> Entry | None:
        """Copy a file, its first `limit` bytes only; None when it is gone. Raises OSError."""
        try:
            file = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            mode = stat.S_IMODE(os.fstat(file).st_mode)
            size, digest = self._write(file, self._made(path), mode, limit)
            status = os.fstat(file)
        finally:
            os.close(file)
        # the age of journals and models is read from their files
        os.utime(self.target / path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return self._note(path, size, digest, mode)

    def copy_database(self, source: Path, path: str) -> Entry:
        """Copy an SQLite database as it is at one instant, whoever writes to it. Raises sqlite3.Error."""
        target = self._made(path)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=30)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode = DELETE")
        return self.take(path)

    def take(self, path: str) -> Entry:
        """Note a file that lies in the target already."""
        target = self.target / path
        mode = stat.S_IMODE(target.stat().st_mode)
        size, digest = checksum(target, self._advance)
        with target.open("rb") as file:
            os.fsync(file.fileno())
        return self._note(path, size, digest, mode)

    def _made(self, path: str) -> Path:
        target = self.target / path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return target

    def _note(self, path: str, size: int, digest: str, mode: int) -> Entry:
        entry = Entry(path, size, digest, mode)
        self.entries.append(entry)
        return entry

    def _write(self, file: int, target: Path, mode: int, limit: int | None) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb", buffering=0) as out:
            while piece := os.read(file, _PIECE if limit is None else min(_PIECE, limit - size)):
                out.write(piece)
                digest.update(piece)
                size += len(piece)
                self._advance(len(piece))
            os.fsync(out.fileno())
        return size, digest.hexdigest()


def give(folder: Path, like: Path) -> None:
    """What root writes belongs to the owner of `like`, who runs the relay."""
    owner = like.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(folder, owner.st_uid, owner.st_gid)
        for place, folders, names in os.walk(folder):
            for name in (*folders, *names):
                os.chown(Path(place, name), owner.st_uid, owner.st_gid, follow_symlinks=False)


def checksum(path: Path, advance: Advance) -> tuple[int, str]:
    """Bytes and SHA-256 of a file. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            advance(len(piece))
    return size, digest.hexdigest()
