"""Sees journal files the moment they are complete, so that nobody has to wait for the period of a job."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from analytics.ingesting.journals import JournalFolder

_log = logging.getLogger("mailweir.ingest")

# A look at a folder with a few names takes 20 us; a notice of the kernel would spare half of it, and needs a library.
LOOK_SECONDS = 0.05
# Each look through is a transaction of the warehouse, 0.1 s and more; the files of a busy moment share one.
_REST_SECONDS = 0.25


class JournalWatch:
    """Calls from its thread `appeared` with files that are new, then `due`, at most four times a second."""

    def __init__(
        self, folder: JournalFolder, appeared: Callable[[Sequence[Path]], None], due: Callable[[], None]
    ) -> None:
        self._folder, self._appeared, self._due = folder, appeared, due
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        seen: frozenset[str] = frozenset()
        is_due, last = False, float("-inf")
        while not self._end.wait(LOOK_SECONDS):
            try:
                waiting = self._folder.waiting()
                if waiting - seen:
                    self._appeared([self._folder.path / name for name in sorted(waiting - seen)])
                    is_due = True
                seen = waiting
                if is_due and time.monotonic() >= last + _REST_SECONDS:
                    is_due, last = False, time.monotonic()
                    self._due()
            except Exception:  # the loop of the watch: without it, the jobs' periods remain
                _log.exception("journal folder not looked at")
                self._end.wait(1.0)
