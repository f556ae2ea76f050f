"""The counters' file: what a relay knew is there after a restart, a kill, or a file that is broken."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from relay.clock import SteppedClock, SystemClock
from relay.policy.limits.claims import Ask, Claim
from relay.policy.limits.ledger import KEPT_SECONDS, Ledger
from relay.policy.limits.levels import Level, LimitSet
from relay.policy.signals.counters import Counters, Table
from relay.policy.signals.live import Signals
from relay.settings import Policy
from tests.builders import until

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LIMITS = LimitSet(rcpts_per_hour=10)
ROOT = Path(__file__).resolve().parents[2]


def claim(name: str) -> Claim:
    return Claim(Level.SENDER, name, name, LIMITS, LIMITS)


def used(ledger: Ledger, name: str, now_unix: float) -> int:
    return 10 - next(left for left in range(10, -1, -1) if _fits(ledger, name, left, now_unix))


def _fits(ledger: Ledger, name: str, amount: int, now_unix: float) -> bool:
    taking = ledger.take((claim(name),), Ask(amount), now_unix)
    ledger.give_back(taking)
    return taking.use.is_allowed


def keys(path: Path) -> set[str]:
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(path)) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM usage")}
    return set()  # no table yet


async def kept(path: Path, ledger: Ledger, clock: SteppedClock, signals: Signals | None = None) -> Counters:
    tables = [
        Table("signal", Signals() if signals is None else signals, 1e9, newest=10),
        Table("usage", ledger, KEPT_SECONDS),
    ]
    counters = Counters(path, tables, clock)
    await counters.start()
    return counters


def test_each_table_gets_its_own_rows_back(tmp_path: Path) -> None:
    async def story() -> None:
        clock, ledger, signals = SteppedClock(NOON), Ledger(), Signals()
        counters = await kept(tmp_path / "counters.sqlite", ledger, clock, signals)
        ledger.take((claim("bob"),), Ask(7), clock.unix())
        signals.observe("bob", 0.1, clock.unix(), Policy())
        await counters.stop()

        ledger, signals = Ledger(), Signals()
        await (await kept(tmp_path / "counters.sqlite", ledger, clock, signals)).stop()

        assert used(ledger, "bob", clock.unix()) == 7
        assert (len(ledger), len(signals)) == (1, 1)

    asyncio.run(story())


def test_rows_of_keys_gone_idle_leave_the_file(tmp_path: Path) -> None:
    async def story() -> None:
        clock, ledger = SteppedClock(NOON), Ledger()
        counters = await kept(tmp_path / "counters.sqlite", ledger, clock)
        for number in range(20):
            ledger.take((claim(f"old{number}"),), Ask(1), clock.unix())
        await counters.stop()

        counters = await kept(tmp_path / "counters.sqlite", ledger, clock)
        clock.advance(7_200)
        for number in range(20):
            ledger.take((claim(f"new{number}"),), Ask(1), clock.unix())
        await counters.stop()

    asyncio.run(story())

    assert keys(tmp_path / "counters.sqlite") - {""} == {f"new{number}" for number in range(20)}


def test_rows_too_old_to_count_are_not_read_back(tmp_path: Path) -> None:
    async def story() -> None:
        clock, ledger = SteppedClock(NOON), Ledger()
        counters = await kept(tmp_path / "counters.sqlite", ledger, clock)
        ledger.take((claim("bob"),), Ask(1), clock.unix())
        await counters.stop()

        clock.advance(KEPT_SECONDS + 1)
        ledger = Ledger()
        await (await kept(tmp_path / "counters.sqlite", ledger, clock)).stop()

        assert len(ledger) == 0

    asyncio.run(story())


def test_a_broken_file_is_set_aside_and_counting_starts_anew(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "counters.sqlite").write_bytes(b"no database" * 1_000)
        clock, ledger = SteppedClock(NOON), Ledger()

        counters = await kept(tmp_path / "counters.sqlite", ledger, clock)
        ledger.take((claim("bob"),), Ask(1), clock.unix())
        await counters.stop()

    asyncio.run(story())

    assert len(list(tmp_path.glob("counters.corrupt-*"))) == 1
    assert "bob" in keys(tmp_path / "counters.sqlite")


def test_a_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    async def story() -> None:
        clock, signals = SteppedClock(NOON), Signals()
        signals.observe("bob", 0.1, clock.unix(), Policy())
        old = sqlite3.connect(tmp_path / "counters.sqlite", isolation_level=None)
        old.execute("CREATE TABLE signal (sender TEXT PRIMARY KEY, row BLOB, written_unix REAL) WITHOUT ROWID")
        old.executemany("INSERT INTO signal VALUES (?, ?, 0)", signals.dirty())
        old.close()

        signals = Signals()
        table = Table("signal", signals, clock.unix() + 1, newest=10)
        counters = Counters(tmp_path / "counters.sqlite", [table], clock)
        await counters.start()
        await counters.stop()

        assert signals.state("bob", clock.unix(), Policy()) is not None

    asyncio.run(story())


_COUNTING = """
import asyncio, sys
from pathlib import Path
from relay.clock import SystemClock
from relay.policy.signals.counters import Counters, Table
from relay.policy.limits.ledger import KEPT_SECONDS, Ledger
from relay.policy.limits.claims import Ask
from tests.relay.test_policy_counters import claim

async def count():
    clock, ledger = SystemClock(), Ledger()
    await Counters(Path(sys.argv[1]), [Table("usage", ledger, KEPT_SECONDS)], clock).start()
    ledger.take((claim("bob"),), Ask(7), clock.unix())
    await asyncio.sleep(60)

asyncio.run(count())
"""


def test_a_kill_loses_a_second_of_counts_at_most(tmp_path: Path) -> None:
    path = tmp_path / "counters.sqlite"
    with subprocess.Popen([sys.executable, "-c", _COUNTING, str(path)], cwd=ROOT) as process:
        until(lambda: path.exists() and "bob" in keys(path))
        process.kill()

    async def story() -> None:
        ledger, clock = Ledger(), SteppedClock(datetime.now(UTC))
        await (await kept(path, ledger, clock)).stop()

        assert used(ledger, "bob", clock.unix()) == 7

    asyncio.run(story())


class _Latest:
    """A source with one row, whose newest value is always to be written."""

    def __init__(self) -> None:
        self.value = b"old"

    def dirty(self) -> list[tuple[str, bytes]]:
        return [("bob", self.value)]

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        return 0


def test_a_stop_during_a_write_leaves_the_newest_counts(tmp_path: Path) -> None:
    path, source = tmp_path / "counters.sqlite", _Latest()

    async def story() -> None:
        counters = Counters(path, [Table("signal", source, 1e9)], SystemClock(), every_seconds=0.01)
        await counters.start()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(0.3)  # a write waits for the lock by now, and looks for it ever more rarely
            source.value = b"new"
            stopping = asyncio.create_task(counters.stop())
            await asyncio.sleep(0.05)
            other.execute("ROLLBACK")
            await stopping
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(story())

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT row FROM signal").fetchone() == (b"new",)
