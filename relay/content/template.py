"""The template process: loads model, keys and libraries once, then forks a worker for each socket it is handed.

Single-threaded, or its forks would not be safe; so OpenBLAS gets one thread before numpy is loaded. Run by main as
`python -m relay.content.template FD`. It ends when main closes the socket FD, and sees to it that its workers end.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # must stand above the imports: read when numpy is loaded

import contextlib
import gc
import logging
import select
import signal
import socket
import sys
import time
from pathlib import Path

from relay.content.assess import Assessor
from relay.content.model import load
from relay.content.protocol import Fork, ModelError, Refused, Setup, Warm, decode_frame, framed
from relay.content.rule_book import load_rules
from relay.content.rules import Rules
from relay.content.tokens import words_of
from relay.content.worker import serve
from relay.log import setup as setup_log

_log = logging.getLogger("mailweir.content")
_ENDING_SECONDS = 2.0  # workers still busy this long after main has closed their sockets are killed


def main(fd: int) -> int:
    """Serve main's requests on the socket `fd` until its end."""
    setup_log("content")
    # Ctrl-C and a supervisor's SIGTERM reach the whole group: main still has sessions to finish and needs its workers.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=fd)
    warmed = _warm(control)
    if warmed is None:
        return 1
    assessor, timeout_seconds = warmed
    gc.collect()
    gc.freeze()  # the shared pages stay shared: no collector run touches them in the workers
    children: set[int] = set()
    while _wait(control, children):
        body, fds = _receive(control)
        if body is None:
            break
        if fds and isinstance(decode_frame(body), Fork):
            children.add(_fork(fds[0], control, assessor, timeout_seconds))
    _end(children)
    return 0


def _warm(control: socket.socket) -> tuple[Assessor, float] | None:
    body, _ = _receive(control)
    if body is None:
        return None
    order = decode_frame(body)
    assert isinstance(order, Setup)
    try:
        model = load(Path(order.model)) if order.model else None
        rules = Rules(load_rules(order.rules), words_of)
        assessor = Assessor(model, order.keys, order.customers, rules)
    except ModelError as error:
        control.sendall(framed(Refused(str(error))))
        return None
    assessor.warm_up()
    control.sendall(framed(Warm(assessor.model_id)))
    return assessor, order.timeout_seconds


def _receive(control: socket.socket) -> tuple[bytes | None, list[int]]:
    """One frame and the descriptors that came with it. Main sends one frame at a time and waits: no two meet."""
    header, fds, _, _ = socket.recv_fds(control, 4, 1)
    if len(header) < 4:
        return None, fds
    length, body = int.from_bytes(header, "little"), b""
    while len(body) < length:
        piece = control.recv(length - len(body))
        if not piece:
            return None, fds
        body += piece
    return body, fds


def _wait(control: socket.socket, children: set[int]) -> bool:
    """Return when main says something; bury workers meanwhile."""
    while not select.select([control], [], [], 0.5)[0]:
        _bury(children)
    _bury(children)
    return True


def _bury(children: set[int]) -> None:
    for pid in list(children):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                continue
        children.discard(pid)


def _fork(fd: int, control: socket.socket, assessor: Assessor, timeout_seconds: float) -> int:
    pid = os.fork()
    if pid:
        # Only the worker may hold its end: main takes end of file for the worker's death.
        os.close(fd)
        return pid
    status = 1
    try:
        control.close()
        serve(socket.socket(fileno=fd), assessor, timeout_seconds)
        status = 0
    except OSError:
        status = 0  # main went away in the middle of an answer
    except Exception:  # nobody above could say what it was
        _log.exception("worker ends")
    finally:
        os._exit(status)  # never back into the template's code


def _end(children: set[int]) -> None:
    deadline = time.monotonic() + _ENDING_SECONDS
    while children and time.monotonic() < deadline:
        _bury(children)
        time.sleep(0.01)
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in children:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
