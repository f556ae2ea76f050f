"""Reports into the warehouse's tables, each once: all SQL that writes them. Call within the writer's transaction."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from analytics.reports.dashboards import Figure
from analytics.reports.dmarc_report import DmarcReport, Record
from analytics.reports.feedback import Feedback
from analytics.reports.snds import SndsDay
from analytics.reports.tlsrpt import TlsReport
from analytics.warehouse import Connection, transaction

_RESULTS = pa.list_(pa.struct([(name, pa.string()) for name in ("domain", "selector", "result")]))
_SCOPES = pa.list_(pa.struct([(name, pa.string()) for name in ("domain", "scope", "result")]))
_REASONS = pa.list_(pa.struct([(name, pa.string()) for name in ("type", "comment")]))
_TABLES = ("dmarc_record", "dmarc_report", "tls_policy", "snds", "provider_figure", "feedback", "feed_file")
_TEXTS = ("source_ip", "disposition", "dkim", "spf", "header_from", "envelope_from", "envelope_to")


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a report: rows that are new, whose feed it belongs to, and until when its data go."""

    fresh: int
    source: str
    data_at: datetime


def store_dmarc(connection: Connection, report: DmarcReport, now: datetime) -> Stored:
    begin, end = _at(report.begin_unix), _at(report.end_unix)
    key = _key(report.org or report.email, report.report_id, report.domain, int(report.begin_unix))
    if _has(connection, "dmarc_report", key):
        return Stored(0, "", end)
    errors, policy = list(report.errors), msgspec.json.encode(dict(report.policy)).decode()
    head = [key, now, report.org, report.email, report.report_id, report.domain, begin, end, policy, errors]
    _insert(connection, "dmarc_report", [*head, report.mended[:255]])
    rows = _records(report.records).append_column("report_key", pa.array([key] * len(report.records)))
    connection.register("dmarc_rows", rows)
    try:
        connection.execute(
            "INSERT INTO dmarc_record BY NAME SELECT *, $now::TIMESTAMPTZ AS taken_at, $org AS org, $domain AS domain, "
            "$begin::TIMESTAMPTZ AS begin_at, $end::TIMESTAMPTZ AS end_at FROM dmarc_rows",
            {"now": now, "org": report.org, "domain": report.domain, "begin": begin, "end": end},
        )
    finally:
        connection.unregister("dmarc_rows")
    return Stored(1, "", end)


def store_tls(connection: Connection, report: TlsReport, now: datetime) -> Stored:
    key = _key(report.org or report.contact, report.report_id, report.policies[0].domain, report.begin_at)
    if _has(connection, "tls_policy", key):
        return Stored(0, "", report.end_at)
    for position, policy in enumerate(report.policies):
        failures = [msgspec.structs.asdict(failure) for failure in policy.failures]
        head = [key, position, now, report.org, report.report_id, report.begin_at, report.end_at]
        _insert(connection, "tls_policy", [*head, policy.type, policy.domain, policy.success, policy.failure, failures])
    return Stored(1, "", report.end_at)


def store_snds(connection: Connection, days: Sequence[SndsDay], now: datetime) -> Stored:
    """Microsoft corrects a day after the fact: the later file holds."""
    before = _count(connection, "snds")
    for day in days:
        row = msgspec.structs.asdict(day) | {"taken_at": now, "extra": msgspec.json.encode(day.extra).decode()}
        names = ", ".join(row)
        marks = ", ".join(f"${name}" for name in row)
        connection.execute(f"INSERT OR REPLACE INTO snds ({names}) VALUES ({marks})", row)  # noqa: S608 - our names
    return Stored(_count(connection, "snds") - before, "", max(day.end_at for day in days))


def store_figures(connection: Connection, provider: str, figures: Sequence[Figure], now: datetime) -> list[Stored]:
    """One for each domain. A figure without a day, a compliance status, is of today."""
    stored = []
    for domain in dict.fromkeys(figure.domain for figure in figures):
        before = _count(connection, "provider_figure")
        own = [figure for figure in figures if figure.domain == domain]
        for one in own:
            row = [provider, domain, one.day or now.date(), one.metric, now, one.value, one.text]
            connection.execute(f"INSERT OR REPLACE INTO provider_figure VALUES ({_marks(row)})", row)  # noqa: S608
        end = _midnight_after(max(figure.day or now.date() for figure in own))
        stored.append(Stored(_count(connection, "provider_figure") - before, domain, end))
    return stored


def store_feedback(connection: Connection, feedback: Feedback, digest: str, now: datetime) -> Stored:
    if _has(connection, "feedback", digest):
        return Stored(0, feedback.loop, now)
    row = [digest, now, feedback.loop, feedback.type.value, feedback.named, feedback.reporter[:255], feedback.source_ip]
    row += [feedback.original_mail_from, [*feedback.original_rcpt_to], feedback.message_id, feedback.incidents]
    _insert(connection, "feedback", row)
    return Stored(1, feedback.loop, now)


def expire(connection: Connection, before: datetime) -> int:
    """Delete what came before that instant; return how many rows."""
    with transaction(connection):
        return sum(
            connection.execute(f"DELETE FROM {table} WHERE taken_at < ?", [before]).fetchall()[0][0]  # noqa: S608
            for table in _TABLES
        )


def _records(records: Sequence[Record]) -> pa.Table:
    columns: dict[str, Any] = {
        name: pa.array([getattr(record, name) for record in records], pa.string()) for name in _TEXTS
    }
    columns["messages"] = pa.array([record.count for record in records], pa.int64())
    columns["reasons"] = pa.array(
        [[{"type": kind, "comment": comment} for kind, comment in record.reasons] for record in records], _REASONS
    )
    for name, where, kind in (("dkim_results", "selector", _RESULTS), ("spf_results", "scope", _SCOPES)):
        columns[name] = pa.array(
            [
                [{"domain": one.domain, where: one.where, "result": one.result} for one in getattr(record, name)]
                for record in records
            ],
            kind,
        )
    return pa.table(columns)


def _insert(connection: Connection, table: str, row: Sequence[Any]) -> None:
    connection.execute(f"INSERT INTO {table} VALUES ({_marks(row)})", row)  # noqa: S608 - our own names


def _marks(row: Sequence[Any]) -> str:
    return ", ".join("?" * len(row))


def _has(connection: Connection, table: str, key: str) -> bool:
    found = connection.execute(f"SELECT 1 FROM {table} WHERE report_key = ? LIMIT 1", [key])  # noqa: S608
    return found.fetchone() is not None


def _count(connection: Connection, table: str) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0]  # noqa: S608
    return int(count)


def _key(*parts: object) -> str:
    """A report's identity: reporter, its number there, domain and time. Case says nothing in any of them."""
    return hashlib.sha256("\0".join(str(part).lower() for part in parts).encode()).hexdigest()[:32]


def _at(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


def _midnight_after(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
