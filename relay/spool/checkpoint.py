"""Moves committed pages from the index's write-ahead log into its file, beside the commits instead of within them.

SQLite would do it inside every so-manieth commit, and that one would keep its mail waiting for 50 ms. PASSIVE: it never
waits for a writer, nor a writer for it. Should it fall behind, the commits' own checkpoint takes over (index.connect).
"""

import contextlib
import sqlite3
import threading
from pathlib import Path

_PAUSE_SECONDS = 0.25  # at 4,000 messages a second the log grows by some 5 MB meanwhile


class Checkpointer:
    """A thread of its own with a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def note(self) -> None:
        """Something was committed."""
        if not self._due.is_set():
            self._due.set()

    def stop(self) -> None:
        """End the thread; blocks until a checkpoint under way is through. May be called before `start`."""
        self._end.set()
        self._due.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        try:
            while not self._end.wait(_PAUSE_SECONDS):
                self._due.wait()
                self._due.clear()
                # a disk that is full, or an index that breaks, is the commit thread's to say
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            connection.close()
