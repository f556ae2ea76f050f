"""Reports as they came in, one file each, for whoever reads them later: `inbox/YYYYMMDD/TIME-NUMBER.eml`.

Bounded by days and by bytes: the oldest leave first. Everything here blocks; call it off the event loop.
"""

import itertools
import logging
import os
import threading
from datetime import datetime, timedelta
from pathlib import Path

from relay.settings import Inbox
from relay.spool.segments import sync_folder

_log = logging.getLogger("mailweir.inbox")

_MAX_FILES = 500_000  # whatever their size: an inode and 4 kB each
_DRAFT = ".part"


class ReportFolder:
    """The folder `inbox` of the data folder. Threads may use it together."""

    def __init__(self, folder: Path, settings: Inbox) -> None:
        self._folder, self._settings = folder, settings
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._files = self._bytes = -1  # unknown until the first sweep

    def take_up(self, settings: Inbox) -> None:
        """Hold to other bounds from the next sweep on."""
        self._settings = settings

    def keep(self, content: bytes, now: datetime) -> str:
        """Return the file's name, relative to the data folder, once it is on disk; "" when none is kept.

        Raises OSError. What a crash leaves half written has another ending, and goes with the next sweep.
        """
        if not self._settings.keep_days:
            return ""
        day = self._folder / f"{now:%Y%m%d}"
        if not day.is_dir():
            self._folder.mkdir(exist_ok=True, mode=0o750)
            day.mkdir(exist_ok=True, mode=0o750)
            sync_folder(self._folder.parent)
            sync_folder(self._folder)
        path = day / f"{now:%H%M%S%f}-{os.getpid()}-{next(self._numbers)}.eml"
        draft = path.with_suffix(_DRAFT)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        sync_folder(day)
        with self._lock:
            self._files, self._bytes = self._files + 1, self._bytes + len(content)
            is_full = self._is_full()
        if is_full:
            self.sweep(now)
        return f"{self._folder.name}/{day.name}/{path.name}"

    def sweep(self, now: datetime) -> None:
        """Remove what is older than its days, and the oldest of what is too much. Raises OSError."""
        with self._lock:
            first = f"{now - timedelta(days=self._settings.keep_days):%Y%m%d}"
            found = sorted(self._folder.glob("*/*")) if self._folder.is_dir() else []
            sizes = {path: path.stat().st_size for path in found}
            self._files, self._bytes = len(sizes), sum(sizes.values())
            removed, room = 0, 0.9 if self._is_full() else 1.0  # once full, room for a while and not for one file
            for path, size in sizes.items():
                if path.parent.name >= first and path.suffix != _DRAFT and not self._is_full(room):
                    continue
                if path.suffix == _DRAFT and path.parent.name == f"{now:%Y%m%d}":
                    continue  # another thread may be writing it
                path.unlink()
                removed += 1
                self._files, self._bytes = self._files - 1, self._bytes - size
            for day in {path.parent for path in found if path.parent.name < first}:
                day.rmdir()
        if removed:
            _log.info("reports removed files=%d kept=%d", removed, len(sizes) - removed)

    def _is_full(self, share: float = 1.0) -> bool:
        """Tell whether there are more than this share of what may be."""
        most = self._settings.keep_megabytes * 1024 * 1024
        return self._bytes > most * share or self._files > _MAX_FILES * share
