"""Half a day of mail through the real spool under a fake clock: how much disk does what is alive take?

    python -m bench.reclaim

97 % of the messages are done in 3 s, 2 % within six hours, 1 % stay. Segments are 4 MB instead of 64 for a day that
fits into a minute; the proportion of message to segment stays that of a busy relay.
"""

import argparse
import asyncio
import heapq
import json
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from bench.store import finish, store
from relay.clock import SteppedClock, SystemClock
from relay.spool import commit, reclaim, segments
from relay.spool.journal import Journal
from relay.spool.store import Spool

_BATCH = 64


async def play(folder: Path, messages: int, hours: float, size: int) -> dict[str, float]:
    """Let `messages` come evenly over `hours`; the figures."""
    clock, dice = SteppedClock(datetime(2026, 1, 1, tzinfo=UTC)), random.Random(1)
    journal = Journal(folder / "journal", "relay", "mw1", SystemClock())
    journal.start()
    spool = Spool(folder / "spool", "mw1", journal, lambda error: None, clock=clock)
    spool.start()
    received, ratios, ends, content = 0, [], [], b"Subject: x\r\n\r\n" + b"x" * size
    for batch in range(messages // _BATCH):
        stored = await asyncio.gather(*(store(spool, journal, content, f"acme|u|{n}") for n in range(_BATCH)))
        received += sum(r.message.place.length + r.message.record_length for (r,) in stored)
        for (recipient,) in stored:
            chance = dice.random()
            if chance < 0.99:
                wait = 3.0 if chance < 0.97 else dice.uniform(60, 6 * 3600)
                heapq.heappush(ends, (clock.unix() + wait, recipient.id, recipient))
        clock.advance(hours * 3600 / (messages / _BATCH))
        while ends and ends[0][0] <= clock.unix():
            finish(spool, journal, heapq.heappop(ends)[2])
        await spool.settle()
        if batch % 20 == 0 and batch * _BATCH > messages / 2:
            ratios.append(_disk(folder) / max(spool.counts().bytes, 1))
    disk, alive = _disk(folder), spool.counts().bytes
    await spool.stop()
    journal.close()
    return {
        "received_mb": round(received / 1e6),
        "alive_mb": round(alive / 1e6, 1),
        "disk_mb": round(disk / 1e6, 1),
        "disk_per_alive": round(disk / alive, 2),
        "disk_per_alive_worst": round(max(ratios), 2),
        "written_per_received": round(_written[0] / received, 3),
    }


def _disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "spool").glob("*.seg"))


_written = [0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=60_000)
    parser.add_argument("--hours", type=float, default=12)
    parser.add_argument("--size", type=int, default=10_000)
    options = parser.parse_args()
    real_write, real_copied, slices = segments._write, commit.Committer._copied, []

    def count(file: int, pieces: list[bytes], offset: int) -> None:
        _written[0] += sum(map(len, pieces))
        real_write(file, pieces, offset)

    def timed(self: commit.Committer) -> reclaim.Slice:
        began = time.perf_counter()
        found = real_copied(self)
        if found.contents:
            slices.append(time.perf_counter() - began)
        return found

    with (
        patch.object(segments, "MAX_BYTES", 4 * 1024 * 1024),
        patch.object(segments, "_write", count),
        patch.object(commit.Committer, "_copied", timed),
        tempfile.TemporaryDirectory(prefix="mailweir-reclaim-", dir="/var/tmp") as folder,
    ):
        figures = asyncio.run(play(Path(folder), options.messages, options.hours, options.size))
    slices.sort()
    figures["slices"] = len(slices)
    figures["slice_ms_p50"] = round(slices[len(slices) // 2] * 1e3, 2)
    figures["slice_ms_p99"] = round(slices[len(slices) * 99 // 100] * 1e3, 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
