"""Starts relay, analytics and dashboard for tests as processes of their own, without loading them anew.

For each of the three, and in each worker of the test run, one process loads what the command needs and then forks at
every start. The child is what a shell would have started: a pid, an environment, a folder and a log of its own, the
command's own `main` to its end, and kill -9 takes it as any other. Left out is only the interpreter's own start, 1 s of
CPU; tests of that one use subprocess, and so does whatever `mailweir up` starts.
"""

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# Their own modules, and what those load only when they run. Nothing heavier than the command loads by itself.
_MIGRATING = ("alembic.command", "alembic.runtime.environment", "mako.template", "mako.ext.pygmentplugin")
_ITS_LIBRARIES = ("sqlalchemy.dialects.sqlite", "publicsuffixlist", "re2")
_SERVING = ("uvicorn.lifespan.off", "uvicorn.protocols.http.h11_impl", "anyio._backends._asyncio")
_READING = ("pandas", "pyarrow.pandas_compat", "httpcore2")
_LOADED = {
    "relay": ("relay.running.cli", "relay.running.node", *_MIGRATING, *_ITS_LIBRARIES, *_SERVING),
    "analytics": ("analytics.cli", "analytics.process", *_READING, *_SERVING),
    "dashboard": (
        "dashboard.cli",
        "dashboard.entry.door",
        "dashboard.entry.keeper",
        "streamlit.starlette",
        *_READING,
        *_SERVING,
    ),
}


class Forked:
    """A running command; what tests need of subprocess.Popen."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self.pid = int(self._line.recv(64))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode if self._ends_within(0) else None

    def wait(self, timeout: float | None = None) -> int:
        if not self._ends_within(timeout):
            raise subprocess.TimeoutExpired("mailweir", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ends_within(self, seconds: float | None) -> bool:
        if self.returncode is None and select.select([self._line], [], [], seconds)[0]:
            self.returncode = int(self._line.recv(64))
            self._line.close()
        return self.returncode is not None

    def __del__(self) -> None:
        self._line.close()


class Forks:
    """Gives forks of the three commands; each is loaded when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._orders: dict[str, socket.socket] = {}

    def starts(self, command: Sequence[str]) -> bool:
        return tuple(command) in {(name,) for name in _LOADED}

    def start(self, name: str, environment: Mapping[str, str], log: int) -> Forked:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._order(name), [json.dumps(dict(environment)).encode()], [theirs.fileno(), log])
        return Forked(ours)

    def _order(self, name: str) -> socket.socket:
        if name not in self._orders:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            command = [sys.executable, "-W", "ignore", "-m", "tests.forked", name, str(theirs.fileno())]
            # one thread: what forks may have no other
            environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
            with theirs:
                loader = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=self._folder, env=environment)
            self._orders[name] = ours
            atexit.register(_end, ours, loader)
        return self._orders[name]


def _end(order: socket.socket, loader: "subprocess.Popen[bytes]") -> None:
    order.close()
    loader.wait()


def _serve(order: socket.socket) -> bool:
    """Fork for each order until there are no more; True in a fork, which then goes on as the command."""
    running: dict[int, tuple[int, socket.socket]] = {}  # pid file descriptor -> pid, line to who asked
    while True:
        for ready in select.select([order, *running], [], [])[0]:
            if isinstance(ready, int):
                _bury(ready, *running.pop(ready))
                continue
            content, (line, log), _, _ = _received(order)
            if not content:
                return False
            pid = os.fork()
            if pid == 0:
                _become(json.loads(content), log)
                return True
            os.close(log)
            asked = socket.socket(fileno=line)
            asked.send(str(pid).encode())
            running[os.pidfd_open(pid)] = pid, asked


def _received(order: socket.socket) -> tuple[bytes, tuple[int, int], int, object]:
    content, fds, flags, address = socket.recv_fds(order, 1 << 20, 2)
    line, log = fds or (-1, -1)
    return content, (line, log), flags, address


def _bury(descriptor: int, pid: int, line: socket.socket) -> None:
    os.close(descriptor)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):  # whoever asked may not care any more
        line.send(str(status).encode())
    line.close()


def _become(environment: Mapping[str, str], log: int) -> None:
    """Have what a new process has: its environment, its log, and no descriptor of anybody else."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)


if __name__ == "__main__":
    import tests.light  # noqa: F401  before anything of ours

    for _name in _LOADED[sys.argv[1]]:
        importlib.import_module(_name)
    if _serve(socket.socket(fileno=int(sys.argv[2]))):
        from relay.cli import main

        main([sys.argv[1]])
