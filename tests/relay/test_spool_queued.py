"""A long queue costs a start and a look at it next to nothing: what is asked then never reads every row."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.queued import build
from relay.spool import answers, census, index, parking
from relay.spool.store import CommitTimes
from tests.relay.test_spool import opened, put, until

# Rows of these are never looked through; of `segment` and `meta` there are few.
_LONG = ("SCAN message", "SCAN m", "SCAN recipient", "SCAN r", "SCAN lane", "SCAN l", "SCAN x")


@pytest.fixture
def queued(tmp_path: Path) -> Path:
    build(tmp_path / "spool", 2_100, 2, 50)
    return tmp_path


@pytest.mark.parametrize(
    "ask",
    [
        index.recover,
        lambda connection: index.draw_nearer(connection, 4e9),
        index.lanes_waiting,
        lambda connection: index.page(connection, 1, 4e9, 50),
        lambda connection: index.in_segment(connection, 1, 50),
        lambda connection: list(index.messages_after(connection, 0)),
        lambda connection: index.first_fresh(connection, 0),
        lambda connection: parking.hold_sender(connection, "acme|x-authuser|u1", 0.0),
        census.counts,
        lambda connection: census.held_count(connection, sender="acme|x-authuser|u1"),
        lambda connection: census.held(connection, None, None, 10),
    ],
)
def test_what_is_asked_often_reads_no_table_through(queued: Path, ask: Callable[[sqlite3.Connection], object]) -> None:
    connection = index.connect(queued / "spool" / "index.sqlite")
    asked: list[str] = []
    connection.set_trace_callback(asked.append)

    ask(connection)

    connection.set_trace_callback(None)
    plans = [row[3] for sql in asked for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert asked
    assert [plan for plan in plans if plan.startswith(_LONG) and "USING" not in plan] == []
    connection.close()


def test_a_start_finds_every_lane_and_makes_fresh_rows_due(queued: Path) -> None:
    async def start() -> None:
        async with opened(queued) as (spool, _):
            lanes = spool.waiting()
            assert len(lanes) == 50
            assert min(lane.due_unix for lane in lanes) == 0.0
            assert spool.counts().recipients == 4_200
            assert spool.counts().messages == 2_100

    asyncio.run(start())


def test_a_row_stored_late_under_an_early_id_is_fresh_after_a_crash(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            early = spool.reserve(1)
            (other,) = await put(spool, journal, b"\r\nother\r\n")
            spool.defer(other, 2e9, None)
            spool._committer._next_tick = 0.0
            await spool.settle()
            spool._committer._next_tick = 0.0
            await spool.settle()
            assert index.get_meta(spool._reader, "fresh_from") > early
            spool._next_id = early
            await put(spool, journal, b"\r\nlate\r\n")

    async def after() -> None:
        async with opened(tmp_path) as (spool, _):
            assert sorted(r.due_unix or 0.0 for lane in spool.waiting() for r in spool.page(lane.id, 4e9)) == [0.0, 2e9]

    asyncio.run(story())
    asyncio.run(after())


def test_counts_per_destination_of_a_long_queue_are_surveyed_beside_the_loop(
    queued: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "FEW", 10)

    async def look() -> None:
        async with opened(queued) as (spool, _):
            await until(lambda: bool(spool.by_destination()))
            assert sum(count.waiting for count in spool.by_destination()) == 4_200

    asyncio.run(look())


def test_commits_tell_what_they_took(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            seen: list[CommitTimes] = []
            spool.on_commit(seen.append)
            await put(spool, journal, b"\r\nbody\r\n")
            assert [times.stores for times in seen] == [1]
            assert seen[0].seconds >= seen[0].fsync_seconds > 0
            assert seen[0].waited_seconds >= 0

    asyncio.run(story())
