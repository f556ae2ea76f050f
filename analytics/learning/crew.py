"""Training on several cores: each job in a fork, which has all there is at hand without a copy and answers in arrays.

A fork has none of its parent's threads, but their locks as they were: it computes, answers and ends, and says what
went wrong by a stream of its own.
"""

import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from selectors import EVENT_READ, DefaultSelector
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Step = Callable[[str, int, int], None]  # told what is done now, and how much of how much of it
Arrays = dict[str, NDArray[Any]]
Job = Callable[[], Arrays]
_T = TypeVar("_T")

_CHUNK_BYTES = 1 << 20
_AT_ONCE = 500  # mails of one job


def quiet(_what: str, _done: int, _total: int) -> None:
    """A Step that nobody watches."""


def sliced(work: Callable[[Sequence[_T]], Arrays], items: Sequence[_T]) -> list[Job]:
    """Return jobs that do some hundred items each."""
    return [partial(work, items[at : at + _AT_ONCE]) for at in range(0, len(items), _AT_ONCE)]


@dataclass(frozen=True, slots=True)
class Crew:
    """How many cores training may use, and who is told how far it is. With one core nothing is forked."""

    cores: int = 1
    step: Step = quiet

    def do(self, what: str, jobs: Sequence[Job]) -> list[Arrays]:
        """Return what each job answers, in their order. Raises ChildProcessError for a fork that ends without one."""
        answers: dict[int, Arrays] = {}
        self.step(what, 0, len(jobs))
        for at, answer in _forked(jobs, self.cores) if self.cores > 1 else _here(jobs):
            answers[at] = answer
            self.step(what, len(answers), len(jobs))
        return [answers[at] for at in range(len(jobs))]


@dataclass(frozen=True, slots=True)
class _Fork:
    job: int
    pid: int
    chunks: list[bytes] = field(default_factory=list)


def _here(jobs: Sequence[Job]) -> Iterator[tuple[int, Arrays]]:
    for at, job in enumerate(jobs):
        yield at, job()


def _forked(jobs: Sequence[Job], cores: int) -> Iterator[tuple[int, Arrays]]:
    """Yield answers as they come, by the job's place."""
    waiting = iter(enumerate(jobs))
    with DefaultSelector() as pipes:
        try:
            while True:
                for at, job in islice(waiting, cores - len(pipes.get_map())):
                    with _uninterrupted():  # or a fork that nobody knows of would go on after Ctrl-C
                        pid, pipe = _fork(job)
                        pipes.register(pipe, EVENT_READ, _Fork(at, pid))
                if not pipes.get_map():
                    return
                for key, _ in pipes.select():
                    if chunk := os.read(key.fd, _CHUNK_BYTES):
                        key.data.chunks.append(chunk)
                    else:
                        pipes.unregister(key.fd)
                        os.close(key.fd)
                        yield key.data.job, _answer(key.data)
        finally:
            for key in [*pipes.get_map().values()]:
                os.kill(key.data.pid, signal.SIGKILL)
                os.waitpid(key.data.pid, 0)
                os.close(key.fd)


def _fork(job: Job) -> tuple[int, int]:
    """Return the pid of a fork that does the job, and the pipe that its answer comes by."""
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        return pid, reading
    status = 1
    try:
        sys.stdout = sys.stderr = os.fdopen(os.dup(2), "w", 1, errors="backslashreplace")  # the parent's may be locked
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        os.close(reading)
        buffer = io.BytesIO()
        with threadpool_limits(1):  # OpenMP would wait for the threads that its parent has
            np.savez(buffer, allow_pickle=False, **job())
        with os.fdopen(writing, "wb") as out:
            out.write(buffer.getbuffer())
        status = 0
    except BrokenPipeError:  # the parent is gone
        pass
    except Exception:  # a fork that raised would go on as its parent
        traceback.print_exc()
    finally:
        os._exit(status)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _answer(fork: _Fork) -> Arrays:
    _, status = os.waitpid(fork.pid, 0)
    if status:
        raise ChildProcessError(
            f"training: process {fork.pid} ended with {os.waitstatus_to_exitcode(status)} (-9: killed, for want of "
            "memory perhaps; fewer cores need less)"
        )
    with np.load(io.BytesIO(b"".join(fork.chunks)), allow_pickle=False) as arrays:
        return dict(arrays)
