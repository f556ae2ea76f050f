"""Power loss, played: records in which order a run writes, syncs, renames, deletes and commits, and makes the disks
that could be left at any moment of it.

Certain is only what was synced: a write by fsync or fdatasync of its file, a name by fsync of its folder, rows by
SQLite's COMMIT (WAL, synchronous FULL). All else may be there, torn, or not.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SURVIVALS = ("synced", "everything", "torn")


@dataclass(frozen=True)
class Step:
    """One thing that happened. kind: create write sync sync_folder rename unlink commit told"""

    kind: str
    file: int = 0
    path: str = ""
    target: str = ""
    offset: int = 0
    data: bytes = b""
    note: Any = None


class Recorder:
    """Watches os.open and its kin below `folder`, and the connections of SQLite, from `watch` on."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.steps = folder, list[Step]()
        self._lock = threading.RLock()
        self._descriptors: dict[int, tuple[int, str]] = {}  # number 0: a folder
        self._files = 0

    def tell(self, note: Any) -> None:
        """Note something of the story itself, such as an acknowledged message."""
        self._add(Step("told", note=note))

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        for name in ("open", "write", "pwrite", "pwritev", "fsync", "fdatasync", "close"):
            patch.setattr(os, name, self._wrapped(getattr(os, name), getattr(self, f"_note_{name}")))
        for name in ("rename", "unlink"):
            patch.setattr(Path, name, self._wrapped(getattr(Path, name), getattr(self, f"_note_{name}")))
        recorder, connect = self, sqlite3.connect

        class Watched(sqlite3.Connection):
            def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
                with recorder._lock:
                    cursor = super().execute(sql, *arguments)
                    if sql == "COMMIT":
                        recorder._add(Step("commit", data=self.serialize()))
                return cursor

        patch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, factory=Watched, **kwargs))

    def _wrapped(self, real: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                result = real(*args, **kwargs)
                note(result, *args)
            return result

        return call

    def _add(self, step: Step) -> None:
        with self._lock:
            self.steps.append(step)

    def _add_of(self, file: int, kind: str, *, offset: int = 0, data: bytes = b"") -> None:
        if file in self._descriptors:
            number, path = self._descriptors[file]
            self._add(Step(kind, number, path, offset=offset, data=data))

    def _relative(self, path: Any) -> str | None:
        path = Path(os.fspath(path))
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else None

    # Each is given the result of the real call, then its arguments.

    def _note_open(self, result: int, path: Any, flags: int, *_: Any) -> None:
        name = self._relative(path)
        if name is None:
            return
        if flags & os.O_CREAT:
            self._files += 1
            self._descriptors[result] = self._files, name
            self._add(Step("create", self._files, name))
        elif Path(os.fspath(path)).is_dir():
            self._descriptors[result] = 0, name

    def _note_write(self, result: int, file: int, data: Any) -> None:
        self._add_of(file, "write", offset=-1, data=bytes(data)[:result])

    def _note_pwrite(self, result: int, file: int, data: Any, offset: int) -> None:
        self._add_of(file, "write", offset=offset, data=bytes(data)[:result])

    def _note_pwritev(self, result: int, file: int, pieces: Sequence[bytes], offset: int) -> None:
        self._add_of(file, "write", offset=offset, data=b"".join(pieces)[:result])

    def _note_fsync(self, _: None, file: int) -> None:
        self._add_of(file, "sync" if self._descriptors.get(file, (0, ""))[0] else "sync_folder")

    def _note_fdatasync(self, _: None, file: int) -> None:
        self._add_of(file, "sync")

    def _note_close(self, _: None, file: int) -> None:
        self._descriptors.pop(file, None)

    def _note_rename(self, _: Path, path: Path, target: Any) -> None:
        if (name := self._relative(path)) is not None:
            self._add(Step("rename", path=name, target=str(self._relative(target))))

    def _note_unlink(self, _: None, path: Path, *_args: Any) -> None:
        if (name := self._relative(path)) is not None:
            self._add(Step("unlink", path=name))


def disks(steps: Sequence[Step], target: Path, moments: Iterable[int]) -> Iterator[tuple[int, str, Path]]:
    """For each moment (that many steps done) the disks that power loss may leave, as folders below `target`."""
    for moment in moments:
        for survival in SURVIVALS:
            folder = target / f"{moment}-{survival}"
            _lay_out(steps[:moment], folder, survival)
            yield moment, survival, folder


@dataclass
class _Disk:
    """Names and bytes as the running system sees them, and what of it is certain."""

    certain_names: dict[str, int] = field(default_factory=dict)
    cached_names: dict[str, int] = field(default_factory=dict)
    certain: dict[int, bytes] = field(default_factory=dict)
    cached: dict[int, bytearray] = field(default_factory=dict)
    index: bytes = b""

    def take(self, step: Step) -> None:
        match step.kind:
            case "create":
                self.cached_names[step.path], self.cached[step.file] = step.file, bytearray()
            case "write":
                data = self.cached[step.file]
                offset = len(data) if step.offset < 0 else step.offset
                data.extend(b"\0" * (offset - len(data)))
                data[offset : offset + len(step.data)] = step.data
            case "sync":
                self.certain[step.file] = bytes(self.cached[step.file])
            case "sync_folder":
                self.certain_names = {
                    name: number for name, number in self.certain_names.items() if _folder(name) != step.path
                } | {name: number for name, number in self.cached_names.items() if _folder(name) == step.path}
            case "rename":
                self.cached_names[step.target] = self.cached_names.pop(step.path)
            case "unlink":
                self.cached_names.pop(step.path, None)
            case "commit":
                self.index = step.data

    def left(self, survival: str) -> dict[str, bytes]:
        """Name -> bytes of what is there when power is back."""
        if survival == "everything":
            return {name: bytes(self.cached[number]) for name, number in self.cached_names.items()}
        if survival == "synced":
            return {name: self.certain.get(number, b"") for name, number in self.certain_names.items()}
        known = set(self.certain_names.values())
        names = self.certain_names | {name: n for name, n in self.cached_names.items() if n not in known}
        return {name: self._torn(number) for name, number in names.items()}

    def _torn(self, number: int) -> bytes:
        certain, cached = self.certain.get(number, b""), bytes(self.cached[number])
        middle = (len(certain) + len(cached)) // 2
        return cached[:middle] + b"\0" * (len(cached) - middle)


def _lay_out(steps: Sequence[Step], folder: Path, survival: str) -> None:
    disk = _Disk()
    for step in steps:
        disk.take(step)
    for name in ("spool", "journal"):
        (folder / name).mkdir(parents=True)
    for name, data in disk.left(survival).items():
        (folder / name).write_bytes(data)
    if disk.index:
        (folder / "spool" / "index.sqlite").write_bytes(disk.index)


def _folder(name: str) -> str:
    return str(Path(name).parent)
