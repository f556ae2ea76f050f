"""The supervisor: what dies is started again, what is stopped leaves nothing, what is in the way is named."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.running.ports import taken
from relay.running.supervisor import Program, StartFailed, Supervisor
from tests.builders import free_port, until

# A program that writes its pid, and that of a child of its own, to a file and then listens; argv: port, file, tail.
LISTENER = """
import os, signal, socket, subprocess, sys, time
port, note, tail = int(sys.argv[1]), sys.argv[2], sys.argv[3]
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
door = socket.socket()
door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
door.bind(("127.0.0.1", port))
door.listen()
open(note, "a").write(f"{os.getpid()} {child.pid}\\n")
def stop(*_):
    open(note + ".order", "a").write(sys.argv[4] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if tail == "deaf" else stop)
print("up and running", flush=True)
while True:
    time.sleep(0.05)
"""


async def until_async(condition: Callable[[], bool], seconds: float = 20) -> None:
    await asyncio.to_thread(until, condition, seconds)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def listener(tmp_path: Path, name: str, tail: str = "", **more: float) -> Program:
    port = free_port()
    argv = (sys.executable, "-c", LISTENER, str(port), str(tmp_path / "note"), tail, name)
    return Program(name=name, argv=argv, listens=(f"127.0.0.1:{port}",), **more)


def pids(tmp_path: Path) -> list[int]:
    note = tmp_path / "note"
    return [int(word) for word in note.read_text().split()] if note.exists() else []


def test_programs_stop_in_the_opposite_order_of_their_start_leaving_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        programs = [listener(tmp_path, name) for name in ("relay", "analytics", "dashboard")]
        supervisor = Supervisor(programs, tmp_path / "logs")
        await supervisor.start()
        assert [taken(program.listens[0]) is not None for program in programs] == [True, True, True]
        await supervisor.stop()

    asyncio.run(run())

    assert (tmp_path / "note.order").read_text().split() == ["dashboard", "analytics", "relay"]
    assert len(pids(tmp_path)) == 6
    until(lambda: not any(map(is_alive, pids(tmp_path))))
    assert (tmp_path / "logs" / "relay.log").read_text() == "up and running\n"


def test_a_program_that_dies_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []

    async def run() -> None:
        supervisor = Supervisor([listener(tmp_path, "relay")], tmp_path / "logs", said.append)
        await supervisor.start()
        await until_async(lambda: len(pids(tmp_path)) == 2)
        os.kill(pids(tmp_path)[0], signal.SIGKILL)
        await until_async(lambda: len(pids(tmp_path)) == 4)
        first, _, second, _ = pids(tmp_path)
        assert (is_alive(first), is_alive(second)) == (False, True)
        await supervisor.stop()

    asyncio.run(run())

    assert "was killed by signal 9" in said[0]
    assert "up and running" in said[0]
    until(lambda: not any(map(is_alive, pids(tmp_path))))


def test_a_program_that_does_not_hear_sigterm_is_killed(tmp_path: Path) -> None:
    said: list[str] = []

    async def run() -> None:
        supervisor = Supervisor([listener(tmp_path, "relay", "deaf", stop_seconds=0.3)], tmp_path / "logs", said.append)
        await supervisor.start()
        await supervisor.stop()

    asyncio.run(run())

    assert said == ["relay did not stop within 0.3 s, killed"]
    until(lambda: not any(map(is_alive, pids(tmp_path))))


def test_a_program_that_cannot_start_says_its_last_words_and_nothing_is_left(tmp_path: Path) -> None:
    broken = Program(
        name="analytics",
        argv=(sys.executable, "-c", "print('the warehouse is locked'); raise SystemExit(1)"),
        listens=(f"127.0.0.1:{free_port()}",),
    )

    async def run() -> None:
        programs = [listener(tmp_path, "relay"), broken, listener(tmp_path, "dashboard")]
        with pytest.raises(StartFailed, match=r"analytics ended at start: the warehouse is locked \(log: .*analytics"):
            await Supervisor(programs, tmp_path / "logs").start()

    asyncio.run(run())

    until(lambda: not any(map(is_alive, pids(tmp_path))))


def test_a_taken_port_is_named_with_who_has_it_before_anything_starts(tmp_path: Path) -> None:
    program = listener(tmp_path, "relay")
    port = program.listens[0].rpartition(":")[2]
    thief = subprocess.Popen([*program.argv[:4], str(tmp_path / "thief"), "", "thief"], stdout=subprocess.DEVNULL)
    try:
        until(lambda: (tmp_path / "thief").exists())

        with pytest.raises(StartFailed, match=rf"127\.0\.0\.1:{port} is taken by .*\(process {thief.pid}\).*relay"):
            asyncio.run(Supervisor([program], tmp_path / "logs").start())
    finally:
        child = int((tmp_path / "thief").read_text().split()[1])
        thief.terminate()
        thief.wait()
        os.kill(child, signal.SIGKILL)
    assert pids(tmp_path) == []
    assert taken(program.listens[0]) is None


def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    program = listener(tmp_path, "relay")
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from relay.running.supervisor import Program, Supervisor\n"
        f"program = Program(name='relay', argv={program.argv!r}, listens={program.listens!r})\n"
        "async def run():\n"
        f"    await Supervisor([program], Path({str(tmp_path)!r}) / 'logs').start()\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(run())\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", script])
    until(lambda: len(pids(tmp_path)) == 2)
    child, grandchild = pids(tmp_path)

    supervisor.kill()
    supervisor.wait()

    until(lambda: not is_alive(child))
    os.kill(grandchild, signal.SIGKILL)  # this program leaves its own child behind; ours end theirs by themselves
