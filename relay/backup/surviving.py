"""Journals that outlived the machine a backup is of: they join those of the backup, to be read once more.

A record that both have is dropped by ingestion, so nothing is counted twice.
"""

import shutil
from datetime import datetime
from pathlib import Path

from relay.backup.settling import recent


def join(journal: Path, surviving: Path, cut_at: datetime) -> list[Path]:
    """Copy what the old machine's journal folder has and the restored one has not; returns the files in their place.

    A file that went on growing after the cut replaces its beginning: a name is ingested once. Raises OSError.
    """
    found = []
    for path in sorted([*surviving.glob("*.jsonl"), *surviving.glob("*.jsonl.open")]):
        found += _placed(path, journal)
    for number, path in enumerate(recent(sorted((surviving / "archive").glob("*.jsonl")), cut_at)):
        writer = path.name.partition("-")[0]
        target = journal / f"{writer}-survived-{cut_at:%Y%m%dT%H%M%S}-{number:04d}.jsonl"
        shutil.copy2(path, target)
        found.append(target)
    return found


def _placed(path: Path, journal: Path) -> list[Path]:
    closed = path.name.removesuffix(".open")
    for name in (closed, f"{closed}.open"):
        known = journal / name
        if known.exists():
            if known.stat().st_size >= path.stat().st_size:
                return []
            known.unlink()
    shutil.copy2(path, journal / path.name)
    return [journal / path.name]
