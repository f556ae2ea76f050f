"""Takes an address out of what analytics keeps: warehouse, archived journals, files that were set aside, raw reports.

What waits in the journal is read first, and ingestion waits meanwhile, so that nothing of it comes in behind; but what
was written within the last second lies in a file that still grows, and comes in as it is. Backups, files that people
exported and the system's own log are beyond it (docs/privacy.md).
"""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from analytics.ingesting.ingest import Ingest
from analytics.ingesting.journals import JournalFolder
from analytics.privacy import tables
from analytics.privacy.files import lines_with, reports_with, rewrite, without
from analytics.warehouse import Connection, Warehouse, transaction
from relay.privacy.forgotten import Forgotten
from relay.privacy.views import Trace

_RAW = ("inbox", "feeds")


@dataclass(frozen=True, slots=True)
class Forgetting:
    """One at a time, in a thread: it may take minutes. `data` is the data folder."""

    warehouse: Warehouse
    ingest: Ingest
    folder: JournalFolder
    data: Path

    def forget(self, forgotten: Forgotten, *, dry_run: bool) -> list[Trace]:
        """Replace and delete; returns what was found. Raises OSError, duckdb.Error: call it again then."""
        self.ingest.run()
        with self.ingest.turn:
            found = self.warehouse.write(lambda connection: _in_tables(connection, forgotten, dry_run)).result()
            found += self._in_archive(forgotten, dry_run)
        return found + self._in_reports(forgotten, dry_run)

    def _in_archive(self, forgotten: Forgotten, dry_run: bool) -> list[Trace]:
        lines = files = 0
        for path in chain(self.folder.archived(), sorted(self.folder.aside.glob("*.jsonl"))):
            if count := lines_with(path, forgotten):
                lines, files = lines + count, files + 1
                if not dry_run:
                    rewrite(path, without(forgotten))
        return [Trace("journals", f"lines in {files} archived files", lines, "replaced")] if lines else []

    def _in_reports(self, forgotten: Forgotten, dry_run: bool) -> list[Trace]:
        traces = []
        for name in _RAW:
            paths = [*reports_with(self.data / name, forgotten)]
            if not dry_run:
                for path in paths:
                    path.unlink(missing_ok=True)
            if paths:
                traces.append(Trace(name, "mails and reports as they came", len(paths), "deleted"))
        return traces


def _in_tables(connection: Connection, forgotten: Forgotten, dry_run: bool) -> list[Trace]:
    with transaction(connection):
        found = tables.found_in(connection, forgotten)
        if not dry_run:
            tables.replace_in(connection, forgotten, found)
    if found and not dry_run:
        connection.execute("CHECKPOINT")  # the old rows leave the log; their blocks are overwritten by what comes
    return [Trace("warehouse", table, count, "replaced") for table, count in found.items()]
