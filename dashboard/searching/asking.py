"""What the pages Messages and Data ask analytics, as the reader: searches, streams of them, and free questions."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from analytics.client import QueryClient
from analytics.search.files import parquet_of, write_parquet
from analytics.search.ways import SCHEMA
from dashboard import data
from dashboard.data import Reading

SHOWN = 500  # rows on the page; the files have more
MAX_EXPORT_ROWS = 200_000  # a page's file passes through its memory; `mailweir export parquet` has no such end
_FRESH_SECONDS = 60.0  # a result stays as it is while it is read; Search asks anew
_EXPORT_SECONDS = 120.0

Read = Callable[[QueryClient, str], Reading[pd.DataFrame]]


def reading(query: str) -> Read:
    """What reads the newest SHOWN of what a query finds, as the reader, in any thread, under an id to stop it by."""
    memory, key = data.memory(), ("analytics", str(data.settings().dir), data.reader(), "search", query)
    empty = SCHEMA.empty_table().to_pandas()

    def read(client: QueryClient, id: str) -> Reading[pd.DataFrame]:
        return memory.read("analytics", key, lambda: client.search(query, limit=SHOWN, id=id), empty, _FRESH_SECONDS)

    return read


def everything(query: str) -> pd.DataFrame:
    """All of it, up to MAX_EXPORT_ROWS. Raises QueryError."""
    with _patient() as client, client.stream(query=query) as reader:
        batches, rows = [], 0
        for batch in reader:
            batches.append(batch.to_pandas())
            rows += batch.num_rows
            if rows >= MAX_EXPORT_ROWS:
                break
    return pd.concat(batches, ignore_index=True).head(MAX_EXPORT_ROWS)


def parquet(query: str) -> bytes:
    """All of it as the bytes of a Parquet file. Raises QueryError."""
    return parquet_of(everything(query))


def table_file(table: str, since: str) -> bytes:
    """A table's rows from an instant on, as the bytes of a Parquet file. Raises QueryError."""
    with tempfile.TemporaryDirectory() as folder, _patient() as client:
        path = Path(folder) / "rows.parquet"
        with client.stream(table=table, since=since) as reader:
            write_parquet(reader, path)
        return path.read_bytes()


def _patient() -> QueryClient:
    """A client of its own, which waits longer than a page does."""
    return data.new_analytics_client(timeout_seconds=_EXPORT_SECONDS)
