"""From a question and who asks it to an Arrow table: parameters checked, scope applied, time and rows bounded.

Named questions come from queries/named.py. A free SELECT runs in a read-only transaction, because DuckDB calls a SELECT
also what deletes in its WITH clause; and its plan is looked at before, because no transaction stops what writes files
there, or what runs other SQL in a connection of its own.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from analytics.queries.named import QUERIES, Query, Required
from analytics.serving.sight import within
from analytics.usage.months import NoMonth, month_of
from analytics.warehouse import Connection, Warehouse
from relay.tree import Scope

MAX_ROWS = 100_000
MAX_BYTES = 128 * 1024 * 1024  # of an answer: rows may be long
MAX_SECONDS = 20.0
MAX_BUCKETS = 5_000
_INTERRUPT_AGAIN_SECONDS = 0.05
_MAX_LIMIT = 10_000
_BATCH_ROWS = 10_000
_EXPLAIN = "EXPLAIN (FORMAT json) "
_PARAMETER = re.compile(r"\$(\w+)")
# In the plan of a SELECT: COPY (...) TO in its WITH clause, which may write below allowed_directories, where the
# journals are; SQL in JSON, which has a connection of its own; a file of DuckDB's, which is attached.
_WRITES = re.compile(r'"name": *"[A-Z_ ]*(?:COPY|JSON_EXECUTE|READ_DUCKDB|INSERT|UPDATE|DELETE|MERGE)')


class Unanswerable(Exception):
    """A question that cannot be answered as it was put; the text says why, for the one who asked."""


class UnknownQuery(Unanswerable):
    """There is no question of this name."""


class OutOfScope(Unanswerable):
    """The asker may not see what was asked for."""


class TooLong(Unanswerable):
    """The answer took too long and was given up."""


class GivenUp(Unanswerable):
    """Nobody waits for the answer any more."""


class Stop:
    """Ends a question before its answer is there, from another thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._cursor: Connection | None = None
        self.is_set = False

    def set(self) -> None:
        with self._changed:
            self.is_set = True
            self._changed.notify_all()

    @contextmanager
    def watching(self, cursor: Connection, seconds: float) -> Iterator[None]:
        """Interrupt this cursor while the block runs and no longer: once `set` is called, or after `seconds`. Raises
        GivenUp when it was set before."""
        with self._changed:
            if self.is_set:
                raise GivenUp("given up before it was begun: nobody waits for the answer")
            self._cursor = cursor
        threading.Thread(target=self._interrupt_when_due, args=(cursor, seconds), daemon=True).start()
        try:
            yield
        finally:
            with self._changed:
                self._cursor = None
                self._changed.notify_all()

    def _interrupt_when_due(self, cursor: Connection, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.is_set or self._cursor is not cursor, seconds)
            while self._cursor is cursor:  # again: what is interrupted between two statements runs on
                cursor.interrupt()
                self._changed.wait(_INTERRUPT_AGAIN_SECONDS)


def ask(
    warehouse: Warehouse,
    name: str,
    given: Mapping[str, Any],
    scope: Scope,
    now: datetime,
    behind_files: int = 0,
    stop: Stop | None = None,
) -> pa.Table:
    """Answer a named question within `scope`, cut as free ones are. Raises Unanswerable."""
    query = _query(name)
    if "{scope}" not in query.sql and scope != Scope():
        raise OutOfScope(f"query {name} is about the whole installation, which this token does not see")
    values = _checked(name, query, given) | _window(given, now, query.days) | {"behind_files": behind_files}
    sql = query.sql
    if isinstance(bucket := values.get("bucket_seconds"), int):
        sql = query.fine if query.fine and bucket < 60 else query.sql
        sql = query.coarse if query.coarse and bucket % 3600 == 0 else sql
        values |= _aligned(values["since"], now, bucket)
    if "month" in values:
        values["month_begin"], values["month_end"] = _month(values["month"], now)
    where, whose = within(scope, _text("account", given))
    sql = sql.replace("{scope}", where)
    values |= whose
    named = set(_PARAMETER.findall(sql))
    with warehouse.cursor() as cursor, bounded(cursor, stop):
        return _taken(cursor.sql(sql, params={key: values[key] for key in named}))


def ask_freely(warehouse: Warehouse, text: str, scope: Scope, stop: Stop | None = None) -> pa.Table:
    """Answer one SELECT, at most MAX_ROWS of it; the schema's metadata says `truncated` when there was more."""
    if scope != Scope():
        raise OutOfScope("free questions see the whole warehouse; this token sees only a part")
    with warehouse.cursor() as cursor:
        try:
            return _select(cursor, text, stop)
        except duckdb.Error as error:
            raise Unanswerable(_as_written(str(error))) from None


def _as_written(trouble: str) -> str:
    """DuckDB's words about the question as it was asked, which had its plan looked at before: the mark below moves."""
    lines = trouble.split("\n")
    for number, line in enumerate(lines[:-1]):
        if _EXPLAIN in line:
            mark = lines[number + 1]
            lines[number] = line.replace(_EXPLAIN, "", 1)
            lines[number + 1] = mark[len(_EXPLAIN) :] if mark.startswith(" " * len(_EXPLAIN)) else mark
    return "\n".join(lines)


def _select(cursor: Connection, text: str, stop: Stop | None) -> pa.Table:
    statements = cursor.extract_statements(text)
    if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
        raise Unanswerable("exactly one SELECT, please: the warehouse is filled by the journal only")
    cursor.execute("BEGIN TRANSACTION READ ONLY")
    with bounded(cursor, stop):
        if any(_WRITES.search(str(plan)) for _, plan in cursor.execute(_EXPLAIN + text).fetchall()):
            raise Unanswerable("a SELECT that only reads, please: no COPY, no SQL in JSON, no other database")
        return _taken(cursor.sql(text))


def _taken(relation: duckdb.DuckDBPyRelation) -> pa.Table:
    """Fetch by batches: DuckDB's own bound of memory does not count what is handed over."""
    batches, size = [], 0
    with relation.limit(MAX_ROWS + 1).to_arrow_reader(_BATCH_ROWS) as reader:
        for batch in reader:
            batches.append(batch)
            size += batch.nbytes
            if size > MAX_BYTES:
                raise Unanswerable(f"the answer is longer than {MAX_BYTES >> 20} MB; ask for fewer columns or rows")
        table = pa.Table.from_batches(batches, reader.schema)
    table = plain(table)
    if table.num_rows <= MAX_ROWS:
        return table
    return table.slice(0, MAX_ROWS).replace_schema_metadata({"truncated": str(MAX_ROWS)})


def plain(table: pa.Table) -> pa.Table:
    """Make DuckDB's 128-bit sums 64-bit integers: pandas would hold them as Python objects."""
    for index, column in enumerate(table.schema):
        if pa.types.is_decimal(column.type) and column.type.scale == 0:
            table = table.set_column(index, column.name, table.column(index).cast(pa.int64()))
    return table


@contextmanager
def bounded(cursor: Connection, stop: Stop | None, seconds: float = 0) -> Iterator[None]:
    """Ask within a time, MAX_SECONDS unless it is given. Raises TooLong, GivenUp."""
    seconds = seconds or MAX_SECONDS
    stop = stop or Stop()
    try:
        with stop.watching(cursor, seconds):
            yield
    except (duckdb.InterruptException, OSError) as error:  # pyarrow says OSError when it was while rows were fetched
        if isinstance(error, OSError) and "INTERRUPT" not in str(error):
            raise
        if stop.is_set:
            raise GivenUp("given up: nobody waits for the answer") from None
        raise TooLong(f"given up after {seconds:.0f} s; ask for a shorter time or fewer rows") from None


def _checked(name: str, query: Query, given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(given) - set(query.params) - {"since", "account"}
    if unknown:
        known = ", ".join(["since", "account", *query.params])
        raise Unanswerable(f"query {name} knows no parameter {', '.join(sorted(unknown))}; it knows: {known}")
    values: dict[str, Any] = {}
    for key, default in query.params.items():
        if isinstance(default, Required) and not given.get(key):
            raise Unanswerable(f"query {name} needs the parameter {key}")
        if isinstance(default, int):
            values[key] = _integer(key, given.get(key, default))
        else:
            values[key] = _text(key, given) or ("" if isinstance(default, Required) else default)
    return values


def _text(key: str, given: Mapping[str, Any]) -> str:
    value = given.get(key) or ""
    if not isinstance(value, str):
        raise Unanswerable(f"{key}: {value!r} is not a text")
    return value


def _integer(key: str, value: object) -> int:
    if not isinstance(value, int | float) or value != int(value) or value < 1:
        raise Unanswerable(f"{key}: {value!r} is not a whole number above 0")
    if key == "limit" and value > _MAX_LIMIT:
        raise Unanswerable(f"limit: {value} is more than {_MAX_LIMIT}")
    return int(value)


def _window(given: Mapping[str, Any], now: datetime, days: int) -> dict[str, datetime]:
    since = _instant(given["since"]) if given.get("since") else now - timedelta(days=days)
    return {"now": now, "since": since, "before": since - (now - since)}


def _month(text: str, now: datetime) -> tuple[datetime, datetime]:
    try:
        return month_of(text, now)
    except NoMonth as error:
        raise Unanswerable(str(error)) from None


def span_seconds(name: str, given: Mapping[str, Any], now: datetime) -> float:
    """How much time a question is about. Raises Unanswerable."""
    return (now - _window(given, now, _query(name).days)["since"]).total_seconds()


def _query(name: str) -> Query:
    query = QUERIES.get(name)
    if query is None:
        raise UnknownQuery(f"there is no query {name!r}; there are: {', '.join(QUERIES)}")
    return query


def _instant(value: object) -> datetime:
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        raise Unanswerable(f"since: {value!r} is not an instant like 2026-11-24T09:00:00Z") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _aligned(since: datetime, now: datetime, bucket: int) -> dict[str, datetime]:
    """Begin with a whole bucket: half of one would look like a drop."""
    if (now - since).total_seconds() / bucket > MAX_BUCKETS:
        raise Unanswerable(f"bucket_seconds: {bucket} makes more than {MAX_BUCKETS} buckets since {since:%F %H:%M}")
    return {"since": datetime.fromtimestamp(since.timestamp() // bucket * bucket, UTC)}
