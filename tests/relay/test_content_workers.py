"""The content pool: every message gets an answer, whatever dies; nothing is left behind."""

import asyncio
import contextlib
import functools
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest

from relay.content.processes import Template
from relay.content.protocol import (
    ContentRequest,
    ContentResult,
    Frames,
    ModelError,
    Setup,
    Signer,
    decode_results,
    framed,
    unscored,
)
from relay.content.workers import ContentPool
from relay.delivery.signing.dkim_keys import ensure_key

ROOT = Path(__file__).resolve().parent.parent.parent
MAIL = b"From: a@example.com\r\nSubject: hello\r\n\r\nSee you on Monday\r\n"
# two blanks on every line: folding them for the signature takes long, as a hostile message would
SLOW = b"From: a@example.com\r\n\r\n" + b"x  y\r\n" * 8_000_000


def request(content: bytes = MAIL) -> ContentRequest:
    return ContentRequest(content, "a@example.com", "mx.example", 1_795_500_000.0, b"X-Mailweir-Ref: 1\r\n", SIGN)


SIGN = [Signer("example.com", "mw1", "k")]


@contextlib.asynccontextmanager
async def pool(
    tmp_path: Path, *, model: str = "none", workers: int = 2, timeout: float = 10
) -> AsyncIterator[ContentPool]:
    keys = {"k": ensure_key(tmp_path / "k.pem")}
    running = ContentPool(model=model, keys=keys, workers=workers, timeout_seconds=timeout)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.01)


def in_a_loop(test: Callable[[Path], Coroutine[None, None, None]]) -> Callable[[Path], None]:
    @functools.wraps(test)
    def run(tmp_path: Path) -> None:
        asyncio.run(test(tmp_path))

    return run


def children(parent: int) -> list[int]:
    """Processes started by `parent`, without the dead ones that nobody has buried yet."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, of = path.read_text().rpartition(")")[2].split()[:2]
            if int(of) == parent and state != "Z":
                found.append(int(path.parent.name))
    return found


def template() -> int:
    """The one template that belongs to this process."""
    found = [pid for pid in children(os.getpid()) if b"relay.content.template" in command_line(pid)]
    return found[0] if len(found) == 1 else 0


def workers() -> list[int]:
    return children(template())


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(pid: int) -> bool:
    return b"relay.content.template" in command_line(pid)


@in_a_loop
async def test_messages_are_scored_signed_and_explained(tmp_path: Path) -> None:
    async with pool(tmp_path, model="shipped") as content:
        result = await content.assess(request())

    assert result.score is not None
    assert result.score < 0.5
    assert result.model.startswith("shipped-")
    assert result.prefix.startswith(b"DKIM-Signature: ")
    assert (result.subject, result.header_from, result.error) == ("hello", "a@example.com", "")


@in_a_loop
async def test_without_a_model_the_rest_is_done(tmp_path: Path) -> None:
    async with pool(tmp_path) as content:
        result = await content.assess(request())

    assert (result.score, result.model, result.error) == (None, "none", "")
    assert b"DKIM-Signature" in result.prefix


@in_a_loop
async def test_many_at_once_are_each_answered_with_their_own(tmp_path: Path) -> None:
    requests = [request(MAIL.replace(b"hello", b"number %d" % number)) for number in range(500)]

    async with pool(tmp_path) as content:
        results = await asyncio.gather(*map(content.assess, requests))

    assert [f"number {number}" for number in range(500)] == [result.subject for result in results]
    assert content.stats().scored == 500


@in_a_loop
async def test_a_killed_worker_loses_nothing_and_is_replaced(tmp_path: Path) -> None:
    async with pool(tmp_path) as content:
        answers = [asyncio.create_task(content.assess(request())) for _ in range(300)]
        await asyncio.sleep(0)
        os.kill(workers()[0], signal.SIGKILL)
        results = await asyncio.gather(*answers)
        await until(lambda: content.stats().workers == 2 and content.stats().restarts == 1, seconds=5)

    assert {""} == {result.error for result in results}


@in_a_loop
async def test_a_stopped_worker_is_killed_and_its_message_answered_elsewhere(tmp_path: Path) -> None:
    async with pool(tmp_path, timeout=1) as content:
        os.kill(workers()[0], signal.SIGSTOP)
        results = await asyncio.gather(*(content.assess(request()) for _ in range(2)))
        await until(lambda: content.stats().workers == 2, seconds=5)

    assert [result.error for result in results] == ["", ""]
    assert content.stats().restarts == 1


@in_a_loop
async def test_a_message_that_takes_too_long_twice_is_answered_without_a_score(tmp_path: Path) -> None:
    async with pool(tmp_path, workers=1, timeout=0.8) as content:
        slow, *others = await asyncio.gather(
            content.assess(request(SLOW)), *(content.assess(request()) for _ in range(4))
        )

    assert (slow.score, slow.error, slow.prefix) == (None, "timeout", b"X-Mailweir-Ref: 1\r\n")
    assert {""} == {result.error for result in others}
    assert content.stats().restarts == 2


@in_a_loop
async def test_a_dead_template_is_replaced_and_then_replaces_workers(tmp_path: Path) -> None:
    async with pool(tmp_path) as content:
        first = template()
        os.kill(first, signal.SIGKILL)
        await until(lambda: content.stats().restarts == 1 and template() not in (0, first))
        result = await content.assess(request())

    assert result.error == ""


@in_a_loop
async def test_a_dead_template_forks_nothing_and_leaves_no_socket_open(tmp_path: Path) -> None:
    lost, others = asyncio.Event(), {*children(os.getpid())}
    template = await Template.start(Setup("", {}, 10, [], "none"), lost.set)
    try:
        (pid,) = {*children(os.getpid())} - others
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(lost.wait(), 30)
        gc.collect()  # what others left open is closed now, not while it is counted
        sockets = len(os.listdir("/proc/self/fd"))

        for _ in range(3):
            with pytest.raises(OSError):
                await template.fork()

        assert len(os.listdir("/proc/self/fd")) == sockets
    finally:
        await template.stop()


@in_a_loop
async def test_ctrl_c_and_a_supervisors_signal_do_not_reach_the_workers(tmp_path: Path) -> None:
    async with pool(tmp_path) as content:
        for pid in [template(), *workers()]:
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        results = await asyncio.gather(*(content.assess(request()) for _ in range(20)))

    assert {""} == {result.error for result in results}
    assert content.stats().restarts == 0


@in_a_loop
async def test_stop_leaves_no_process_even_one_that_hangs(tmp_path: Path) -> None:
    async with pool(tmp_path):
        started = [template(), *workers()]
        os.kill(workers()[0], signal.SIGSTOP)

    assert len(started) == 3
    assert [pid for pid in started if is_alive(pid)] == []


@in_a_loop
async def test_a_model_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    content = ContentPool(model=str(tmp_path), keys={}, workers=1, timeout_seconds=1)

    with pytest.raises(ModelError, match=r"no card\.json"):
        await content.start()

    await content.stop()


@in_a_loop
async def test_reload_takes_up_another_model_and_keeps_the_old_when_it_is_bad(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "card.json").write_text("{}")

    async with pool(tmp_path) as content:
        flood = [asyncio.create_task(content.assess(request())) for _ in range(200)]
        await content.reload("shipped")
        scored = await content.assess(request())
        with pytest.raises(ModelError):
            await content.reload(str(broken))
        still = await content.assess(request())
        before = await asyncio.gather(*flood)
        assert len(workers()) == 2

    assert {""} == {result.error for result in before}
    assert scored.model == still.model != "none"


def test_workers_end_with_main(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from relay.content.workers import ContentPool\n"
        "async def main():\n"
        "    await ContentPool(model='none', keys={}, workers=2, timeout_seconds=1).start()\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as main:
        assert main.stdout is not None
        assert main.stdout.readline() == b"ready\n"
        started = children(main.pid)
        started += children(started[0])
        main.kill()

    assert len(started) == 3
    deadline = time.monotonic() + 30
    while any(is_alive(pid) for pid in started):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_frames_are_put_together_from_any_pieces() -> None:
    stream = framed([1, 2]) + framed({"a": "b"}) + framed([])
    frames = Frames()

    bodies = [body for at in range(len(stream)) for body in frames.feed(stream[at : at + 1])]

    assert bodies == Frames().feed(stream)
    assert len(bodies) == 3


def test_results_survive_the_trip() -> None:
    result: ContentResult = unscored(request(), "poison")

    assert [result] == decode_results(framed([result])[4:])
