"""The warehouse can be made again from the archive, and is never lost by trying."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from analytics.cli import warehouse as command
from analytics.client import AnalyticsDown, QueryClient
from analytics.ingesting.columns import RECORDS
from analytics.ingesting.ingest import Ingest
from analytics.ingesting.journals import JournalFolder
from analytics.ingesting.rebuild import rebuild
from analytics.warehouse import Warehouse, WarehouseBusy
from relay.cli import Context
from relay.events import Action, Record
from relay.settings import Settings
from tests.analytics.records import START, traffic, write
from tests.analytics.test_columns import TABLE
from tests.builders import Installation, until

COUNTS = """
SELECT (SELECT count(*) FROM message) AS messages, (SELECT count(*) FROM recipient) AS outcomes,
       (SELECT sum(delivered)::BIGINT FROM rollup_minute) AS delivered,
       (SELECT count(*) FROM message WHERE status = 'delivered') AS statuses
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    installation = Installation(tmp_path)
    installation.write(1, "", model="none")
    settings = installation.settings
    records = list(traffic(300))
    write(settings.journal_dir, "relay-mw1-a-00000001", records[:300])
    damaged = write(settings.journal_dir, "relay-mw1-a-00000002", records[300:])
    with damaged.open("ab") as file:
        file.write(b'{"kind":"Recep')
    counts(settings, ingest=True)
    return settings


def counts(settings: Settings, *, ingest: bool = False) -> dict[str, int]:
    warehouse = Warehouse.open(settings.dir / "warehouse.duckdb", settings.journal_dir)
    try:
        if ingest:
            Ingest(warehouse, JournalFolder(settings.journal_dir), settings.policy).run()
        return dict(warehouse.table(COUNTS).to_pylist()[0])
    finally:
        warehouse.close()


@pytest.mark.parametrize("harm", ["nothing", "gone", "garbage"])
def test_rebuilt_warehouse_equals_the_old_one(settings: Settings, harm: str) -> None:
    before = counts(settings)
    path = settings.dir / "warehouse.duckdb"
    if harm == "gone":
        path.unlink()
    elif harm == "garbage":
        path.write_bytes(b"x" * 5000)

    rows = sum(replayed.rows for replayed in rebuild(settings))

    assert rows > 500
    assert counts(settings) == before
    assert list(settings.dir.glob("*.rebuild*")) == []


def test_each_kind_of_record_is_kept_once_and_there_again_after_a_rebuild(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.write(1, "", model="none")
    settings = installation.settings
    records = [one_of(record, seq) for seq, record in enumerate(RECORDS, 1)]

    ingested = kept_seqs(settings, [*records, *records])  # twice, as after a crash
    list(rebuild(settings))

    assert ingested == {record: [seq] for seq, record in enumerate(RECORDS, 1)}
    assert kept_seqs(settings) == ingested


def one_of(record: type[Record], seq: int) -> Record:
    """A record with what it must have, about a message of its own."""
    samples: dict[Any, Any] = {str: "text", int: 1, float: 0.5, bool: True, datetime: START, Action: Action.ACCEPT}
    fields = {field.name: samples[field.type] for field in msgspec.structs.fields(record) if field.required}
    return record(**(fields | {"seq": seq} | ({"message_id": f"mw1.{seq}"} if "message_id" in fields else {})))


def kept_seqs(settings: Settings, records: Sequence[Record] = ()) -> dict[type[Record], list[int]]:
    """What the table of each record holds of it, when `records` have been ingested, each in a batch of its own."""
    warehouse = Warehouse.open(settings.dir / "warehouse.duckdb", settings.journal_dir)
    try:
        ingest = Ingest(warehouse, JournalFolder(settings.journal_dir), settings.policy)
        for number, record in enumerate(records, 1):
            write(settings.journal_dir, f"relay-mw1-a-{number:08}", [record])
            ingest.run()
        query = "SELECT seq FROM {} WHERE seq = $seq"
        return {
            record: warehouse.table(query.format(TABLE[record]), seq=seq).column("seq").to_pylist()
            for seq, record in enumerate(RECORDS, 1)
        }
    finally:
        warehouse.close()


def test_rebuild_that_is_broken_off_leaves_the_old_warehouse(settings: Settings) -> None:
    before = counts(settings)

    steps = rebuild(settings)
    next(steps)
    steps.close()

    assert counts(settings) == before
    assert list(settings.dir.glob("*.rebuild*")) == []


def test_rebuild_refuses_while_analytics_runs(settings: Settings) -> None:
    # In one process DuckDB shares an open file instead of locking it: the owner must be another process.
    installation = Installation(settings.dir.parent)
    installation.write(1, "", model="none")
    process = installation.start("analytics")
    try:
        with QueryClient.of(installation.settings, "admin") as client:
            until(lambda: is_up(client), 60, lambda: "analytics did not start")

        with pytest.raises(WarehouseBusy, match="Stop it first"):
            list(rebuild(settings))
    finally:
        process.terminate()
        process.wait()


def test_command_rebuilds_and_says_so(settings: Settings) -> None:
    result = CliRunner().invoke(command, ["rebuild"], obj=Context(settings.dir.parent / "mailweir.toml"))

    assert result.exit_code == 0
    assert "records are in" in result.output


def is_up(client: QueryClient) -> bool:
    try:
        return bool(client.health())
    except AnalyticsDown:
        return False
