"""Keeps the rollup small: merges the differences that ingestion appended, and forgets what is too old."""

from datetime import datetime, timedelta
from functools import partial

from analytics.warehouse import Connection, Warehouse, transaction

# Below this many the merge costs more than it saves the readers.
_WORTH_MERGING = 5_000
# One run takes no more: it holds the writer for half a second, and the ingestion waits.
_AT_ONCE = 100_000
# table -> its instant, and the keys of a row
_MERGED = {
    "rollup_minute": ("minute", ("minute", "account", "reseller", "sender", "source")),
    "rollup_hour": ("hour", ("hour", "account", "reseller", "sender")),
    "rollup_source": ("hour", ("hour", "source")),
}
_OPEN = "SELECT count(*) FROM {table} WHERE NOT is_merged"
_INSTANTS = """
CREATE OR REPLACE TEMP TABLE merging AS
SELECT {instant}
FROM (
    SELECT {instant}, sum(count(*)) OVER (ORDER BY {instant}) - count(*) AS before
    FROM {table}
    WHERE NOT is_merged
    GROUP BY {instant}
)
WHERE before < $at_once
"""
_TAKE = "DELETE FROM {table} WHERE {instant} IN (SELECT {instant} FROM merging)"

# What is kept of messages, by the instant that decides.
_EXPIRING = {
    "message": "received_at",
    "rejection": "logged_at",
    "recipient": "received_at",
    "deferral": "logged_at",
    "held_event": "logged_at",
    "auth_failure": "logged_at",
    "alarm": "logged_at",
    "inbound": "logged_at",
    "unsubscribe": "logged_at",
    "suppressed": "logged_at",
    "out_of_band": "logged_at",
    "report_read": "logged_at",
    "case_event": "logged_at",
    "webhook_call": "logged_at",
    "label": "logged_at",
    "complaint": "reported_at",
    "listing": "checked_at",
    "reputation": "computed_at",
    "job_run": "started_at",
    "rollup_part": "bucket",
    "ingested_file": "ingested_at",
    "corrupt_file": "set_aside_at",
}


def merge(warehouse: Warehouse) -> int:
    """Merge the differences of each minute, and hour, into one row per sender; return how many rows that saved."""
    return sum(warehouse.write(partial(_merge, table)).result() for table in _MERGED)


def expire(warehouse: Warehouse, now: datetime, days: int) -> int:
    """Delete rows about messages older than `days`; return how many. Rollups and decisions stay: they are small."""
    before = now - timedelta(days=days)

    def write(connection: Connection) -> int:
        with transaction(connection):
            return sum(
                connection.execute(f"DELETE FROM {table} WHERE {instant} < ?", [before]).fetchall()[0][0]  # noqa: S608
                for table, instant in _EXPIRING.items()
            )

    return warehouse.write(write).result()


def expirable(cursor: Connection, now: datetime, days: int) -> int:
    """How many rows `expire` would delete."""
    before = now - timedelta(days=days)
    return sum(
        cursor.execute(f"SELECT count(*) FROM {table} WHERE {instant} < ?", [before]).fetchall()[0][0]  # noqa: S608
        for table, instant in _EXPIRING.items()
    )


def _merge(table: str, connection: Connection) -> int:
    (appended,) = connection.sql(_OPEN.format(table=table)).fetchall()[0]
    if appended < _WORTH_MERGING:
        return 0
    instant, keys = _MERGED[table]
    names = [row[0] for row in connection.sql(f"SELECT column_name FROM (DESCRIBE {table})").fetchall()]  # noqa: S608
    sums = ", ".join(
        f"{'max' if name == 'last_at' else 'sum'}({name}) AS {name}"
        for name in names
        if name not in (*keys, "is_merged")
    )
    with transaction(connection):
        connection.execute(_INSTANTS.format(table=table, instant=instant), {"at_once": _AT_ONCE})
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE merged AS SELECT {', '.join(keys)}, {sums}, true AS is_merged "  # noqa: S608
            f"FROM {table} WHERE {instant} IN (SELECT {instant} FROM merging) GROUP BY ALL"
        )
        before = connection.execute(_TAKE.format(table=table, instant=instant)).fetchall()[0][0]
        after = connection.execute(f"INSERT INTO {table} BY NAME FROM merged").fetchall()[0][0]
    return int(before - after)
