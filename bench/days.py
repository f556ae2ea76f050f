"""A month of delivery in minutes: does warm-up follow its plan, and does everybody keep to what providers allow?

    python -m bench.days --days 30 --seed 1 --scale 0.1 --plot docs/pictures/warmup.svg

The real delivery half sends over real SMTP on loopback to receivers that behave like the large providers
(tests/personas.py), on a clock that jumps to the next thing to do. Two addresses are known everywhere, two are warmed
up from day 1. Exit code 1 when a limit was exceeded, or a message did not end exactly once.

--scale: of the packaged plan's stages and of the traffic; with 1, day 30 brings about 100,000 messages.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from analytics.simulation.timelapse import LoopClock, TimeLapse
from bench.days_figures import Figures, Watch, judged
from bench.days_half import SOURCES, Half, running, scaled_plan
from bench.days_picture import draw
from bench.days_traffic import Calendar, orders
from relay.front.tls import ensure_certificate
from tests.nameserver import NameServer
from tests.personas import DAY, GOOGLE_RATE, HOUR, OUTLOOK_BLOCK, YAHOO_TSS04, Book, Gate, Incident, Persona, personas
from tests.sink import Sink

START = datetime(2026, 6, 1, tzinfo=UTC)  # a Monday
_FIRST_DAY_MAILS = 10_000  # at scale 1
_LONG_KNOWN = 1e9  # an address that may send whatever it likes
_DRAIN_SECONDS = 54 * HOUR  # the lifetime of 48 h, and a last try


@dataclass(frozen=True, slots=True)
class Month:
    """What is played. `incidents`: a provider, one of our sources, the days (with parts) it refuses it, words, stop."""

    calendar: Calendar
    scale: float
    seed: int
    incidents: Sequence[Incident] = field(default_factory=tuple)


def usual_month(days: int, scale: float, seed: int) -> Month:
    """Thirty days with one Sunday without mail, and something wrong at each of the three large providers."""
    calendar = Calendar(days, _FIRST_DAY_MAILS * scale, silent_days=(14,))
    incidents = (
        refuses("google", "new1", 9 + 10 / 24, 9 + 10.5 / 24, GOOGLE_RATE, 600.0),
        refuses("yahoo", "new2", 11 + 9 / 24, 11 + 11.5 / 24, YAHOO_TSS04, 2 * HOUR),
        refuses("yahoo", "new2", 12 + 9 / 24, 12 + 11.5 / 24, YAHOO_TSS04, 2 * HOUR),
        refuses("outlook", "old1", 16 + 8 / 24, 18 + 12 / 24, OUTLOOK_BLOCK, 4 * HOUR),
        refuses("outlook", "new1", 22 + 9 / 24, 22 + 11 / 24, OUTLOOK_BLOCK, 4 * HOUR),
    )
    return Month(calendar, scale, seed, incidents)


def refuses(provider: str, source: str, begins: float, ends: float, reply: str, stop_seconds: float) -> Incident:
    """From day to day, counted from 1; parts of a day are hours."""
    address = next(one.address for one in SOURCES if one.name == source)
    first = START.timestamp() - DAY
    return Incident(provider, address, first + begins * DAY, first + ends * DAY, reply, stop_seconds)


def play(month: Month, folder: Path, *, tells: bool = False) -> Figures:
    """Play a month; `tells`: each day on stderr."""
    with asyncio.Runner(loop_factory=TimeLapse) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, TimeLapse)
        return runner.run(_play(month, folder, loop, tells=tells))


@contextlib.contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder that costs no disk, where there is one: the clock stands still while a commit waits for it."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


async def _play(month: Month, folder: Path, loop: TimeLapse, *, tells: bool) -> Figures:
    clock, book, cast, began = LoopClock(START, loop), Book(), personas(), time.perf_counter()
    async with contextlib.AsyncExitStack() as stack:
        hosts = {persona.name: f"127.0.1.{number}" for number, persona in enumerate(cast, 1)}
        zone = "\n".join(one.zone(hosts[one.name]) for one in cast if one.name != "nowhere")
        names = await stack.enter_async_context(NameServer(zone).open())
        port = await _port(hosts["google"])
        half = await stack.enter_async_context(
            running(
                folder,
                clock,
                loop,
                month.scale,
                nameservers=[names.address],
                mx_port=port,
                private_networks=["127.0.0.0/8"],
            )
        )
        for persona in cast:
            if not persona.is_down and persona.name != "nowhere":
                await stack.enter_async_context(
                    _receiver(persona, hosts[persona.name], port, month, half, book, folder)
                )
        watch = Watch(half, clock, month.calendar.days)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch.run())
            await _send(month, cast, half, clock, tells=tells)
            await _drained(half, clock)
            watching.cancel()
        figures = judged(month.calendar.days, half, book, watch, scaled_plan(month.scale))
    figures.real_seconds, figures.jumps = round(time.perf_counter() - began, 1), loop.jumps
    return figures


def _receiver(
    persona: Persona, address: str, port: int, month: Month, half: Half, book: Book, folder: Path
) -> contextlib.AbstractAsyncContextManager[Sink]:
    gate = Gate(persona, half.shaper.providers.named(persona.name), half.clock, book)
    plan = scaled_plan(month.scale)
    shown = {one.address: _LONG_KNOWN for one in SOURCES if not one.is_warming}
    gate.expect(shown, plan.quota(1, persona.name), month.incidents)
    persona.manner.referee = gate
    if persona.has_tls:
        persona.manner.tls = ensure_certificate(None, None, folder, "mx.receivers.example")
    return Sink(persona.manner, address=address, port=port).open()


async def _port(address: str) -> int:
    """A port that is free at one address of loopback, and then most likely at its neighbours."""
    async with Sink(address=address).open() as probe:
        return probe.port


async def _send(month: Month, cast: Sequence[Persona], half: Half, clock: LoopClock, *, tells: bool) -> None:
    start, day = clock.unix(), -1.0
    for order in orders(month.calendar, cast, month.seed):
        if (wait := start + order.at - clock.unix()) > 0:
            await clock.sleep(wait)
        if tells and order.at // DAY > day:
            day = order.at // DAY
            print(f"day {day + 1:.0f}: {len(half.ended)} recipients so far", file=sys.stderr, flush=True)
        await half.send(order)


async def _drained(half: Half, clock: LoopClock) -> None:
    until = clock.unix() + _DRAIN_SECONDS
    while clock.unix() < until and not all(half.ended.values()):
        await clock.sleep(600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--json", action="store_true", help="all of it, also the table by day, source and provider")
    parser.add_argument("--plot", type=Path, help="write the picture of plan against actual (SVG) there")
    parser.add_argument("--log", type=Path, help="the relay's log")
    args = parser.parse_args()
    _log_to(args.log)
    with memory_folder() as folder:
        figures = play(usual_month(args.days, args.scale, args.seed), folder, tells=True)
    if args.plot:
        args.plot.write_text(draw(figures))
    print(json.dumps(asdict(figures)) if args.json else figures.table())
    sys.exit(1 if figures.problems else 0)


def _log_to(path: Path | None) -> None:
    logger = logging.getLogger("mailweir")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.FileHandler(path, "w") if path else logging.NullHandler())


if __name__ == "__main__":
    main()
