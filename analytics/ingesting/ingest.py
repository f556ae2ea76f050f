"""Journal files into the warehouse, each record exactly once, whatever is killed when.

Rows and bookmarks of a batch commit together; repeats (a relay that crashed writes some records again) are dropped by
natural keys: message_id, (message_id, recipient_id) for final outcomes, (node, boot, seq) for the rest. Records may
come before the one they refer to: `status` and attribution are computed for every touched message in each batch, from
all that is known by then.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path

from analytics.ingesting import batch, consequences
from analytics.ingesting.journals import JournalFolder, batches, salvaged
from analytics.warehouse import Connection, Warehouse, transaction
from relay.settings import Policy

_log = logging.getLogger("mailweir.ingest")


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one look through the folder brought."""

    files: int = 0
    rows: int = 0
    corrupt: list[str] = field(default_factory=list)

    def __add__(self, other: "Ingested") -> "Ingested":
        return Ingested(self.files + other.files, self.rows + other.rows, self.corrupt + other.corrupt)


class Ingest:
    """Reads one journal folder into one warehouse. One at a time: call `run` from one job only."""

    def __init__(self, warehouse: Warehouse, folder: JournalFolder, policy: Policy) -> None:
        self._warehouse, self._folder, self._policy = warehouse, folder, policy
        self.turn = threading.Lock()  # held while files move

    def take_up(self, policy: Policy) -> bool:
        """Count by another policy from the next batch on; tell whether it is another."""
        is_other, self._policy = policy != self._policy, policy
        return is_other

    def run(self) -> Ingested:
        """Ingest all closed files that wait; what is broken is set aside, everything else goes on."""
        with self.turn:
            return self._run()

    def _run(self) -> Ingested:
        total = Ingested()
        for group in batches(self._folder.closed()):
            known = self._names("ingested_file", "ingested_at", group)
            self._finish([path for path in group if path.name in known])
            fresh = [path for path in group if path.name not in known]
            if fresh:
                total += self._ingest(fresh)
        return total

    def replay(self, path: Path) -> Ingested:
        """Ingest an archive file for a warehouse that is made again; the file stays."""
        try:
            return Ingested(1, self._commit([path], [path]))
        except batch.CorruptBatch as error:
            return self._salvage(path, error)

    def _ingest(self, paths: list[Path]) -> Ingested:
        try:
            rows = self._commit(paths, paths)
        except batch.CorruptBatch as error:
            if len(paths) > 1:  # one of them is damaged: each by itself
                return sum((self._ingest([path]) for path in paths), Ingested())
            result = self._salvage(paths[0], error)
            self._finish(paths)
            return result
        self._folder.put_away(paths)
        return Ingested(len(paths), rows)

    def _salvage(self, path: Path, error: batch.CorruptBatch) -> Ingested:
        found = salvaged(path)
        bad = found.bad or [(0, str(error))]
        _log.error("journal file corrupt file=%s lines=%d first=%d reason=%s", path.name, len(bad), *bad[0])
        draft = self._folder.aside / f".{path.name}"
        draft.write_bytes(b"".join(found.good))
        try:
            rows = self._commit([path], [draft], bad)
        except batch.CorruptBatch as reason:
            rows = self._commit([path], [], [*bad, (0, str(reason))])
        finally:
            draft.unlink()
        return Ingested(1, rows, [path.name])

    def _finish(self, ingested: list[Path]) -> None:
        """Put away files whose bookmark is there: also those a crash left behind after their commit."""
        if not ingested:
            return
        corrupt = self._names("corrupt_file", "set_aside_at", ingested)
        for path in ingested:
            if path.name in corrupt:
                self._folder.put_aside(path)
        self._folder.put_away(path for path in ingested if path.name not in corrupt)

    def _names(self, table: str, instant: str, paths: list[Path]) -> set[str]:
        # A day is enough: an older bookmark is overlooked, the file ingested again, and every record of it a repeat.
        query = f"SELECT name FROM {table} WHERE {instant} >= $since AND list_contains($names, name)"  # noqa: S608
        since = datetime.now(UTC) - timedelta(days=1)
        answer = self._warehouse.table(query, since=since, names=[path.name for path in paths])
        return set(answer.column("name").to_pylist())

    def _commit(self, names: Sequence[Path], sources: Sequence[Path], bad: Sequence[tuple[int, str]] = ()) -> int:
        """Ingest `sources` under the bookmarks of `names`, all or nothing. Raises CorruptBatch."""
        now = datetime.now(UTC)
        sizes = {path: path.stat().st_size for path in names}

        def write(connection: Connection) -> int:
            rows = batch.load(connection, sources)
            with batch.blaming_data(), transaction(connection):
                if rows:
                    consequences.follow(connection, batch.insert(connection), self._policy)
                for path, source in zip_longest(names, sources):
                    bookmark = [path.name, rows.get(str(source), 0), sizes[path], now]
                    connection.execute("INSERT INTO ingested_file VALUES (?, ?, ?, ?)", bookmark)
                for line, reason in bad:
                    corrupt = [names[0].name, line, reason[:500], now]
                    connection.execute("INSERT INTO corrupt_file VALUES (?, ?, ?, ?)", corrupt)
            return sum(rows.values())

        return self._warehouse.write(write).result()
