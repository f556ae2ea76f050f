"""The command `mailweir demo`."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
import time
import webbrowser
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from analytics.simulation.stage import Stage, StageOptions
    from analytics.simulation.teller import Teller


@click.command()
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where the demo lives.")
@click.option("--reset", is_flag=True, help="Throw the demo away and start over.")
@click.option("--check", is_flag=True, help="Play the story headless, judge it, print one JSON line.")
@click.option("--no-browser", is_flag=True, help="Do not open the dashboard in a browser.")
@click.option("--keep-going", "seconds", type=click.FloatRange(1), metavar="SECONDS", help="End by itself after.")
@click.option("--calm", type=click.FloatRange(0), metavar="SECONDS", help="Time before the attack. [default: 60]")
@click.option("--seed", type=int, default=1, show_default=True, help="Another world.")
def demo(
    folder: Path | None,
    reset: bool,
    check: bool,
    no_browser: bool,
    seconds: float | None,
    calm: float | None,
    seed: int,
) -> None:
    """Play the whole story with simulated customers and receivers.

    Everything is demo data in one folder, on loopback; Ctrl-C leaves nothing running.
    """
    # The demo has settings of its own; one from outside could make it deliver mail, or write into real data.
    for name in [name for name in os.environ if name.startswith("MAILWEIR_")]:
        del os.environ[name]
    from analytics.simulation.installation import default_folder
    from analytics.simulation.stage import StageOptions

    if check:
        with contextlib.nullcontext(folder) if folder else tempfile.TemporaryDirectory(prefix="mailweir-") as chosen:
            options = StageOptions(Path(chosen).expanduser().absolute(), reset, any_ports=True, with_dashboard=False)
            sys.exit(asyncio.run(_check(options, seed, calm)))
    options = StageOptions((folder or default_folder()).expanduser().absolute(), reset)
    sys.exit(asyncio.run(_play(options, seed, calm, seconds, has_browser=not no_browser)))


async def _check(options: "StageOptions", seed: int, calm: float | None) -> int:
    import msgspec

    from analytics.simulation.check import Score, Times, play_check

    began = time.monotonic()
    scores: list[Score] = []

    async def act(stage: "Stage", tell: "Teller") -> None:
        scores.append(await play_check(stage, Times() if calm is None else Times(calm=calm), tell))

    status = await _on_stage(options, seed, act, is_headless=True)
    if not scores:
        return status or 1
    scores[0].seconds = round(time.monotonic() - began, 1)
    click.echo(msgspec.json.encode(scores[0]))
    for problem in scores[0].problems:
        click.echo(f"not as told: {problem}", err=True)
    return 0 if scores[0].ok else 1


async def _play(
    options: "StageOptions", seed: int, calm: float | None, seconds: float | None, *, has_browser: bool
) -> int:
    from analytics.simulation.story import Pace, tell_story

    async def act(stage: "Stage", tell: "Teller") -> None:
        if has_browser and _has_screen():
            await asyncio.to_thread(webbrowser.open, stage.dashboard_url)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await tell_story(stage, Pace() if calm is None else Pace(calm=calm), tell)

    return await _on_stage(options, seed, act, is_headless=False)


async def _on_stage(
    options: "StageOptions", seed: int, act: Callable[["Stage", "Teller"], Awaitable[None]], *, is_headless: bool
) -> int:
    """Play on a stage that is taken down afterwards, also at SIGTERM or Ctrl-C; return the exit status."""
    from rich.console import Console

    from analytics.simulation.stage import set_stage
    from analytics.simulation.teller import Teller
    from analytics.simulation.world import make_world
    from relay.clock import SystemClock

    logging.getLogger("mailweir").addHandler(logging.NullHandler())  # until the demo's folder has its log
    clock = SystemClock()
    tell = Teller(Console(stderr=is_headless), clock)

    async def play() -> None:
        async with set_stage(options, make_world(seed), clock, tell) as stage:
            try:
                await act(stage, tell)
            finally:
                tell.show("Stopping everything.")

    playing = asyncio.ensure_future(play())

    def stop() -> None:
        # a second Ctrl-C must not break off the stopping: it would leave programs behind
        if not playing.cancelling():
            playing.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await playing
    except asyncio.CancelledError:
        tell.show("Nothing is left running.")
        return 130 if is_headless else 0
    tell.show("Nothing is left running.")
    return 0


def _has_screen() -> bool:
    """Tell whether a browser would open a window, and not take over the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
