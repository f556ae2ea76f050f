"""The one DuckDB file: who may write (one thread), who may read (a cursor each), and which migrations it has.

While this process has the file open nobody else can, not even to read; everybody else asks the query API. No SQL
about mail stands here.
"""

import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from analytics.serving.priority import give_way

_log = logging.getLogger("mailweir.warehouse")
_T = TypeVar("_T")
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql")

Connection = duckdb.DuckDBPyConnection


class WarehouseError(Exception):
    """The warehouse cannot be used; the text says why and what to do."""


class WarehouseBusy(WarehouseError):
    """Another process has the file open."""


class Warehouse:
    """An open warehouse. `write` actions run one after another in its own thread, reads beside them."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._opening = threading.Lock()
        self._writer = ThreadPoolExecutor(1, "warehouse")
        self._write_cursor = connection.cursor()

    @classmethod
    def open(cls, path: Path, readable: Path) -> "Warehouse":
        """Open or make the file and migrate it. SQL can read no other files than those below `readable`.

        Raises WarehouseBusy, WarehouseError.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(1, initializer=give_way) as pool:  # DuckDB's own threads are as nice as who makes them
            connection = pool.submit(_connect, path).result()
        try:
            _configure(connection, path, readable)
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return cls(connection, path)

    def write(self, action: Callable[[Connection], _T]) -> Future[_T]:
        """Have `action` run in the writer thread, with the writer's cursor; it owns its transactions."""
        return self._writer.submit(action, self._write_cursor)

    @contextmanager
    def cursor(self) -> Iterator[Connection]:
        """A cursor of one's own, for reading: an open result owns its connection."""
        with self._opening:
            cursor = self._connection.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    def table(self, query: str, **params: Any) -> pa.Table:
        """Answer one question."""
        with self.cursor() as cursor:
            return cursor.sql(query, params=params).to_arrow_table()

    def close(self) -> None:
        """Finish what is being written and close the file, its log folded in."""
        self._writer.shutdown(wait=True)
        self._write_cursor.close()
        self._connection.close()


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Commit at the end, roll back when anything goes wrong."""
    connection.execute("BEGIN TRANSACTION")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def migrate(connection: Connection, folder: Path | None = None) -> None:
    """Run the migrations that the file does not have, each in a transaction that also records it."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migration (number BIGINT NOT NULL, name VARCHAR NOT NULL, "
        "applied_at TIMESTAMPTZ NOT NULL)"
    )
    done = {number for (number,) in connection.sql("SELECT number FROM schema_migration").fetchall()}
    known = _migrations(folder)
    if unknown := done - set(known):
        raise WarehouseError(
            f"the warehouse was made by a newer Mailweir (migration {max(unknown)}, this one knows {max(known)}); "
            "start that version, or make it again with: mailweir warehouse rebuild"
        )
    for number in sorted(set(known) - done):
        name, script = known[number]
        with transaction(connection):
            connection.execute(script)
            connection.execute("INSERT INTO schema_migration VALUES (?, ?, now())", [number, name])
        _log.info("warehouse migrated migration=%s", name)


def _migrations(folder: Path | None) -> dict[int, tuple[str, str]]:
    found = {}
    for file in folder.iterdir() if folder else resources.files("analytics").joinpath("schema").iterdir():
        if match := _MIGRATION.fullmatch(file.name):
            found[int(match[1])] = (file.name, file.read_text(encoding="utf-8"))
    return found


def _connect(path: Path) -> Connection:
    try:
        return duckdb.connect(str(path))
    except duckdb.IOException as error:
        if "lock" in str(error):
            holder = re.search(r"PID (\d+)", str(error))
            who = f" by process {holder[1]}" if holder else ""
            raise WarehouseBusy(
                f"{path} is already in use{who}: an analytics process runs on this folder. "
                "Stop it first, or ask it through the query API"
            ) from None
        raise WarehouseError(
            f"{path} cannot be opened: {error}. Move it away and run: mailweir warehouse rebuild"
        ) from None


def _configure(connection: Connection, path: Path, readable: Path) -> None:
    # A quarter of the memory: the relay's workers and the pages live on the same machine.
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    readable.mkdir(parents=True, exist_ok=True)
    for setting in (
        "SET GLOBAL TimeZone = 'UTC'",
        f"SET memory_limit = '{memory}B'",
        f"SET temp_directory = '{_quoted(path.with_suffix('.tmp'))}'",
        "SET checkpoint_threshold = '64MB'",
        # After these no SQL reads or writes a file outside, loads an extension or changes a setting. They do not stop
        # DELETE: free questions run in read-only transactions besides (service.py).
        f"SET allowed_directories = ['{_quoted(readable)}']",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(setting)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
