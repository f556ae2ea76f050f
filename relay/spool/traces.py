"""A person's traces in the spool: in mail that waits, and in what is remembered of mail that has gone.

What waits is left alone: its recipient is whom it is for, and it goes by itself. Reads beside the event loop, writes
through the commit thread, slice by slice.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SLICE = 500
_Call = Callable[[Callable[[sqlite3.Connection, Any], Any]], Awaitable[Any]]
_COLUMNS = {
    "origin": ("mail_from", "sender", "recipients"),
    "digest_line": ("sender", "mail_from", "recipient", "subject", "reply"),
}
_LIKE = "lower({}) LIKE ?1 ESCAPE '\\'"


@dataclass(frozen=True, slots=True)
class SpoolTraces:
    """How many recipients and messages wait, and what is remembered: of return paths, and for digests."""

    recipients: int
    messages: int
    origins: int
    lines: int


class Traces:
    """`call` runs a function in a transaction of the commit thread; `is_in` tells whether the address is in a text."""

    def __init__(self, path: Path, call: _Call) -> None:
        self._path, self._call = path, call

    async def find(self, address: str, is_in: Callable[[str], bool]) -> SpoolTraces:
        """Count; `address` is in lower case."""
        return await asyncio.to_thread(self._find, address, is_in)

    async def replace(self, address: str, is_in: Callable[[str], bool], replace: Callable[[str], str]) -> None:
        """Rewrite what is remembered."""
        for table in _COLUMNS:
            ids = await asyncio.to_thread(self._remembered, table, address, is_in)
            for start in range(0, len(ids), _SLICE):
                part = ids[start : start + _SLICE]
                await self._call(_rewriting(table, part, replace))

    def _find(self, address: str, is_in: Callable[[str], bool]) -> SpoolTraces:
        with closing(self._reader()) as connection:
            recipients = _matching(connection, "SELECT id, address FROM recipient", ("address",), address, is_in)
            messages = _matching(
                connection, "SELECT id, mail_from, sender FROM message", ("mail_from", "sender"), address, is_in
            )
        remembered = [len(self._remembered(table, address, is_in)) for table in _COLUMNS]
        return SpoolTraces(len(recipients), len(messages), *remembered)

    def _remembered(self, table: str, address: str, is_in: Callable[[str], bool]) -> list[int]:
        columns = _COLUMNS[table]
        with closing(self._reader()) as connection:
            query = f"SELECT id, {', '.join(columns)} FROM {table}"  # noqa: S608
            found = _matching(connection, query, columns, address, is_in)
            if table == "origin":  # a bounce to mail that waits still has to find its recipient
                waiting = {number for (number,) in connection.execute("SELECT id FROM message")}
                found = [number for number in found if number not in waiting]
        return found

    def _reader(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA query_only = 1")
        return connection


def _matching(
    connection: sqlite3.Connection, query: str, columns: Sequence[str], address: str, is_in: Callable[[str], bool]
) -> list[int]:
    like = address.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    where = " OR ".join(_LIKE.format(column) for column in columns)
    rows = connection.execute(f"{query} WHERE {where}", (f"%{like}%",)).fetchall()
    return [row[0] for row in rows if any(is_in(text) for text in row[1:])]


def _rewriting(
    table: str, ids: Sequence[int], replace: Callable[[str], str]
) -> Callable[[sqlite3.Connection, Any], None]:
    def change(connection: sqlite3.Connection, _change: Any) -> None:
        _rewrite(connection, table, ids, replace)

    return change


def _rewrite(connection: sqlite3.Connection, table: str, ids: Sequence[int], replace: Callable[[str], str]) -> None:
    columns = _COLUMNS[table]
    connection.execute("PRAGMA secure_delete = ON")
    for number in ids:
        row = connection.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE id = ?", (number,)).fetchone()  # noqa: S608
        if row is not None:
            values = [replace(text) for text in row]
            sets = ", ".join(f"{column} = ?" for column in columns)
            connection.execute(f"UPDATE {table} SET {sets} WHERE id = ?", (*values, number))  # noqa: S608
    connection.execute("PRAGMA secure_delete = OFF")  # every later commit would pay for it
