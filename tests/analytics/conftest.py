"""A warehouse in a folder of its own, and what reads journals into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analytics.ingesting.ingest import Ingest
from analytics.ingesting.journals import JournalFolder
from analytics.warehouse import Warehouse
from relay.events import Record
from relay.settings import Policy
from tests.analytics.records import write
from tests.blank import put_warehouse


@dataclass
class Room:
    """A warehouse with its journal folder."""

    warehouse: Warehouse
    folder: JournalFolder
    ingest: Ingest

    def bring(self, *records: Record, name: str = "relay-mw1-a-00000001") -> None:
        """Write a closed file and ingest it."""
        write(self.folder.path, name, records)
        self.ingest.run()

    def rows(self, query: str, **params: Any) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.warehouse.table(query, **params).to_pylist()]

    def value(self, query: str, **params: Any) -> Any:
        ((value,),) = self.rows(query, **params)
        return value


@contextmanager
def opened_room(path: Path) -> Iterator[Room]:
    """An empty one, below a folder."""
    folder = JournalFolder(path / "journal")
    put_warehouse(path / "warehouse.duckdb")
    warehouse = Warehouse.open(path / "warehouse.duckdb", folder.path)
    yield Room(warehouse, folder, Ingest(warehouse, folder, Policy()))
    warehouse.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with opened_room(tmp_path) as room:
        yield room
