"""Builds installations for tests: a folder, its settings, accounts, and the relay as a real process."""

import asyncio
import contextlib
import io
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TypeVar

from relay.account import Account
from relay.cli import run
from relay.clock import SystemClock
from relay.control.client import ControlClient
from relay.events import Record, decode
from relay.settings import Settings, load
from relay.tree import Principal, Role
from tests.blank import opened_state
from tests.forked import Forks

_T = TypeVar("_T", bound=Record)
Process = "subprocess.Popen[bytes] | Forked"

forks: Forks | None = None  # tests set it (conftest.py); benchmarks start what they measure as everybody does
ROOT = Path(__file__).resolve().parent.parent
ADMIN = Principal("test", Role.ADMIN)
NO_LIMITS = """[limits]
rcpts_per_hour = 0
rcpts_per_day = 0
unique_rcpts_per_hour = 0
new_unique_rcpts_per_hour = 0
newcomer_rcpts_per_hour = 0
"""


def free_port() -> int:
    """A port nobody listens on, below those that the system gives to outgoing connections: until our server starts, a
    connection of another test could take it. None is given out twice soon, and workers have parts of their own."""
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("there is always another port")


def _part_of_worker() -> Iterator[int]:
    """The ports of this worker of the test run, again and again, from anywhere on: another run may be going on."""
    part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    ports = range(20_000 + part * 3_000, 23_000 + part * 3_000)
    begin = random.SystemRandom().randrange(len(ports))  # the tests' own chance is seeded alike in all workers
    return itertools.cycle([*ports[begin:], *ports[:begin]])


_ports = _part_of_worker()


@dataclass
class Installation:
    """One node's folder with its ports; `start` runs the relay in a process of its own."""

    folder: Path
    smtp: int = field(default_factory=free_port)
    submission: int = field(default_factory=free_port)
    smtps: int = field(default_factory=free_port)
    control: int = field(default_factory=free_port)
    query: int = field(default_factory=free_port)
    web: int = field(default_factory=free_port)
    inbox: int = field(default_factory=free_port)

    @property
    def config(self) -> Path:
        return self.folder / "mailweir.toml"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def settings(self) -> Settings:
        return load(self.config)

    def write(self, sink_port: int, more: str = "", *, model: str = "shipped", hostname: str = "relay.example") -> None:
        """Write settings that send everything to a sink."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            f"""dir = "{self.data}"
[node]
hostname = "{hostname}"
[smtp]
listen = ["127.0.0.1:{self.smtp}"]
submission = ["127.0.0.1:{self.submission}"]
tls_listen = ["127.0.0.1:{self.smtps}"]
inbox_listen = ["127.0.0.1:{self.inbox}"]
stop_seconds = 3
[web]
listen = "127.0.0.1:{self.web}"
[control]
listen = "127.0.0.1:{self.control}"
[analytics]
listen = "127.0.0.1:{self.query}"
[content]
model = "{model}"
workers = 1
[delivery]
mode = "sink"
smarthost = "127.0.0.1:{sink_port}"
first_retry_seconds = 1
max_retry_seconds = 2
host_failure_seconds = 0.5
timeout_seconds = 10
{more}
"""
        )

    def add_account(self, account: Account, login: str = "", password: str = "secret") -> None:
        """Add an account before the relay runs."""

        async def add() -> None:
            state = await opened_state(self.data, SystemClock())
            try:
                await state.add_account(account, ADMIN)
                if login:
                    await state.add_credential(login, account.name, password, ADMIN)
            finally:
                await state.close()

        self.data.mkdir(parents=True, exist_ok=True)
        asyncio.run(add())

    def client(self, name: str = "admin") -> ControlClient:
        return ControlClient.of(self.settings, name)

    def records(self, kind: type[_T]) -> list[_T]:
        """What the journal has of one kind, files that grow and the archive included."""
        return journaled(self.data / "journal", kind)

    def mailweir(self, *words: str) -> str:
        """Run one command in this process; it must succeed. Gives what it printed."""
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
            status = run(("--config", str(self.config), *words))
        assert status == 0, said.getvalue()
        return said.getvalue()

    def start(self, *words: str) -> Process:
        """Start `mailweir relay` (or another command) without waiting."""
        environment, command = os.environ | {"MAILWEIR_CONFIG": str(self.config)}, words or ("relay",)
        with (self.folder / "process.log").open("ab") as log:
            if forks is not None and forks.starts(command):
                return forks.start(command[0], environment, log.fileno())
            return subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "relay.cli", *command],
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    @contextmanager
    def running(self) -> Iterator[Process]:
        """Run the relay until the block ends; SIGTERM must be enough."""
        process = self.start()
        try:
            self.wait_until_up(process)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise

    def wait_until_up(self, process: Process, seconds: float = 60) -> None:
        until(lambda: self._is_up(process), seconds, lambda: (self.folder / "process.log").read_text()[-3000:])

    def _is_up(self, process: Process) -> bool:
        assert process.poll() is None, (self.folder / "process.log").read_text()[-3000:]
        # http.client and not urllib: the latter forgets to close the socket of a peer that is killed meanwhile
        with closing(HTTPConnection("127.0.0.1", self.control, timeout=2)) as connection:
            try:
                connection.request("GET", "/healthz")
                return connection.getresponse().status == 200
            except (OSError, HTTPException):
                return False


def journaled(folder: Path, kind: type[_T]) -> list[_T]:
    """What the journal of a folder has of one kind (Record: of all), files that grow and the archive included."""
    return [record for record in map(decode, journal_lines(folder)) if isinstance(record, kind)]


def journal_lines(folder: Path) -> list[bytes]:
    """All whole lines of a journal, files that grow and the archive included."""
    while True:
        try:
            files = [path.read_bytes() for path in sorted(folder.rglob("*.jsonl*"))]
        except FileNotFoundError:  # one was closed or archived just now, and has another name
            continue
        # the last line of a file that grows may be half a one
        return [line for content in files for line in content.splitlines(keepends=True) if line.endswith(b"\n")]


def until(condition, seconds: float = 20, explain=lambda: "") -> None:  # type: ignore[no-untyped-def]
    """Wait for a condition with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not met within {seconds} s. {explain()}"
        time.sleep(0.02)
