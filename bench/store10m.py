"""Ten million messages: what each question takes, alone and while ten dashboards refresh and mail comes in.

    nice -n 15 python -m bench.store10m --dir /var/tmp/store10m [--keep] [--messages 10000000]

Makes the warehouse (bench/store10m_world.py) unless the folder has one, starts a real analytics process on it, and asks
as the pages do. It needs 4 GB of disk, which are free again afterwards unless --keep is given.
"""

import argparse
import asyncio
import json
import shutil
import signal
import statistics
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.progress import Progress

from analytics.client import QueryClient, QueryError
from bench.store10m_load import Measured, alone, samples, together
from bench.store10m_world import World, make
from relay.account import Account
from relay.clock import SystemClock
from relay.control import tokens
from relay.control.state.memory import State
from tests.builders import ADMIN, Installation, until


def measure(installation: Installation, readers: int, rows: int, seconds: float, times: int) -> dict[str, Any]:
    """Ask a warehouse that is there; the figures, times in seconds."""
    with up(installation) as client, stopped(installation.start("relay")):
        known = samples(client)
        quiet = alone(client, known, times) if times else Measured()
        busy = together(installation.settings, known, readers, rows, seconds)
    return {
        "alone": _figures(quiet),
        "together": _figures(busy),
        "behind_seconds_max": round(max(busy.behind_seconds, default=0), 2),
        "failed": sorted({*quiet.failed, *busy.failed}),
    }


@contextmanager
def up(installation: Installation) -> Iterator[QueryClient]:
    """Run analytics on the store; wait until it answers, a new schema made from the old one included."""
    tokens.ensure_tokens(installation.data)
    with (
        stopped(installation.start("analytics")),
        QueryClient.of(installation.settings, "admin", timeout_seconds=120) as client,
    ):
        until(lambda: _is_up(client), 240, lambda: (installation.folder / "process.log").read_text()[-2000:])
        yield client


@contextmanager
def stopped(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Stop a process in order when the block ends."""
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _is_up(client: QueryClient) -> bool:
    try:
        return bool(client.health()["status"] == "ok")
    except QueryError:
        return False


def _figures(measured: Measured) -> dict[str, Any]:
    return {
        name: {
            "p50": round(statistics.median(seconds), 3),
            "max": round(max(seconds), 3),
            "asked": len(seconds),
        }
        for name, seconds in sorted(measured.seconds.items(), key=lambda item: -max(item[1]))
    }


def _told(title: str, figures: Mapping[str, Mapping[str, float]]) -> str:
    rows = [f"| {name} | {one['p50']:.3f} | {one['max']:.3f} | {one['asked']} |" for name, one in figures.items()]
    return "\n".join([f"| {title} | p50 s | max s | asked |", "|---|---|---|---|", *rows])


def prepare(folder: Path, messages: int) -> Installation:
    """Settings and a warehouse in `folder`, made unless it is there."""
    installation = Installation(folder)
    installation.write(1, model="none")
    path, world = installation.data / "warehouse.duckdb", World.of(messages, datetime.now(UTC))
    if not path.exists():
        asyncio.run(_accounts(installation, world.accounts))
        with Progress() as progress:
            task = progress.add_task("messages", total=messages)
            make(path, world, lambda made, _: progress.update(task, completed=made))
    return installation


async def _accounts(installation: Installation, count: int) -> None:
    """The relay knows the accounts of the world: it takes what analytics decides about their senders."""
    state = await State.open(f"sqlite:///{installation.data / 'state.sqlite'}", "mw1", SystemClock())
    try:
        for number in range(count):
            await state.add_account(Account(f"account{number}", shared_host=True), ADMIN)
    finally:
        await state.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--readers", type=int, default=10)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    installation = prepare(options.dir, options.messages)
    try:
        found = measure(installation, options.readers, options.rows, options.seconds, options.times)
    finally:
        if not options.keep:
            shutil.rmtree(options.dir)
    print(_told("alone", found["alone"]), _told("together", found["together"]), sep="\n\n")
    print(json.dumps({name: found[name] for name in ("behind_seconds_max", "failed")}))


if __name__ == "__main__":
    main()
