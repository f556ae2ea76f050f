"""Runs programs as child processes: starts them in order, starts again what dies, stops them in the opposite order.

Nothing is left running: each child is a session of its own that is killed as a whole, and the kernel ends it when its
supervisor dies without a word.
"""

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli import Context
from relay.log import turn
from relay.running.ports import Taken, is_open, taken

if TYPE_CHECKING:
    from relay.settings import Settings

_log = logging.getLogger("mailweir.supervisor")

READY_SECONDS = 90.0
STOP_SECONDS = 20.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
SETTLED_SECONDS = 60.0  # who ran for so long starts again after the first pause
TURN_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


class StartFailed(Exception):
    """A program did not come up, or a port is not free; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Program:
    """One child. `listens` are the addresses it opens: checked before the start; the first one answering means ready.
    `opened` is what a person is told of it."""

    name: str
    argv: tuple[str, ...]
    listens: tuple[str, ...] = ()
    opened: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = STOP_SECONDS
    takes_hangup: bool = False


class Supervisor:
    """Use: `await start()`, your own waiting, `await stop()`; from the main thread, as the kernel ends children with
    the thread that made them."""

    def __init__(self, programs: Sequence[Program], logs: Path, say: Callable[[str], None] = print) -> None:
        self._children = [_Child(program, logs / f"{program.name}.log", say) for program in programs]
        self._logs, self._say = logs, say
        self._turner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Check the ports, start the first program, then all others. Raises StartFailed, and then none is left."""
        conflicts = [found for child in self._children for found in child.conflicts()]
        if conflicts:
            raise StartFailed("cannot start: " + "; ".join(conflicts))
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            for together in (self._children[:1], self._children[1:]):
                await _all_or_none([child.start() for child in together])
        except BaseException:
            await self.stop()
            raise
        self._turner = asyncio.create_task(self._turn_logs())

    async def stop(self) -> None:
        """Stop the programs, the last one started first; return when no process of theirs is left."""
        if self._turner:
            self._turner.cancel()
        for child in reversed(self._children):
            await child.stop()

    async def _turn_logs(self) -> None:
        while True:
            await asyncio.sleep(TURN_SECONDS)
            for child in self._children:
                await asyncio.to_thread(child.turn_log)

    def kill(self) -> None:
        """End everything at once; stop() then returns soon."""
        for child in self._children:
            child.signal(signal.SIGKILL)

    def hangup(self) -> None:
        """Pass SIGHUP on to the programs that understand it."""
        for child in self._children:
            if child.program.takes_hangup:
                child.signal(signal.SIGHUP, whole_group=False)


class _Child:
    def __init__(self, program: Program, log: Path, say: Callable[[str], None]) -> None:
        self.program, self._log, self._say = program, log, say
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    def conflicts(self) -> list[str]:
        found = (taken(address) for address in self.program.listens)
        return [f"{conflict}, and {self.program.name} needs it" for conflict in found if isinstance(conflict, Taken)]

    async def start(self) -> None:
        await self._spawn()
        await self._wait_until_ready()
        self._keeper = asyncio.create_task(self._keep_alive())

    async def stop(self) -> None:
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is None:
            return
        self.signal(signal.SIGTERM, whole_group=False)
        try:
            await asyncio.wait_for(self._process.wait(), self.program.stop_seconds)
        except TimeoutError:
            self._say(f"{self.program.name} did not stop within {self.program.stop_seconds:g} s, killed")
        # Also what the program itself left behind.
        self.signal(signal.SIGKILL)
        await self._process.wait()

    def signal(self, number: signal.Signals, *, whole_group: bool = True) -> None:
        if self._process is None:
            return
        try:
            if whole_group:
                os.killpg(self._process.pid, number)
            elif self._process.returncode is None:
                os.kill(self._process.pid, number)
        except ProcessLookupError:
            pass

    async def _spawn(self) -> None:
        # Never left half done: a child that nobody knows of would outlive us.
        spawning = asyncio.ensure_future(self._fork())
        try:
            await asyncio.shield(spawning)
        except asyncio.CancelledError:
            await spawning
            raise

    async def _fork(self) -> None:
        self.turn_log()
        supervisor = os.getpid()
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.program.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.program.env},
                start_new_session=True,
                preexec_fn=lambda: _die_with(supervisor),
            )

    def turn_log(self) -> None:
        turn(self._log)

    async def _wait_until_ready(self) -> None:
        assert self._process is not None
        ended = asyncio.create_task(self._process.wait())
        deadline = time.monotonic() + READY_SECONDS
        try:
            while not ended.done():
                if not self.program.listens or await asyncio.to_thread(is_open, self.program.listens[0]):
                    return
                if time.monotonic() > deadline:
                    raise StartFailed(f"{self.program.name} does not answer after {READY_SECONDS:g} s; see {self._log}")
                await asyncio.wait([ended], timeout=0.1)
            raise StartFailed(f"{self.program.name} ended at start: {self._last_words()}")
        finally:
            ended.cancel()

    async def _keep_alive(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            assert self._process is not None
            started = time.monotonic()
            status = await self._process.wait()
            if time.monotonic() - started > SETTLED_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self.signal(signal.SIGKILL)  # its own children may still hold its ports
            self._process = None
            self._say(f"{self.program.name} {_how(status)}, starting it again in {pause:g} s: {self._last_words()}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            await self._spawn()

    def _last_words(self) -> str:
        try:
            lines = self._log.read_bytes()[-4000:].decode(errors="replace").splitlines()
        except OSError:
            lines = []
        words = [line.strip() for line in lines if line.strip()]
        return f"{words[-1]} (log: {self._log})" if words else f"it said nothing (log: {self._log})"


def programs_of(settings: "Settings", env: Mapping[str, str] | None = None) -> list[Program]:
    """The three programs of a node. `env`: added to theirs, like MAILWEIR_CONFIG or MAILWEIR_SECTION__KEY."""
    from relay.control.client import base_url
    from relay.front.entrances import entrances

    smtp = tuple(entrance.address for entrance in entrances(settings.smtp))
    control, query, pages = settings.control.listen, settings.analytics.listen, settings.dashboard.listen
    web = (settings.web.listen,) if settings.web.listen else ()
    listens = {"relay": (control, *smtp, *web), "analytics": (query,), "dashboard": (pages,)}
    doors = [entrance.address for entrance in entrances(settings.smtp) if not entrance.is_inbox]
    opened = {
        "relay": f"SMTP on {', '.join(doors)}; control API on {base_url(control)}{_web(settings)}",
        "analytics": f"query API on {base_url(query)}",
        "dashboard": f"{base_url(pages)}   <- open this in a browser",
    }
    return [
        Program(
            name=name,
            argv=(sys.executable, "-P", "-m", "relay.cli", name),
            listens=addresses,
            opened=opened[name],
            env=dict(env or {}),
            stop_seconds=settings.smtp.stop_seconds + STOP_SECONDS,
            takes_hangup=name == "relay",
        )
        for name, addresses in listens.items()
    ]


def _web(settings: "Settings") -> str:
    return f"; mail by HTTP on {settings.web.listen}" if settings.web.listen else ""


@click.command()
@click.pass_obj
def up(context: Context) -> None:
    """Run relay, analytics and dashboard until Ctrl-C."""
    from relay.control.state.lock import acquire

    settings = context.settings()
    with acquire(settings.dir):  # another relay of this folder is named before anything starts
        pass
    programs = programs_of(settings)
    asyncio.run(supervise(programs, settings.dir / "logs"))


async def supervise(programs: Sequence[Program], logs: Path) -> None:
    """Start programs, say what they opened, stop them at SIGTERM or Ctrl-C; a second one kills."""
    supervisor, asked, loop = Supervisor(programs, logs, click.echo), asyncio.Event(), asyncio.get_running_loop()

    def stop() -> None:
        supervisor.kill() if asked.is_set() else asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, supervisor.hangup)
    starting = asyncio.ensure_future(supervisor.start())
    asking = asyncio.ensure_future(asked.wait())
    await asyncio.wait([starting, asking], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    try:
        starting.result()
        for program in programs:
            click.echo(f"{program.name:<10} {program.opened}")
        click.echo(f"logs in {logs}; Ctrl-C stops everything")
        await asking
        click.echo("stopping")
    finally:
        asking.cancel()
        await supervisor.stop()


async def _all_or_none(starting: Iterable[Coroutine[None, None, None]]) -> None:
    tasks = [asyncio.ensure_future(start) for start in starting]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _how(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


_libc = ctypes.CDLL(None)


def _die_with(supervisor: int) -> None:
    # Runs in the child before exec. The check closes the gap: a parent that died before prctl sends no signal.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        os._exit(1)
