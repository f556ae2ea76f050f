"""Keeps the warehouse's file and the journals' archive as they are while a backup takes them.

Ingestion waits between two runs, and the writer thread between two transactions; questions go on. Only the asker may
copy the file: to open and close it here would drop DuckDB's own lock (fcntl(2): any close of any descriptor does).
The asker holds a lock of its own meanwhile, so that one who dies without a word stops nothing.
"""

import logging
import threading
from contextlib import suppress
from functools import partial

import duckdb

from analytics.serving.ask import Unanswerable
from analytics.warehouse import Connection, Warehouse
from relay.backup.taking import is_taken

_log = logging.getLogger("mailweir.analytics")

_LONGEST_SECONDS = 3600.0
_BUSY_SECONDS = 120.0  # a large batch, or a nightly deletion, has to end first
_LOOK_SECONDS = 0.5


class Busy(Unanswerable):
    """It cannot stand still now; the text says why."""


class Standstill:
    """One at a time. `turn` is held by ingestion while it runs."""

    def __init__(self, warehouse: Warehouse, turn: threading.Lock) -> None:
        self._warehouse, self._turn = warehouse, turn
        self._lock = threading.Lock()
        self._over: threading.Event | None = None  # of the one that was begun

    def begin(self) -> None:
        """Return when nothing is written any more. Raises Busy."""
        with self._lock:
            if self._over is not None:
                raise Busy("a backup is being taken already")
            over = self._over = threading.Event()
        reached = threading.Event()
        if not self._turn.acquire(timeout=_BUSY_SECONDS):
            self._over = None
            raise Busy("ingestion does not come to an end; try again")
        try:
            self._warehouse.write(partial(self._stand, over, reached))
        except RuntimeError:  # its thread has ended
            self._turn.release()
            self._over = None
            raise Busy("analytics is stopping") from None
        if not reached.wait(_BUSY_SECONDS):
            over.set()
            raise Busy("the warehouse is being written; try again")

    def end(self) -> bool:
        """Go on; tell whether nothing was written since `begin`."""
        with self._lock:
            over, held = self._over, self._over is not None and not self._over.is_set()
        if over is not None:
            over.set()
        return held

    def close(self) -> None:
        """The process stops: whoever takes a backup has to begin anew."""
        self.end()

    def _stand(self, over: threading.Event, reached: threading.Event, connection: Connection) -> None:
        waited = 0.0
        try:
            with suppress(duckdb.Error):  # what stays in its log is copied beside it
                connection.execute("CHECKPOINT")
            reached.set()
            while not over.wait(_LOOK_SECONDS):
                waited += _LOOK_SECONDS
                if waited >= _LONGEST_SECONDS or not is_taken(self._warehouse.path.parent):
                    _log.warning("backup given up, its asker is gone or slow seconds=%.0f", waited)
                    over.set()
        finally:
            self._turn.release()
            with self._lock:
                self._over = None
