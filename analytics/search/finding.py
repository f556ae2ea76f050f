"""Answer a query: newest first, bounded in rows and time, within a scope, so that it can be given up at any moment.

The time is searched in slices from its end backwards, each twice as long as the one before: what many messages match
is answered by the last hours, and when the time for an answer is over it says how far it came.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from analytics.search.compiling import Filters, Span, compiled, names_message, span
from analytics.search.parser import parse
from analytics.search.tree import Fault
from analytics.search.ways import SCHEMA, finding, showing
from analytics.serving.ask import Stop, TooLong, Unanswerable, bounded
from analytics.serving.sight import within
from analytics.warehouse import Warehouse
from relay.tree import Scope

DAYS = 7  # searched when the query names no time
MAX_ROWS = 10_000
MAX_SECONDS = 10.0
EXPORT_SECONDS = 600.0
_FIRST_SLICE = timedelta(hours=2)
_EXPORT_SLICE = timedelta(hours=6)  # some hundred thousand rows of a busy relay: what one answer may hold in memory
_ALL = 2**62


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as it came. `account` narrows it further."""

    text: str
    scope: Scope
    now: datetime
    account: str = ""
    rows: int = 500


@dataclass(frozen=True, slots=True)
class Found:
    """The ways (SCHEMA of ways.py), newest first, and from when on everything was searched.

    `is_complete`: there are no others in the time that was asked for; else there may be older ones.
    """

    table: pa.Table
    since: datetime
    until: datetime
    searched_from: datetime
    is_complete: bool


class BadQuery(Unanswerable):
    """The query cannot be read; the text points at the place."""


def find(warehouse: Warehouse, asked: Asked, stop: Stop | None = None) -> Found:
    """Answer a query. Raises BadQuery, GivenUp; TooLong when not even the newest slice was done in time."""
    search = _Search(warehouse, asked)
    rows, ends = max(1, min(asked.rows, MAX_ROWS)), time.monotonic() + MAX_SECONDS
    tables: list[pa.Table] = []
    reached = search.until
    for begin, end in _slices(search.since, search.until):
        try:
            table = search.slice(begin, end, rows + 1, max(0.05, ends - time.monotonic()), stop)
        except TooLong:
            if reached == search.until:
                raise
            break
        tables.append(table)
        reached, rows = begin, rows - table.num_rows
        if rows < 0:
            break
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    wanted = max(1, min(asked.rows, MAX_ROWS))
    is_complete = reached <= search.since and table.num_rows <= wanted
    return Found(table.slice(0, wanted), search.since, search.until, reached, is_complete)


def every(warehouse: Warehouse, asked: Asked, stop: Stop | None = None) -> Iterator[pa.Table]:
    """All of it, in tables newest first; never more than a slice in memory. Raises as `find`."""
    search = _Search(warehouse, asked)
    ends, end = time.monotonic() + EXPORT_SECONDS, search.until
    yield SCHEMA.empty_table()
    while end > search.since:
        begin = max(search.since, end - _EXPORT_SLICE)
        yield search.slice(begin, end, _ALL, max(0.05, ends - time.monotonic()), stop)
        end = begin


class _Search:
    """One query, read and bounded."""

    def __init__(self, warehouse: Warehouse, asked: Asked) -> None:
        self._warehouse = warehouse
        try:
            tree = parse(asked.text, asked.now)
        except Fault as fault:
            raise BadQuery(fault.pointed(asked.text)) from None
        self._filters: Filters = compiled(tree)
        self._scope, self._of_scope = within(asked.scope, asked.account)
        oldest = self._oldest()
        self.since, self.until = _bounds(span(tree), asked.now, oldest, is_free=names_message(tree))

    def slice(self, begin: datetime, end: datetime, rows: int, seconds: float, stop: Stop | None) -> pa.Table:
        """What was received from `begin` until before `end`."""
        times: dict[str, Any] = {"begin_at": begin, "end_at": end}
        with self._warehouse.cursor() as cursor, bounded(cursor, stop, seconds):
            given = times | self._of_scope | self._filters.values | {"rows": rows}
            try:
                keys = cursor.sql(finding(self._filters, self._scope), params=given).to_arrow_table()
            except duckdb.InterruptException:
                raise
            except duckdb.Error as error:  # a number too large for its column, and the like
                raise Unanswerable(f"this cannot be searched: {error}") from None
            if not keys.num_rows:
                return SCHEMA.empty_table()
            received = keys["received_at"]
            narrow = {"begin_at": received[-1].as_py(), "end_at": received[0].as_py() + timedelta(microseconds=1)}
            cursor.register("wanted", keys.drop_columns(["received_at"]))
            return cursor.sql(showing(self._scope), params=narrow | self._of_scope).to_arrow_table().cast(SCHEMA)

    def _oldest(self) -> datetime | None:
        table = self._warehouse.table(
            "SELECT least((SELECT min(received_at) FROM message), (SELECT min(logged_at) FROM rejection)) AS oldest"
        )
        found = table["oldest"][0].as_py()
        return found if isinstance(found, datetime) else None


def _bounds(named: Span, now: datetime, oldest: datetime | None, *, is_free: bool) -> tuple[datetime, datetime]:
    """From and until when to search; nothing is older than the oldest message."""
    until = min(named.until or now, now) + timedelta(microseconds=1)  # the last instant belongs to it
    since = named.since or (datetime.min.replace(tzinfo=UTC) if is_free else until - timedelta(days=DAYS))
    return max(since, oldest or now), until


def _slices(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    length, end = _FIRST_SLICE, until
    while end > since:
        begin = max(since, end - length)
        yield begin, end
        end, length = begin, length * 2
