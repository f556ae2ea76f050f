"""A month's usage as CSV or JSON: one row per reseller, account and month or day, for a hoster's billing."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from analytics.usage.query import COUNTS
from relay.control.sheet import inert

_HEAD = ("reseller", "account", "begins", *COUNTS)


class CutShort(Exception):
    """There are more rows than one answer has; a bill of a part would be wrong."""


def records_of(table: pa.Table) -> list[dict[str, Any]]:
    """The answer to `usage` as rows; `begins` is the day, or the month's first, like 2026-11-01. Raises CutShort."""
    if table.schema.metadata and b"truncated" in table.schema.metadata:
        raise CutShort("more rows than one answer has; ask for one reseller, or by month")
    rows = table.to_pylist()
    return [{name: f"{row['begins_at']:%Y-%m-%d}" if name == "begins" else row[name] for name in _HEAD} for row in rows]


def csv_of(records: Iterable[Mapping[str, Any]]) -> str:
    """RFC 4180, one line of names first."""
    sheet = io.StringIO()
    lines = csv.writer(sheet, lineterminator="\r\n")
    lines.writerow(_HEAD)
    lines.writerows([inert(record[name]) for name in _HEAD] for record in records)
    return sheet.getvalue()
