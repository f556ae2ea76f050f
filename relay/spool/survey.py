"""Counts per destination of a long queue: made by a thread with its own connection, never by the event loop.

A million recipients take it a second or two; who asks gets the last survey, and has the next one made.
"""

import logging
import sqlite3
import threading
import time
from pathlib import Path

from relay.spool import census

_log = logging.getLogger("mailweir.spool")

_REST = 20  # a survey rests so many times what it took: 5 % of a core at most


class Survey:
    """The last survey, at most about a minute old for a million recipients."""

    def __init__(self, index_file: Path) -> None:
        self._file = index_file
        self._found: list[census.Count] = []
        self._thread: threading.Thread | None = None
        self._next = 0.0

    def latest(self) -> list[census.Count]:
        """Every destination, fullest first; empty until the first survey is done."""
        is_running = self._thread is not None and self._thread.is_alive()
        if not is_running and time.monotonic() >= self._next:
            self._thread = threading.Thread(target=self._make, name="survey", daemon=True)
            self._thread.start()
        return self._found

    def close(self) -> None:
        """Return when no survey runs."""
        if self._thread is not None:
            self._thread.join()

    def _make(self) -> None:
        began = time.monotonic()
        try:
            connection = sqlite3.connect(self._file, isolation_level=None)
            try:
                connection.execute("PRAGMA query_only = 1")
                self._found = census.by_destination(connection)
            finally:
                connection.close()
        except sqlite3.Error as error:
            _log.warning("no survey of the queue: %s", error)
        self._next = time.monotonic() + _REST * (time.monotonic() - began)
