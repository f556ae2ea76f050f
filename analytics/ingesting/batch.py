"""One batch of journal records: loaded, checked, cleared of repeats, put into the tables.

The batch lies in the temporary table `batch`, a column per field of any record, in the order of writing. What follows
from its rows for other rows stands in consequences.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from analytics.ingesting.columns import FEATURES, JOURNAL_COLUMNS, KINDS
from analytics.warehouse import Connection

_KINDS = ", ".join(f"'{kind}'" for kind in KINDS)
IS_FINAL = "kind IN ('Delivery', 'Bounce', 'Expiration')"
IS_TRY = "kind IN ('Delivery', 'Deferral', 'Bounce', 'Expiration')"
IS_PARKING = "kind IN ('Held', 'Released', 'Dropped')"

_LOAD = f"""
CREATE OR REPLACE TEMP TABLE batch AS
SELECT *
FROM read_json(
    $paths,
    format = 'newline_delimited',
    filename = true,
    maximum_object_size = 33554432,
    columns = {{{", ".join(f"{name}: '{kind}'" for name, kind in JOURNAL_COLUMNS.items())}}}
)
"""  # noqa: S608 - built from our own field names

# A line that is JSON but no record of ours: read_json only leaves its columns empty.
_FOREIGN = f"""
SELECT count(*) AS lines
FROM batch
WHERE kind IS NULL OR kind NOT IN ({_KINDS}) OR node IS NULL OR boot IS NULL OR seq IS NULL OR logged_at IS NULL
   OR ((kind = 'Reception' OR {IS_TRY}) AND (message_id IS NULL OR received_at IS NULL))
   OR (kind IN ('Reception', 'Rejection') AND (action IS NULL OR sender IS NULL OR account IS NULL))
   OR ({IS_TRY} AND (recipient_id IS NULL OR sender IS NULL OR account IS NULL))
"""  # noqa: S608

_SPAN = f"""
SELECT min(logged_at) AS logged_from,
       max(logged_at) AS logged_to,
       coalesce(min(received_at), to_timestamp(0)) - INTERVAL 1 SECOND AS received_from,
       coalesce(max(received_at), to_timestamp(0)) + INTERVAL 1 SECOND AS received_to,
       count(*) FILTER (kind = 'Reception') AS receptions,
       count(*) FILTER (kind = 'Rejection') AS rejections,
       count(*) FILTER ({IS_TRY}) AS tries,
       count(*) FILTER ({IS_PARKING}) AS parkings,
       count(*) FILTER (kind = 'Decision') AS decisions,
       count(*) FILTER (kind = 'Complaint') AS complaints,
       count(*) FILTER (
           kind IN (
               'AuthFailure', 'Listing', 'Alarm', 'Inbound', 'Unsubscribe', 'Suppressed', 'Label', 'ModelRun',
               'WebhookCall'
           )
       ) AS others,
       count(*) FILTER (kind IN ('OutOfBandBounce', 'ReportRead', 'CaseChanged')) AS returns
FROM batch
"""  # noqa: S608

# Natural keys. received_at of a repeat differs by float rounding at most (hence the second), logged_at not at all; the
# time spans let DuckDB skip all row groups but the youngest.
_DROP_REPEATED_RECEPTIONS = """
DELETE FROM batch
WHERE kind = 'Reception' AND (
    rowid NOT IN (SELECT min(rowid) FROM batch WHERE kind = 'Reception' GROUP BY message_id)
    OR message_id IN (
        SELECT message_id
        FROM message
        WHERE received_at BETWEEN $received_from AND $received_to
    )
)
"""
_DROP_REPEATED_OUTCOMES = f"""
DELETE FROM batch
WHERE {IS_FINAL} AND (
    rowid NOT IN (SELECT min(rowid) FROM batch WHERE {IS_FINAL} GROUP BY message_id, recipient_id)
    OR (message_id, recipient_id) IN (
        SELECT (message_id, recipient_id)
        FROM recipient
        WHERE received_at BETWEEN $received_from AND $received_to
    )
)
"""  # noqa: S608
_DROP_REPEATED_OTHERS = f"""
DELETE FROM batch
WHERE NOT ({IS_FINAL} OR kind = 'Reception') AND (
    rowid NOT IN (SELECT min(rowid) FROM batch GROUP BY node, boot, seq)
    OR (node, boot, seq) IN (
        SELECT (node, boot, seq) FROM rejection WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM deferral WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM held_event WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM decision WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM complaint WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM auth_failure WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM listing WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM alarm WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM inbound WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM unsubscribe WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM label WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM model_run WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM webhook_call WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM suppressed WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM out_of_band WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM report_read WHERE logged_at BETWEEN $logged_from AND $logged_to
        UNION ALL
        SELECT (node, boot, seq) FROM case_event WHERE logged_at BETWEEN $logged_from AND $logged_to
    )
)
"""  # noqa: S608

# The same news may come twice, weeks apart: by two reports, by SMTP and by an import, or read again after a crash.
_DROP_TOLD_BEFORE = """
DELETE FROM batch
WHERE kind IN ('OutOfBandBounce', 'Complaint') AND coalesce(report_key, '') <> '' AND (
    rowid NOT IN (
        SELECT min(rowid)
        FROM batch
        WHERE kind IN ('OutOfBandBounce', 'Complaint') AND coalesce(report_key, '') <> ''
        GROUP BY report_key
    )
    OR report_key IN (SELECT report_key FROM out_of_band UNION ALL SELECT report_key FROM complaint)
)
"""
_DROP_READ_BEFORE = """
DELETE FROM batch
WHERE kind = 'ReportRead' AND (
    rowid NOT IN (SELECT min(rowid) FROM batch WHERE kind = 'ReportRead' GROUP BY file)
    OR file IN (SELECT file FROM report_read)
)
"""

# Columns computed here instead of copied: table column -> expression over batch.
_FEATURES = {f"f_{name}": f"features.{name}" for name in FEATURES}
_JUDGED = {"recipients_count": "coalesce(len(recipients), 0)", "reseller": "coalesce(reseller, '')"} | _FEATURES
_MESSAGE = _JUDGED | {"status": "CASE action WHEN 'hold' THEN 'held' ELSE 'accepted' END"}
_TRY = {"reseller": "coalesce(reseller, '')"}
_OUTCOME = _TRY | {
    "outcome": "CASE kind WHEN 'Delivery' THEN 'delivered' WHEN 'Bounce' THEN 'bounced' ELSE 'expired' END",
    "finished_at": "logged_at",
    "is_hard": "coalesce(is_hard, false)",
}
_WHOSE = {name: f"coalesce({name}, '')" for name in ("message_id", "account", "reseller", "sender", "proof", "file")}
_NEWS = _WHOSE | {"recipient_id": "coalesce(recipient_id, 0)", "report_key": "coalesce(report_key, '')"}
_RETURNED = (
    _NEWS
    | {name: f"coalesce({name}, '')" for name in ("recipient", "category", "enhanced", "text", "rule")}
    | {"is_hard": "coalesce(is_hard, false)", "confidence": "coalesce(confidence, 0)"}
)
_READ = {name: f"coalesce({name}, 0)" for name in ("bounces", "complaints")} | {
    name: f"coalesce({name}, '')" for name in ("proof", "why", "case_id", "recipient", "mail_from", "subject", "origin")
}
_LISTING = {"entity_kind": "coalesce(entity_kind, 'ip')", "confirmed": "coalesce(confirmed, false)"}

_CALL = {name: f"coalesce({name}, '')" for name in ("account", "reseller", "sender", "error")} | {
    "code": "coalesce(code, 0)",
    "seconds": "coalesce(seconds, 0)",
    "is_delivered": "coalesce(is_delivered, false)",
    "is_final": "coalesce(is_final, false)",
}

# table -> (count in the span, which records, computed columns); every other column is the field of the same name.
_TABLES: dict[str, tuple[str, str, dict[str, str]]] = {
    "message": (
        "receptions",
        "kind = 'Reception'",
        _MESSAGE,
    ),
    "rejection": ("rejections", "kind = 'Rejection'", _JUDGED),
    "recipient": ("tries", IS_FINAL, _OUTCOME),
    "deferral": ("tries", "kind = 'Deferral'", _TRY),
    "held_event": ("parkings", IS_PARKING, _TRY | {"event": "lower(kind)"}),
    "decision": ("decisions", "kind = 'Decision'", _TRY),
    "complaint": ("complaints", "kind = 'Complaint'", _NEWS),
    "out_of_band": ("returns", "kind = 'OutOfBandBounce'", _RETURNED),
    "report_read": ("returns", "kind = 'ReportRead'", _READ),
    "case_event": ("returns", "kind = 'CaseChanged'", {"why": "coalesce(why, '')"}),
    "auth_failure": ("others", "kind = 'AuthFailure'", {}),
    "listing": ("others", "kind = 'Listing'", _LISTING),
    "alarm": ("others", "kind = 'Alarm'", _TRY),
    "inbound": ("others", "kind = 'Inbound'", _TRY),
    "unsubscribe": ("others", "kind = 'Unsubscribe'", _TRY),
    "suppressed": ("others", "kind = 'Suppressed'", _TRY),
    "label": ("others", "kind = 'Label'", _TRY),
    "model_run": ("others", "kind = 'ModelRun'", {}),
    "webhook_call": ("others", "kind = 'WebhookCall'", _CALL),
}


# What the data may cause; anything else (a full disk, a mistake of ours) is no reason to set a file aside.
_OF_THE_DATA = (
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.ConstraintException,
    duckdb.OutOfRangeException,
)


class CorruptBatch(Exception):
    """A line is no record of ours; nothing of the batch was kept."""


@contextmanager
def blaming_data() -> Iterator[None]:
    """Raise CorruptBatch for what only the data can have caused."""
    try:
        yield
    except _OF_THE_DATA as error:
        raise CorruptBatch(str(error).splitlines()[0]) from None


def load(connection: Connection, sources: Sequence[Path]) -> dict[str, int]:
    """Read files into `batch`; return rows by path. Raises CorruptBatch when a line is broken."""
    if not sources:
        return {}
    with blaming_data():
        connection.execute(_LOAD, {"paths": [str(path) for path in sources]})
        foreign = connection.sql(_FOREIGN).fetchall()[0][0]
        if foreign:
            raise CorruptBatch(f"{foreign} lines are no records")
    return dict(connection.sql("SELECT filename, count(*) FROM batch GROUP BY filename").fetchall())


def insert(connection: Connection) -> dict[str, Any]:
    """Drop repeats and put the rest into the tables, in the caller's transaction; return the batch's span."""
    span: dict[str, Any] = connection.sql(_SPAN).to_arrow_table().to_pylist()[0]
    if span["receptions"]:
        run(connection, _DROP_REPEATED_RECEPTIONS, span)
    if span["tries"]:
        run(connection, _DROP_REPEATED_OUTCOMES, span)
    run(connection, _DROP_REPEATED_OTHERS, span)
    if span["returns"] or span["complaints"]:
        connection.execute(_DROP_TOLD_BEFORE)
    if span["returns"]:
        connection.execute(_DROP_READ_BEFORE)
    for table, (counted, *_rest) in _TABLES.items():
        if span[counted]:
            connection.execute(_insert(connection, table))
    return span


def run(connection: Connection, statement: str, values: Mapping[str, Any]) -> None:
    """Execute a statement with those of `values` that it names; DuckDB refuses others."""
    connection.execute(statement, {name: value for name, value in values.items() if f"${name}" in statement})


def _insert(connection: Connection, table: str) -> str:
    _, which, computed = _TABLES[table]
    names = [row[0] for row in connection.sql(f"SELECT column_name FROM (DESCRIBE {table})").fetchall()]  # noqa: S608
    chosen = [f"{computed.get(name, name)} AS {name}" for name in names]
    return f"INSERT INTO {table} BY NAME SELECT {', '.join(chosen)} FROM batch WHERE {which}"  # noqa: S608
