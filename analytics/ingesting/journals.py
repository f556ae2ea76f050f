"""The journal's files seen from the reader: which wait, which lines are good, where they go afterwards.

After ingestion a file's lines are appended to `archive/<writer>-<hour>[.<number>].jsonl`, so that the warehouse can be
made again; a file with a broken line goes to `aside/` as it was, and its good lines to the archive. Whether a file was
ingested is not decided here but by its bookmark in the warehouse: a crash between two steps repeats harmless ones.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from relay.events import decode

_log = logging.getLogger("mailweir.ingest")

# One transaction takes so much: its commit and its twenty statements are shared by many files, and 64 MB are about
# 50,000 records, which a batch holds in memory.
BATCH_FILES = 64
BATCH_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Salvage:
    """What is left of a damaged file: good lines, and (line number, reason) of the others."""

    good: list[bytes] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)


class JournalFolder:
    """The folder of closed journal files, with `archive/` and `aside/` below."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.archive = path / "archive"
        self.aside = path / "aside"
        for folder in (self.archive, self.aside):
            folder.mkdir(parents=True, exist_ok=True)

    def closed(self) -> list[Path]:
        """The complete files that wait, in the order of writing."""
        return sorted(self.path.glob("*.jsonl"))

    def waiting(self) -> frozenset[str]:
        """The names of the complete files, in no order: cheap enough to be asked many times a second."""
        return frozenset(name for name in os.listdir(self.path) if name.endswith(".jsonl"))

    def archived(self) -> list[Path]:
        return sorted(self.archive.glob("*.jsonl"))

    def put_away(self, paths: Iterable[Path]) -> None:
        """Append ingested files to the archive and remove them; on disk before they are removed."""
        by_target: dict[Path, list[Path]] = {}
        for path in paths:
            by_target.setdefault(self._target(path), []).append(path)
        for target, sources in by_target.items():
            if len(sources) == 1 and not target.exists():
                sources[0].rename(target)
                continue
            _append(target, (source.read_bytes() for source in sources))
            for source in sources:
                source.unlink()

    def put_aside(self, path: Path) -> None:
        """Keep a damaged file for a look, and its good lines in the archive."""
        salvage = salvaged(path)
        if salvage.good:
            _append(self._target(path), salvage.good)
        path.rename(self.aside / path.name)

    def _target(self, path: Path) -> Path:
        writer = path.name.split("-", 1)[0]
        hour = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        target = self.archive / f"{writer}-{hour:%Y%m%dT%H}.jsonl"
        number = 0
        while target.exists() and target.stat().st_size >= BATCH_BYTES:  # one file is one transaction at a rebuild
            number += 1
            target = self.archive / f"{writer}-{hour:%Y%m%dT%H}.{number}.jsonl"
        return target


def batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Group files into what one transaction takes; a single file may be larger."""
    batch: list[Path] = []
    total = 0
    for path in paths:
        size = path.stat().st_size
        if batch and (len(batch) >= BATCH_FILES or total + size > BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(path)
        total += size
    if batch:
        yield batch


def salvaged(path: Path) -> Salvage:
    """Read a file line by line and tell the good from the bad; every good line ends with LF."""
    result = Salvage()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                result.bad.append((number, str(error)))
            else:
                result.good.append(line if line.endswith(b"\n") else line + b"\n")
    return result


def _append(target: Path, chunks: Iterable[bytes]) -> None:
    with target.open("ab+") as file:
        file.truncate(_whole_lines(target))
        for chunk in chunks:
            file.write(chunk if chunk.endswith(b"\n") else chunk + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(path: Path) -> int:
    """The length of a file up to its last LF: a torn tail is the beginning of a file that is still there."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65_536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
