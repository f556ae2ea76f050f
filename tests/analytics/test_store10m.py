"""The large warehouse of the bench, small: it is made as told, and every question is asked as the pages ask."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from analytics.queries.named import QUERIES
from analytics.warehouse import Warehouse
from bench import store10m, store10m_load, store10m_world
from tests.builders import Installation

MESSAGES = 100_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return store10m.prepare(tmp_path_factory.mktemp("store"), MESSAGES)


def counted(made: Installation, query: str) -> list[tuple[object, ...]]:
    warehouse = Warehouse.open(made.data / "warehouse.duckdb", made.data / "journal")
    try:
        return [tuple(row.values()) for row in warehouse.table(query).to_pylist()]
    finally:
        warehouse.close()


def test_store_has_every_message_once_over_four_weeks(made: Installation) -> None:
    ((kept, refused, unlike, days),) = counted(
        made,
        """
        SELECT (SELECT count(*) FROM message WHERE node = 'big'), (SELECT count(*) FROM rejection WHERE node = 'big'),
               (SELECT count(DISTINCT message_id) FROM message WHERE node = 'big'),
               (SELECT date_diff('day', min(received_at), max(received_at)) FROM message WHERE node = 'big')
        """,
    )

    assert kept + refused == MESSAGES  # type: ignore[operator]
    assert unlike == kept
    assert days in (27, 28)


def test_store_s_rollup_and_statuses_agree_with_its_rows(made: Installation) -> None:
    ((delivered, rolled, open_rows, held, entities),) = counted(
        made,
        """
        SELECT (SELECT count(*) FROM recipient WHERE outcome = 'delivered'), (SELECT sum(delivered) FROM rollup_minute),
               (
                   SELECT count(*)
                   FROM rollup_minute
                   WHERE NOT is_merged  -- before the mail of the test below, which may have run first
                     AND minute < (SELECT date_trunc('minute', max(received_at)) FROM message WHERE node = 'big')
               ),
               (SELECT count(*) FROM message WHERE status = 'held'),
               (SELECT count(DISTINCT entity_kind) FROM reputation_now)
        """,
    )

    assert delivered == rolled
    assert (open_rows, entities) == (0, 7)
    assert held > 0  # type: ignore[operator]


def test_the_same_numbers_make_the_same_store(tmp_path: Path) -> None:
    until, firsts = datetime(2026, 11, 24, tzinfo=UTC), []
    for name in ("one", "two"):
        path = tmp_path / name / "warehouse.duckdb"
        store10m_world.make(path, store10m_world.World.of(4_000, until), lambda *_: None)
        warehouse = Warehouse.open(path, path.parent / "journal")
        firsts.append(warehouse.table("SELECT * EXCLUDE (trace) FROM message ORDER BY message_id LIMIT 50").to_pylist())
        warehouse.close()

    assert firsts[0] == firsts[1]


def test_every_question_is_answered_while_pages_refresh_and_mail_comes_in(made: Installation) -> None:
    found = store10m.measure(made, readers=len(store10m_load.pages()), rows=200, seconds=4, times=1)

    assert found["failed"] == []
    asked = {label.split()[0] for label in found["alone"]}
    assert asked == set(QUERIES)
    assert {label.removesuffix(", at first") for label in found["together"]} == {
        name for names in store10m_load.pages().values() for name in names
    }
    brought = counted(made, "SELECT count(*) FROM message WHERE message_id NOT LIKE '%big.%'")
    assert brought[0][0] > 0  # type: ignore[operator]
