"""The main process's end of the content processes: the template it starts, and a link to each worker.

Must never fork from main (it has threads and database handles) and never block its loop.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from relay.content.protocol import (
    ContentResult,
    Fork,
    Frames,
    ModelError,
    Ready,
    Refused,
    Setup,
    Warm,
    decode_frame,
    decode_results,
    framed,
)

_START_SECONDS = 30.0  # imports and model of a cold disk on a busy machine; 0.4 s measured on a warm one
_READY_SECONDS = 10.0
_ENDING_SECONDS = 4.0  # above the template's own patience with its workers (template._ENDING_SECONDS)
_PACKAGES = Path(__file__).resolve().parent.parent.parent


class Template:
    """A running template process, warm, with model and keys loaded."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process, self._control = process, control
        self._watch: asyncio.Task[None] | None = None
        self.model_id = ""
        self.is_lost = False

    @classmethod
    async def start(cls, setup: Setup, on_lost: Callable[[], None]) -> "Template":
        """Return when it can fork. Raises ModelError when it refuses the model, OSError when it does not start."""
        control, other = socket.socketpair()
        control.setblocking(False)
        try:
            process = await asyncio.to_thread(_popen, other.fileno())  # 0.4-12 ms, not on the loop
        except BaseException:
            control.close()
            raise
        finally:
            other.close()
        template = cls(process, control)
        try:
            await asyncio.wait_for(template._warm_up(setup), _START_SECONDS)
        except BaseException:
            await template.stop(patience_seconds=0)
            raise
        template._watch = asyncio.create_task(template._watch_end(on_lost))
        return template

    async def fork(self) -> socket.socket:
        """Fork a worker; return main's end of its socket. Raises OSError when the template has ended."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            # a frame of a few bytes on a socket that holds nothing else: never partial
            socket.send_fds(self._control, [framed(Fork())], [theirs.fileno()])
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    async def stop(self, patience_seconds: float = _ENDING_SECONDS) -> None:
        """Close its socket; it ends its workers, then itself."""
        self.is_lost = True
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        self._control.close()
        try:
            await asyncio.to_thread(self._process.wait, patience_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def _warm_up(self, setup: Setup) -> None:
        loop, frames = asyncio.get_running_loop(), Frames()
        await loop.sock_sendall(self._control, framed(setup))
        while True:
            data = await loop.sock_recv(self._control, 65_536)
            if not data:
                raise OSError("the content template process ended while starting; its log says why")
            for body in frames.feed(data):
                match decode_frame(body):
                    case Warm(model=model):
                        self.model_id = model
                        return
                    case Refused(text=text):
                        raise ModelError(text)
                    case _:
                        raise OSError("the content template process answered nonsense")

    async def _watch_end(self, on_lost: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_recv(self._control, 1)
        self.is_lost = True
        on_lost()


class WorkerLink(asyncio.Protocol):
    """One worker as main sees it: at most one batch in flight, its end is seen at once."""

    def __init__(self, on_results: Callable[["WorkerLink", list[ContentResult]], None]) -> None:
        self._on_results = on_results
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_ready = asyncio.get_running_loop().create_future()
        self.on_lost: Callable[[WorkerLink], None] = lambda link: None
        self.lost = asyncio.Event()
        self.pid = 0
        self.has_timed_out = False
        self.is_busy = False

    @classmethod
    async def open(
        cls, template: Template, on_results: Callable[["WorkerLink", list[ContentResult]], None]
    ) -> "WorkerLink":
        """Fork a worker; return when it is ready. Raises OSError when it does not become so."""
        sock = await template.fork()
        _, link = await asyncio.get_running_loop().create_unix_connection(lambda: cls(on_results), sock=sock)
        try:
            await asyncio.wait_for(link._is_ready, _READY_SECONDS)
        except (TimeoutError, EOFError) as error:
            link._abort()
            raise OSError("a content worker did not start") from error
        except BaseException:
            link._abort()
            raise
        return link

    def send(self, frame: bytes, timeout_seconds: float) -> None:
        """Hand over a batch; what the socket does not take at once is queued, and the worker killed if it is late."""
        assert self._transport is not None
        self.is_busy = True
        self._transport.write(frame)
        self._deadline = asyncio.get_running_loop().call_later(timeout_seconds, self._too_late)

    def tell(self, frame: bytes) -> None:
        """Hand over what has no answer; it is read before the next batch."""
        assert self._transport is not None
        self._transport.write(frame)

    async def end(self) -> None:
        """Let it finish and end: it sees end of file. Killed when it does not listen."""
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(OSError, RuntimeError):
                self._transport.write_eof()
        try:
            await asyncio.wait_for(self.lost.wait(), _ENDING_SECONDS)
        except TimeoutError:
            self._kill()
            await self.lost.wait()

    def _too_late(self) -> None:
        self.has_timed_out = True
        self._kill()

    def _kill(self) -> None:
        # The pid is its own for as long as we have not read its end of file and the template has not buried it; the
        # moment between the two is the same turn of the kernel.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for body in self._frames.feed(data):
            if not self.pid:
                ready = decode_frame(body)
                assert isinstance(ready, Ready)
                self.pid = ready.pid
                if not self._is_ready.done():
                    self._is_ready.set_result(None)
                continue
            if self._deadline:
                self._deadline.cancel()
            self.is_busy = False
            self._on_results(self, decode_results(body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        if not self._is_ready.done():
            self._is_ready.set_exception(EOFError())
        self.lost.set()
        self.on_lost(self)


def _popen(fd: int) -> subprocess.Popen[bytes]:
    # -P: a file called numpy.py in the working directory must not be loaded
    command = [sys.executable, "-P", "-m", "relay.content.template", str(fd)]
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, pass_fds=[fd], stdin=subprocess.DEVNULL, env=environment
    )
