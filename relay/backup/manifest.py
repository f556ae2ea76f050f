"""What a backup says of itself: manifest.json, written last, so that a folder without it is no backup."""

import os
from datetime import datetime
from pathlib import Path

import msgspec

FORMAT = 1
NAME = "manifest.json"
DATA, SETTINGS = "data", "mailweir.toml"


class NoBackup(Exception):
    """The folder holds no whole backup; the text says what is missing."""


class Entry(msgspec.Struct, frozen=True):
    """One file: its path below `data`, bytes, SHA-256 and permissions."""

    path: str
    size_bytes: int
    sha256: str
    mode: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`cut_at`: mail accepted before is in it. `messages` and `recipients` wait in its spool, the held ones too."""

    format: int = FORMAT
    version: str
    node: str
    dir: str
    cut_at: datetime
    finished_at: datetime
    relay_ran: bool
    analytics_ran: bool
    messages: int
    recipients: int
    entries: list[Entry]

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)


def write(folder: Path, manifest: Manifest) -> None:
    """Write it; returns when it is on disk under its name."""
    draft = folder / f".{NAME}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(folder / NAME)


def read(folder: Path) -> Manifest:
    """Raises NoBackup, OSError."""
    try:
        found = msgspec.json.decode((folder / NAME).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise NoBackup(f"{folder / NAME} is not there: no backup, or one that was cut off; take another one") from None
    except msgspec.DecodeError as error:
        raise NoBackup(f"{folder / NAME} cannot be read ({error}); take another backup") from None
    if found.format != FORMAT:
        raise NoBackup(f"{folder} has format {found.format}, this program reads {FORMAT}; use the version that made it")
    for entry in found.entries:
        if Path(entry.path).is_absolute() or ".." in Path(entry.path).parts:
            raise NoBackup(f"{folder / NAME} names {entry.path!r}, which is no path below `{DATA}`")
    return found
