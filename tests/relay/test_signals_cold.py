"""Senders that left memory: they lie in the file and come back whole, and a stranger stays one."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.clock import SteppedClock
from relay.policy.signals.counters import Counters
from relay.policy.signals.live import Signals
from relay.policy.signals.members import MEMBER_SECONDS, Members
from relay.settings import Policy
from tests.delivering import eventually

POLICY = Policy()
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


async def started(path: Path, clock: SteppedClock, signals: Signals) -> Counters:
    counters = Counters(path, signals.tables(), clock)
    await counters.start()
    return counters


def test_a_sender_that_left_memory_comes_back_whole_with_its_first_message(tmp_path: Path) -> None:
    async def story() -> None:
        clock, signals = SteppedClock(NOON), Signals(capacity=2)
        counters = await started(tmp_path / "counters.sqlite", clock, signals)
        for number in range(8):
            signals.observe("bob", 0.95, clock.unix(), POLICY, f"m{number}")
        before = signals.state("bob", clock.unix(), POLICY)
        for number in range(10):
            signals.observe(f"other{number}", 0.1, clock.unix(), POLICY)
        await counters.stop()
        counters = await started(tmp_path / "counters.sqlite", clock, signals)

        after = signals.state("bob", clock.unix(), POLICY)

        assert before == after
        assert len(signals) == 2
        await counters.stop()

    asyncio.run(story())


def _is_taken(clock: SteppedClock, counters: Counters) -> bool:
    """Tell whether the rows are on their way to the disk; else the second until the next flush passes."""
    clock.advance(1.0)
    return bool(counters._writing)


def test_a_restart_reads_nobody_and_knows_everybody(tmp_path: Path) -> None:
    async def story() -> None:
        clock, before, after = SteppedClock(NOON), Signals(), Signals()
        counters = await started(tmp_path / "counters.sqlite", clock, before)
        for number in range(30):
            before.observe(f"a|u|{number}", 0.6, clock.unix(), POLICY, group="a|newcomers|")
        await counters.stop()

        counters = await started(tmp_path / "counters.sqlite", clock, after)

        now = clock.unix()
        assert len(after) == 0
        assert not after.is_newcomer("a|u|7", now + 90_000)
        assert after.is_newcomer("nobody", now)
        assert before.state("a|u|7", now, POLICY) == after.state("a|u|7", now, POLICY)
        assert len(after.newcomers("a", now)) == 30
        assert after.newcomers("a", now + MEMBER_SECONDS) == []
        await counters.stop()

    asyncio.run(story())


def test_a_sender_that_comes_back_while_its_row_waits_for_the_disk_has_lost_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        clock, signals = SteppedClock(NOON), Signals(capacity=1)
        counters = await started(tmp_path / "counters.sqlite", clock, signals)
        with closing(sqlite3.connect(tmp_path / "counters.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # nobody can write now
            signals.observe("bob", 0.95, clock.unix(), POLICY)
            signals.observe("eve", 0.1, clock.unix(), POLICY)
            await eventually(lambda: _is_taken(clock, counters))

            state = signals.observe("bob", 0.95, clock.unix(), POLICY)

            assert (state.history, state.spam_count) == (2, 2)
            other.execute("ROLLBACK")
        await counters.stop()

    asyncio.run(story())


def test_what_is_too_old_is_not_known_again(tmp_path: Path) -> None:
    async def story() -> None:
        clock, signals = SteppedClock(NOON), Signals()
        counters = await started(tmp_path / "counters.sqlite", clock, signals)
        signals.observe("bob", 0.1, clock.unix(), POLICY)
        await counters.stop()
        later = SteppedClock(datetime(2027, 3, 1, tzinfo=UTC))
        again = Signals()
        counters = await started(tmp_path / "counters.sqlite", later, again)

        assert again.state("bob", later.unix(), POLICY) is None
        await counters.stop()

    asyncio.run(story())


@settings(deadline=None)  # a busy machine is no defect
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([0.1, 0.6, 0.95])), max_size=60))
def test_a_small_memory_with_a_file_counts_like_a_large_one(sent: list[tuple[str, float]]) -> None:
    large, small, file = Signals(), Signals(capacity=2), dict[str, bytes]()
    small.recall_by(file.get)
    for number, (sender, score) in enumerate(sent):
        at = NOON.timestamp() + number * 10
        assert large.observe(sender, score, at, POLICY, f"m{number}") == small.observe(
            sender, score, at, POLICY, f"m{number}"
        )
        if number % 3 == 0:
            file.update(small.dirty())


def test_new_senders_are_forgotten_after_a_day_and_the_oldest_first() -> None:
    members, now = Members(capacity=2), NOON.timestamp()
    for name in ("a|u|1", "a|u|2", "b|u|1"):
        members.note(name, now, now)

    assert (members.of("a", now), members.of("b", now)) == (["a|u|2"], ["b|u|1"])
    assert dict(members.dirty())["a|u|1"] == b""
    members.drop("b|u|1")
    assert members.of("b", now) == []
