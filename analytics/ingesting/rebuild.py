"""Makes the warehouse again from the archive. What waits in the journal comes by itself when analytics starts.

The new file is complete before it takes the old one's place, and the old one stays beside it until then. Reports of the
feeds come again from the files that were kept. Reputation history, job runs and what listings led to (table quarantine)
are in no journal and begin anew: a source that was quarantined then stays so until a person takes it back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from analytics.ingesting.ingest import Ingest
from analytics.ingesting.journals import JournalFolder
from analytics.reports.feeds import Feeds
from analytics.warehouse import Warehouse, WarehouseBusy, WarehouseError
from relay.clock import SystemClock
from relay.settings import Settings


@dataclass(frozen=True, slots=True)
class Replayed:
    """One archive file is in: its size, the records it brought."""

    path: Path
    size_bytes: int
    rows: int


def rebuild(settings: Settings) -> Iterator[Replayed]:
    """Replay archive file by archive file; the warehouse is replaced when the iterator ends.

    Raises WarehouseBusy while analytics runs.
    """
    path = settings.dir / "warehouse.duckdb"
    draft = path.with_name("warehouse.rebuild.duckdb")
    folder = JournalFolder(settings.journal_dir)
    _refuse_if_open(path, settings.journal_dir)
    _remove(draft)
    warehouse = Warehouse.open(draft, settings.journal_dir)
    try:
        ingest = Ingest(warehouse, folder, settings.policy)
        for archived in folder.archived():
            yield Replayed(archived, archived.stat().st_size, ingest.replay(archived).rows)
        Feeds(warehouse, settings.dir / "feeds", SystemClock()).replay()
    except BaseException:
        warehouse.close()
        _remove(draft)
        raise
    warehouse.close()
    _refuse_if_open(path, settings.journal_dir)
    _remove(path.with_name(path.name + ".wal"))  # it belongs to the old file
    draft.replace(path)


def _refuse_if_open(path: Path, readable: Path) -> None:
    if not path.exists():
        return
    try:
        Warehouse.open(path, readable).close()
    except WarehouseBusy:
        raise
    except WarehouseError:
        pass  # a broken or newer file is the very reason to make it again


def _remove(path: Path) -> None:
    for file in (path, path.with_name(path.name + ".wal")):
        file.unlink(missing_ok=True)
