"""The words of messages as hashes, in Parquet by day: all for 14 days, those with a label for 180 (settings.Learning).

Folder `words` of the data folder: the relay's closed side files come in, `days/DATE.parquet` come out. A crash between
two steps repeats harmless ones: a part has its source's name, a day is replaced as a whole.
"""

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from relay.content.learned import unpack
from relay.spool.words import entries_of

_log = logging.getLogger("mailweir.learning")

_HASHES = pa.list_(pa.uint32())
SCHEMA = pa.schema(
    [
        ("message_id", pa.string()),
        ("received_at", pa.timestamp("us", "UTC")),
        ("version", pa.uint8()),
        ("shown", _HASHES),
        ("other", _HASHES),
        ("subject", _HASHES),
        ("structure", _HASHES),
        ("numbers", pa.list_(pa.float32())),
    ]
)
_ROWS = 20_000  # read and written at once: about 40 MB


class WordStore:
    """Gathers, compacts and forgets; one process, one caller at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._days = folder, folder / "days"

    def take_in(self) -> int:
        """Bring in the relay's closed files; return how many messages they held."""
        total = 0
        for path in sorted(self._folder.glob("*.words")):
            by_day: dict[date, list[dict[str, Any]]] = {}
            for row in _rows(path):
                by_day.setdefault(row["received_at"].date(), []).append(row)
                total += 1
            for day, rows in by_day.items():
                _write(self._days / day.isoformat() / f"{path.stem}.parquet", pa.Table.from_pylist(rows, SCHEMA))
            path.unlink()
        return total

    def compact(self, today: date) -> int:
        """Make one file of each day that is over; return how many days that were."""
        for folder in self._days.glob("*.merged"):
            self._finish(folder)
        days = [path for path in sorted(self._days.glob("????-??-??")) if path.name < today.isoformat()]
        for folder in days:
            whole = self._days / f"{folder.name}.parquet"
            _merge([*([whole] if whole.exists() else []), *sorted(folder.glob("*.parquet"))], _draft(whole))
            # From here on the draft holds the parts: a second merge would count them twice.
            self._finish(folder.rename(folder.with_suffix(".merged")))
        return len(days)

    def expire(self, today: date, all_days: int, labelled_days: int, labelled: Iterable[str]) -> int:
        """Forget messages without a label after `all_days`, all after `labelled_days`. Return changed files."""
        wanted, changed = pa.array(sorted(labelled), pa.string()), 0
        for path in sorted(self._days.glob("*.parquet")):
            age = (today - date.fromisoformat(path.stem)).days
            if age > labelled_days:
                path.unlink()
                changed += 1
            elif age > all_days and (rows := pq.read_metadata(path).num_rows):
                kept = _merge([path], _draft(path), wanted)
                _draft(path).replace(path)
                changed += kept < rows
        return changed

    def _finish(self, merged: Path) -> None:
        whole = merged.with_suffix(".parquet")
        if _draft(whole).exists():
            _draft(whole).replace(whole)
        shutil.rmtree(merged)

    def labelled(self, labels: Mapping[str, Any], since: date) -> pa.Table:
        """The words of those messages of `labels` (by id) that were received since; columns as SCHEMA."""
        wanted, found = pa.array(sorted(labels), pa.string()), []
        for batch in self.batches(since):
            rows = batch.filter(pc.is_in(batch.column("message_id"), wanted))
            found += [rows] if rows.num_rows else []
        return pa.Table.from_batches(found, SCHEMA)

    def batches(self, since: date) -> Iterator[pa.RecordBatch]:
        """Yield the words of all messages received since, day by day; columns as SCHEMA."""
        for path in self._since(since):
            yield from pq.ParquetFile(path).iter_batches(_ROWS)

    def count(self, since: date) -> int:
        """How many messages `batches` has."""
        return sum(pq.read_metadata(path).num_rows for path in self._since(since))

    def _since(self, since: date) -> list[Path]:
        """The days' files, and the parts that are not yet made into one."""
        return [
            path
            for path in sorted(self._days.rglob("*.parquet"))
            if (path.stem if path.parent == self._days else path.parent.name) >= since.isoformat()
        ]


def days_ago(now: datetime, days: int) -> date:
    return (now - timedelta(days=days)).date()


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    for message_id, received_unix, data in entries_of(path.read_bytes()):
        try:
            words = unpack(data)
        except ValueError as error:
            _log.warning("words unreadable file=%s message=%s error=%s", path.name, message_id, error)
            continue
        yield {
            "message_id": message_id,
            "received_at": datetime.fromtimestamp(received_unix, UTC),
            "version": words.version,
            "shown": words.shown,
            "other": words.other,
            "subject": words.subject,
            "structure": words.structure,
            "numbers": words.numbers,
        }


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, _draft(path), compression="zstd")
    _draft(path).replace(path)


def _draft(path: Path) -> Path:
    return path.with_suffix(".draft")


def _merge(sources: list[Path], target: Path, wanted: pa.Array | None = None) -> int:
    """Write the rows of `sources` (only those whose id is `wanted`) to one file; return how many."""
    count = 0
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for source in sources:
            for batch in pq.ParquetFile(source).iter_batches(_ROWS):
                rows = batch if wanted is None else batch.filter(pc.is_in(batch.column("message_id"), wanted))
                if rows.num_rows:
                    writer.write_batch(rows)
                    count += rows.num_rows
    return count
