"""Whole tables of the warehouse as streams: those that have a time and an account, each in the scope of who asks."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from analytics.search.finding import EXPORT_SECONDS
from analytics.serving.ask import Stop, Unanswerable, bounded, plain
from analytics.serving.sight import within
from analytics.warehouse import Warehouse
from relay.tree import Scope

# table -> the instant its rows lie by
TABLES = {
    "message": "received_at",
    "rejection": "logged_at",
    "recipient": "finished_at",
    "deferral": "logged_at",
    "held_event": "logged_at",
    "complaint": "reported_at",
    "label": "logged_at",
    "decision": "logged_at",
    "unsubscribe": "logged_at",
    "rollup_minute": "minute",
    "webhook_call": "logged_at",
}
_SLICE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class TableAsked:
    """Rows of a table from `since` (None: the oldest) until before `until` (None: now)."""

    table: str
    scope: Scope
    account: str = ""
    since: datetime | None = None
    until: datetime | None = None


def rows_of(warehouse: Warehouse, asked: TableAsked, now: datetime, stop: Stop | None = None) -> Iterator[pa.Table]:
    """The rows in tables of one schema, oldest first, the first without rows. Raises Unanswerable."""
    instant = TABLES.get(asked.table)
    if instant is None:
        raise Unanswerable(f"{asked.table!r} cannot be exported; these can: {', '.join(TABLES)}")
    return _slices(warehouse, asked, instant, now, stop)


def _slices(
    warehouse: Warehouse, asked: TableAsked, instant: str, now: datetime, stop: Stop | None
) -> Iterator[pa.Table]:
    where, values = within(asked.scope, asked.account)
    span = f"{instant} >= $begin_at AND {instant} < $end_at"
    sql = f"SELECT * FROM {asked.table} WHERE {span} AND {where} ORDER BY {instant}"  # noqa: S608 - one of TABLES
    until = min(asked.until or now, now) + (timedelta(0) if asked.until else timedelta(microseconds=1))
    first = warehouse.table(f"SELECT min({instant}) AS oldest FROM {asked.table}")  # noqa: S608 - one of TABLES
    oldest = first["oldest"][0].as_py() or until
    begin, ends = max(asked.since or oldest, oldest), time.monotonic() + EXPORT_SECONDS
    yield _between(warehouse, sql, values | {"begin_at": begin, "end_at": begin}, EXPORT_SECONDS, stop)
    while begin < until:
        end = min(begin + _SLICE, until)
        left = max(0.05, ends - time.monotonic())
        yield _between(warehouse, sql, values | {"begin_at": begin, "end_at": end}, left, stop)
        begin = end


def _between(warehouse: Warehouse, sql: str, values: dict[str, Any], seconds: float, stop: Stop | None) -> pa.Table:
    with warehouse.cursor() as cursor, bounded(cursor, stop, seconds):
        return plain(cursor.sql(sql, params=values).to_arrow_table())
