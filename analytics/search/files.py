"""Streams of rows as files. Nothing is there until the whole is: a file that was broken off is removed."""

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def write_parquet(reader: pa.RecordBatchReader, path: Path) -> int:
    """Write the rows, zstd-compressed; return how many."""
    part, rows = path.with_name(f"{path.name}.part"), 0
    try:
        with pq.ParquetWriter(part, reader.schema, compression="zstd") as writer:
            for batch in reader:
                if batch.num_rows:
                    writer.write_batch(batch)
                    rows += batch.num_rows
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return rows


def parquet_of(frame: pd.DataFrame) -> bytes:
    """A frame as the bytes of a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink, compression="zstd")
    return sink.getvalue()
