"""The counters' file: rows of signals, written each second so that kill -9 costs at most a second of counts.

SQLite with synchronous NORMAL: losing a second of counts is allowed, losing the file is not. Must never be read on the
hot path: memory decides, the file only remembers.
"""

import asyncio
import logging
import sqlite3
from pathlib import Path

from relay.clock import Clock
from relay.policy.signals import Signals

_log = logging.getLogger("mailweir.policy")

FLUSH_SECONDS = 1.0


class Counters:
    """Keeps `signals` in a file from `start` to `stop`."""

    def __init__(self, path: Path, signals: Signals, clock: Clock) -> None:
        self._path, self._signals, self._clock = path, signals, clock
        self._task: asyncio.Task[None] | None = None
        self._unwritten: dict[str, bytes] = {}

    async def start(self) -> None:
        """Read back what an earlier run knew. A file that cannot be read is set aside: counts are not worth a stop."""
        try:
            rows = await asyncio.to_thread(_read, self._path)
        except sqlite3.DatabaseError as error:
            aside = self._path.with_suffix(f".corrupt-{self._clock.unix():.0f}")
            self._path.rename(aside)
            _log.error("counters set aside file=%s error=%s", aside, error)
            rows = await asyncio.to_thread(_read, self._path)
        self._signals.load(rows)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
        try:
            await self._flush()
        except sqlite3.Error as error:  # a full disk must not make a stop fail
            _log.error("counters not written error=%s", error)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(FLUSH_SECONDS)
            try:
                await self._flush()
            except sqlite3.Error as error:  # a full disk: the counts stay in memory, the next flush has the newest
                _log.error("counters not written error=%s", error)

    async def _flush(self) -> None:
        self._unwritten.update(self._signals.dirty())
        if self._unwritten:
            rows, self._unwritten = self._unwritten, {}
            try:
                await asyncio.to_thread(_write, self._path, rows, self._clock.unix())
            except sqlite3.Error:
                self._unwritten = rows | self._unwritten  # what was counted meanwhile is newer
                raise


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS signal"
        " (sender TEXT PRIMARY KEY, row BLOB NOT NULL, written_unix REAL NOT NULL) WITHOUT ROWID"
    )
    return connection


def _read(path: Path) -> list[tuple[str, bytes]]:
    connection = _connect(path)
    try:
        return connection.execute("SELECT sender, row FROM signal ORDER BY written_unix").fetchall()
    finally:
        connection.close()


def _write(path: Path, rows: dict[str, bytes], now_unix: float) -> None:
    connection = _connect(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT OR REPLACE INTO signal VALUES (?, ?, ?)", [(sender, row, now_unix) for sender, row in rows.items()]
        )
        connection.execute("COMMIT")
    finally:
        connection.close()
