"""An event loop on which a month passes in minutes: when nothing moves, its time jumps to the next timer.

Everything that waits on the loop lives in that time: sleeps, deadlines of connections, DNS timeouts. Sockets
and threads are real; the loop waits for what is on its way in this process before it jumps.
"""

import asyncio
import selectors
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

# loopback delivers at once, except when the kernel puts it off for some microseconds; to look again and not to yield:
# on a machine that others use, who yields waits for all of them
_GLANCES = 5
_STILL = 8  # looks without any news: only timers run, each second one, and what a timer begins is seen at the next
_BUSY_SECONDS = 0.02
_TICK = 1e-6  # more than what a float loses over a month, so that a timer jumped to is due


class TimeLapse(asyncio.SelectorEventLoop):
    """`is_busy`: some thread works for us, so time must stand still. `jumps` counts."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self.jumps = 0
        self.is_busy: Callable[[], bool] = lambda: False
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._seconds

    def jump(self, seconds: float) -> None:
        self._seconds += seconds + _TICK
        self.jumps += 1


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: TimeLapse) -> None:
        super().__init__()
        self._loop = loop
        self._looks_without_news = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0)
        self._looks_without_news = 0 if events else self._looks_without_news + 1
        if events or timeout == 0:
            return events
        if timeout is None or self._loop.is_busy():
            self._looks_without_news = 0
            return super().select(_BUSY_SECONDS)
        for _ in range(_GLANCES if self._looks_without_news < _STILL else 0):
            if events := super().select(0):
                self._looks_without_news = 0
                return events
        self._loop.jump(timeout)
        return []


class LoopClock:
    """A relay.clock.Clock that shows a loop's time, beginning at `start`."""

    def __init__(self, start: datetime, loop: asyncio.AbstractEventLoop) -> None:
        self._start, self._start_unix, self._loop = start, start.timestamp(), loop

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._loop.time())

    def unix(self) -> float:
        return self._start_unix + self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
