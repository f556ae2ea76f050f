"""A million end senders: memory, file, restart, what a returning sender, a stranger and a message cost.

    python -m bench.senders [--senders 1000000] [--dir /tmp/senders]

The first 110,000 send three messages each to their own people, one message in a hundred a spam, one sender in fifty has
a hard bounce: more than the 100,000 that stay in memory. All other rows in counters.sqlite are copies of theirs,
from where one look by key brings them back.
"""

import argparse
import asyncio
import hashlib
import random
import resource
import shutil
import sqlite3
import statistics
import time
from contextlib import closing
from pathlib import Path

from relay.clock import SystemClock
from relay.policy.signals.counters import Counters
from relay.policy.signals.live import Signals
from relay.policy.signals.signal import Traits
from relay.policy.triggers.sequential import alarms
from relay.settings import Policy

_POLICY = Policy()
_MB = 1024 * 1024
_REAL = 110_000


def _traits(number: int) -> Traits:
    digest = hashlib.blake2b(str(number).encode(), digest_size=24).digest()
    return Traits(f"{digest[:8].hex()}-{digest[8:].hex()}{digest[:8].hex()}", (digest[:8],))


def _name(number: int) -> str:
    return f"account{number % 1_000}|x-authuser|user{number}@site{number % 5_000}.example"


def _send(signals: Signals, number: int, now_unix: float, dice: random.Random) -> float:
    """Send one message; return what it took, in microseconds of CPU."""
    score = 0.95 if dice.random() < 0.01 else 0.01
    traits = _traits(number + dice.randrange(3))
    began = time.process_time_ns()
    state = signals.observe(_name(number), score, now_unix, _POLICY, f"m{number}", 1, "", traits)
    list(alarms(state, _POLICY))
    return (time.process_time_ns() - began) / 1_000


def _copy(path: Path, real: int, senders: int) -> None:
    """Give every other sender the row of one that sent."""
    with closing(sqlite3.connect(path)) as file, file:
        rows = dict(file.execute("SELECT key, row FROM signal"))
        now = file.execute("SELECT max(written_unix) FROM signal").fetchone()[0]
        copies = ((_name(number), rows[_name(number % real)], now) for number in range(real, senders))
        file.executemany("INSERT INTO signal VALUES (?, ?, ?)", copies)


async def _fill(signals: Signals, senders: int, now_unix: float) -> None:
    dice = random.Random(7)
    for number in range(senders):
        for message in range(3):
            _send(signals, number, now_unix - 300_000 + message * 100_000, dice)
        if number % 50 == 0:
            signals.outcome(_name(number), "hard_bounce", now_unix, "provider")
        if number % 2_000 == 0:
            await asyncio.sleep(0)  # the flush of each second
    await asyncio.sleep(2.5)


def _line(what: str, figure: str) -> None:
    print(f"{what:<58} {figure}", flush=True)


def _spread(samples: list[float]) -> str:
    ordered = sorted(samples)
    places = (ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1])
    return "median {:.0f}, 99 % {:.0f}, longest {:.0f} us".format(*places)


async def _measure(senders: int, folder: Path) -> None:
    clock, path = SystemClock(), folder / "counters.sqlite"
    signals = Signals()
    counters = Counters(path, signals.tables(), clock)
    await counters.start()
    began = time.monotonic()
    real = min(senders, _REAL)
    await _fill(signals, real, clock.unix())
    _line("senders that sent, of which in memory", f"{real:,}, {len(signals):,}")
    _line("three messages each, with the writing", f"{time.monotonic() - began:.0f} s")
    await counters.stop()
    _copy(path, real, senders)
    _line("senders in the file", f"{senders:,}")
    _line("most memory of the process", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    _line("counters.sqlite", f"{path.stat().st_size / _MB:.0f} MB, {path.stat().st_size / senders:.0f} bytes a sender")

    signals = Signals()
    counters = Counters(path, signals.tables(), clock)
    began = time.monotonic()
    await counters.start()
    _line("restart, all known again after", f"{time.monotonic() - began:.2f} s")
    dice = random.Random(8)
    chosen = dice.sample(range(senders), min(20_000, senders))
    now = clock.unix()
    _line("first message of a sender that left memory", _spread([_send(signals, one, now, dice) for one in chosen]))
    _line("its second message", _spread([_send(signals, one, now, dice) for one in chosen]))
    strangers = range(2 * senders, 2 * senders + 20_000)
    _line("first message of a stranger", _spread([_send(signals, one, now, dice) for one in strangers]))
    known = [signals.state(_name(one), now, _POLICY) for one in chosen[:5_000]]
    assert all(state is not None and state.history >= 4 for state in known), "a sender lost its history"
    _line("mean of a message, count and triggers", f"{_mean(signals, chosen, now):.1f} us")
    await counters.stop()


def _mean(signals: Signals, chosen: list[int], now_unix: float) -> float:
    dice = random.Random(9)
    return statistics.fmean(_send(signals, one, now_unix, dice) for one in chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senders", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path, default=Path("/tmp/senders"))
    chosen = parser.parse_args()
    shutil.rmtree(chosen.dir, ignore_errors=True)
    chosen.dir.mkdir(parents=True)
    asyncio.run(_measure(chosen.senders, chosen.dir))
    shutil.rmtree(chosen.dir)


if __name__ == "__main__":
    main()
