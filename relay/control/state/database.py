"""The engine of the state database and the one thread that may use it; migrations run here at start.

Must never be called from two threads: SQLite is opened by, and stays with, the state thread.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from relay.control.errors import StateFailure

_log = logging.getLogger("mailweir.control")
_T = TypeVar("_T")
_MIGRATIONS = Path(__file__).parent.parent / "migrations"


def default_url(node_dir: Path) -> str:
    """The SQLite file of a node."""
    return f"sqlite:///{node_dir / 'state.sqlite'}"


class Database:
    """Runs functions in transactions, one after the other, off the event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state")
        self._engine: Engine | None = None

    async def open(self) -> None:
        """Connect and migrate, in one transaction. Raises StateFailure."""
        await self._on_thread(self._connect)

    async def close(self) -> None:
        await self._on_thread(self._dispose)
        self._thread.shutdown()

    async def run(self, function: Callable[[Connection], _T]) -> _T:
        """Return what `function` returned, after its transaction was committed. Raises StateFailure: nothing changed.

        Functions run in the order of the calls, and to their end even when the caller is cancelled.
        """
        return await self._on_thread(lambda: self._transact(function))

    async def _on_thread(self, function: Callable[[], _T]) -> _T:
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, function))

    def _connect(self) -> None:
        try:
            # an error that shows the values of its statement would show private keys
            self._engine = create_engine(_with_driver(self._url), hide_parameters=True)
        except (ArgumentError, ModuleNotFoundError) as error:
            raise StateFailure(f"the state database {self._url!r} cannot be opened: {error}") from error
        if self._engine.dialect.name == "sqlite":
            _prepare_sqlite(self._engine)
        self._transact(_migrate)

    def _transact(self, function: Callable[[Connection], _T]) -> _T:
        assert self._engine is not None
        try:
            with self._engine.begin() as connection:
                return function(connection)
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise StateFailure(f"the state database refused, nothing was changed: {cause}") from error

    def _dispose(self) -> None:
        if self._engine is not None:
            self._engine.dispose()


def _with_driver(url: str) -> str:
    """PostgreSQL by psycopg 3 (the extra `cluster`), whatever SQLAlchemy would take by itself."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if separator and scheme in ("postgresql", "postgres") else url


def _prepare_sqlite(engine: Engine) -> None:
    _keep_private(engine.url.database)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we begin ourselves: sqlite3 would leave CREATE TABLE outside
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _keep_private(path: str | None) -> None:
    """Make the file readable for its owner only: it holds password hashes and private keys. Its -wal follows."""
    if not path or path == ":memory:":
        return
    with contextlib.suppress(OSError):  # not ours, or no such folder: to open it says so
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)


def _migrate(connection: Connection) -> None:
    if _version(connection) == _newest_version():
        return
    # Imported here: 0.14 s and 10 MB that only a first start, or one after an upgrade, needs.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StateFailure(f"the state was written by a newer version of mailweir: {error}") from error
    _log.info("state migrated version=%s", _newest_version())


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _newest_version() -> str:
    return max(path.name for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]
