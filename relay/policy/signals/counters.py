"""The counters' file: named tables of rows, written each second so that kill -9 costs at most a second of counts.

SQLite with synchronous NORMAL: losing a second of counts is allowed, losing the file is not. Must never be read on the
hot path: memory decides, the file only remembers. One exception: a sender that left memory comes back by its key.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from relay.clock import Clock
from relay.threads import to_its_end

_log = logging.getLogger("mailweir.policy")

FLUSH_SECONDS = 1.0

_FORGET_SECONDS = 86_400.0
_READER_CACHE_KB = 16_384
_Rows = list[tuple[str, bytes]]


class Source(Protocol):
    """What is remembered: signals, limits."""

    def dirty(self) -> list[tuple[str, bytes]]:
        """Return the rows changed since the last call; an empty row is deleted from the file."""
        ...

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        """Take rows back in; return how many were unreadable."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """One table and whose rows it keeps. Rows not written for `keep_seconds` are not read back, but deleted.

    `newest`: only so many are read back, the latest last; None: all of them, in no order.
    `on_lookup`: gets the function that finds a row by its key, written or not: for what does not fit into memory.
    """

    name: str
    source: Source
    keep_seconds: float
    newest: int | None = None
    on_lookup: "Callable[[Callable[[str], bytes | None]], None] | None" = None


class Counters:
    """Keeps tables in a file from `start` to `stop`."""

    def __init__(self, path: Path, tables: Sequence[Table], clock: Clock, every_seconds: float = FLUSH_SECONDS) -> None:
        """`every_seconds`: so much a crash may cost."""
        self._path, self._tables, self._clock, self._every_seconds = path, tables, clock, every_seconds
        self._task: asyncio.Task[None] | None = None
        self._unwritten: dict[str, dict[str, bytes]] = {table.name: {} for table in tables}
        self._writing: dict[str, dict[str, bytes]] = {}
        self._reader: sqlite3.Connection | None = None

    async def start(self) -> None:
        """Read back what an earlier run knew. A file that cannot be read is set aside: counts are not worth a stop."""
        now = self._clock.unix()
        try:
            found = await asyncio.to_thread(_read, self._path, self._tables, now)
        except sqlite3.DatabaseError as error:
            aside = self._path.with_suffix(f".corrupt-{now:.0f}")
            self._path.rename(aside)
            _log.error("counters set aside file=%s error=%s", aside, error)
            found = await asyncio.to_thread(_read, self._path, self._tables, now)
        for table in self._tables:
            table.source.load(found[table.name])
            if table.on_lookup is not None:
                table.on_lookup(partial(self._lookup, table))
        self._reader = _reader(self._path)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            await self._flush()
        except sqlite3.Error as error:  # a full disk must not make a stop fail
            _log.error("counters not written error=%s", error)
        if self._reader:
            self._reader.close()
            self._reader = None

    def _lookup(self, table: Table, key: str) -> bytes | None:
        """Return a row, None when there is none: what waits to be written is newer than the file."""
        for rows in (self._unwritten, self._writing):
            if (row := rows.get(table.name, {}).get(key)) is not None:
                return row or None
        if self._reader is None:
            return None
        query = f"SELECT row FROM {table.name} WHERE key = ? AND written_unix >= ?"  # noqa: S608 - names are ours
        try:
            # fetchall: a statement that is not read to its end keeps the write-ahead log from being reset
            found = self._reader.execute(query, (key, self._clock.unix() - table.keep_seconds)).fetchall()
        except sqlite3.Error as error:  # who is not found begins anew: mail goes on
            _log.error("counters not read table=%s error=%s", table.name, error)
            return None
        return found[0][0] if found else None

    async def _run(self) -> None:
        forgets_at = 0.0
        while True:
            await self._clock.sleep(self._every_seconds)
            try:
                await self._flush()
                if (now := self._clock.unix()) >= forgets_at:
                    await asyncio.to_thread(_forget, self._path, self._tables, now)
                    forgets_at = now + _FORGET_SECONDS
            except sqlite3.Error as error:  # a full disk: the counts stay in memory, the next flush has the newest
                _log.error("counters not written error=%s", error)

    async def _flush(self) -> None:
        for table in self._tables:
            self._unwritten[table.name].update(table.source.dirty())
        if not any(self._unwritten.values()):
            return
        rows, self._unwritten = self._unwritten, {table.name: {} for table in self._tables}
        self._writing = rows
        try:
            await to_its_end(_write, self._path, rows, self._clock.unix())
        except (sqlite3.Error, asyncio.CancelledError):  # flushed again, with what was counted meanwhile and is newer
            self._unwritten = {name: rows[name] | newer for name, newer in self._unwritten.items()}
            raise
        finally:
            self._writing = {}


def _reader(path: Path) -> sqlite3.Connection:
    """Return a connection that reads only; a writer never makes it wait (WAL)."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0.05)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KB}")
    return connection


def _connect(path: Path, names: Iterable[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    for name in names:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {name}"
            " (key TEXT PRIMARY KEY, row BLOB NOT NULL, written_unix REAL NOT NULL) WITHOUT ROWID"
        )
        if any(column[1] == "sender" for column in connection.execute(f"PRAGMA table_info({name})")):
            # a file of before there was more than one table
            connection.execute(f"ALTER TABLE {name} RENAME COLUMN sender TO key")
    return connection


def _read(path: Path, tables: Sequence[Table], now_unix: float) -> dict[str, _Rows]:
    connection = _connect(path, [table.name for table in tables])
    try:
        return {table.name: _read_table(connection, table, now_unix) for table in tables}
    finally:
        connection.close()


def _read_table(connection: sqlite3.Connection, table: Table, now_unix: float) -> _Rows:
    if table.newest == 0:
        return []
    query = f"SELECT key, row FROM {table.name} WHERE written_unix >= ?"  # noqa: S608 - names are ours
    oldest = now_unix - table.keep_seconds
    if table.newest is None:
        return connection.execute(query, (oldest,)).fetchall()
    newest = f"{query} ORDER BY written_unix DESC LIMIT ?"
    return connection.execute(newest, (oldest, table.newest)).fetchall()[::-1]


def _forget(path: Path, tables: Sequence[Table], now_unix: float) -> None:
    """Delete what is too old to be read back: nobody else ever would."""
    connection = _connect(path, [table.name for table in tables])
    try:
        for table in tables:
            oldest = now_unix - table.keep_seconds
            connection.execute(f"DELETE FROM {table.name} WHERE written_unix < ?", (oldest,))  # noqa: S608
    finally:
        connection.close()


def _write(path: Path, tables: dict[str, dict[str, bytes]], now_unix: float) -> None:
    connection = _connect(path, tables)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for name, rows in tables.items():
            kept = [(key, row, now_unix) for key, row in rows.items() if row]
            connection.executemany(f"INSERT OR REPLACE INTO {name} VALUES (?, ?, ?)", kept)  # noqa: S608
            gone = [(key,) for key, row in rows.items() if not row]
            connection.executemany(f"DELETE FROM {name} WHERE key = ?", gone)  # noqa: S608
        connection.execute("COMMIT")
    finally:
        connection.close()
