"""Answers that are given again, so that ten dashboards with the same question ask the warehouse once.

A question on its way is waited for by all who ask it. An answer that took long is given again for a while: in
proportion to what it took, and to the span it is about, in whose charts the difference would hardly show. What is quick
to answer is answered anew each time.

When that while is over, whoever asks next gets the old answer once more, and the question is asked anew behind it: a
page that is looked at never waits for a dear answer that is there. For a window that has just moved on by a bucket the
answer of the window before stands in. Each comes with its age.
"""

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from analytics.serving.ask import GivenUp, Stop

DEAR_SECONDS = 0.1  # what takes less is no load, even for ten readers every two seconds
_DEAR_CPU_SECONDS = 0.03  # of its own thread: on a busy machine what is quick takes long, too
_SURELY_CPU_SECONDS = 0.15  # the first time of a question, which loads what others have loaded then
_TIMES_ITS_COST = 4  # one question, whoever asks it, keeps a thread busy for a fifth of the time at most
_SPAN_SHARE, _TIMES_OF_SPAN = 1e-4, 20  # 24 h stand up to 9 s, 7 d up to 30, but no longer than 20 times their cost
_MOST_SECONDS = 30.0
_OLD_SECONDS = 60.0  # so long after that an answer is still better at once than a newer one later
_MOVED_SHARE = 0.02  # of the span: a bucket of a chart, 15 min of 24 h, 2 h of 7 d
_MOST_BYTES, _MOST_ANSWERS = 32 * 1024 * 1024, 500

# Begins a question in some thread; what it gives are the answer's bytes.
Begin = Callable[[Callable[[Stop], bytes], Stop, bool], "Future[bytes]"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: `key` tells it from others, scope included; `span_seconds`: how much time it is about. `line`: what
    it has in common with the same question of other windows, `since`: when its own begins, in seconds."""

    name: str
    key: Hashable
    span_seconds: float
    question: Callable[[Stop], bytes]
    line: Hashable = None
    since: float = 0.0

    @property
    def like(self) -> tuple[str, int]:
        """What costs about the same."""
        return self.name, round(math.log2(max(self.span_seconds, 1)))


@dataclass
class _Known:
    """A question that is being answered for `waiting` askers, or one whose answer stands until `good_until`."""

    began: float
    stop: Stop = field(default_factory=Stop)
    working: "Future[bytes] | None" = None
    content: bytes = b""
    good_until: float = 0.0
    waiting: int = 0


class Remembered:
    """Used from the event loop only; the questions run in threads of `begin`, whose last argument says: a dear one."""

    def __init__(self, begin: Begin, clock: Callable[[], float] = time.monotonic) -> None:
        self._begin, self._clock = begin, clock
        self._known: dict[Hashable, _Known] = {}  # the oldest first
        self._renewing: dict[Hashable, _Known] = {}  # behind the old answer of the same key
        self._youngest: OrderedDict[Hashable, tuple[float, Hashable]] = OrderedDict()  # of each line: since, key
        self._took: dict[tuple[str, int], float] = {}  # the quicker of the last two times: a first one is often slow
        self._took_last: dict[tuple[str, int], float] = {}
        self._bytes = 0

    async def answer(self, asked: Asked, gone: Callable[[], Awaitable[Any]]) -> tuple[bytes, float]:
        """The answer and its age in seconds. Raises what the question raises, and GivenUp when `gone` ends first; the
        question is ended when everybody who asked it has gone."""
        known, now = self._known.get(asked.key), self._clock()
        if known is None and (before := self._of_window_before(asked, now)) is not None:
            if asked.key not in self._renewing:
                self._renewing[asked.key] = self._begun(asked)
            return before.content, now - before.began
        if known is None or (known.working is None and now >= known.good_until + _OLD_SECONDS):
            known = self._started(asked)
        elif known.working is None and now >= known.good_until and asked.key not in self._renewing:
            self._renewing[asked.key] = self._begun(asked)
        if known.working is None:
            return known.content, now - known.began
        working, leaving = known.working, asyncio.ensure_future(gone())
        answer: asyncio.Future[Any] = asyncio.wrap_future(working)
        answer.add_done_callback(lambda one: one.cancelled() or one.exception())  # somebody who left does not look
        known.waiting += 1
        try:
            await asyncio.wait({answer, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            known.waiting -= 1
            if not working.done() and not known.waiting:
                self._forget(asked.key, known)
                known.stop.set()
                working.cancel()  # of one that has not begun
        if not answer.done() or working.cancelled():
            raise GivenUp("given up: nobody waits for the answer")
        content: bytes = answer.result()
        return content, self._clock() - known.began

    def _of_window_before(self, asked: Asked, now: float) -> _Known | None:
        """What is known of the same question about a window that began a little earlier."""
        if asked.line is None:
            return None
        since, key = self._youngest.get(asked.line, (0.0, None))
        known = self._known.get(key)
        if known is None or known.working is not None or now >= known.good_until + _OLD_SECONDS:
            return None
        return known if 0 < asked.since - since <= _MOVED_SHARE * asked.span_seconds else None

    def _started(self, asked: Asked) -> _Known:
        """Ask it in place of what is known; what is asked anew already is waited for."""
        self._forget(asked.key, self._known.get(asked.key))
        known = self._renewing.pop(asked.key) if asked.key in self._renewing else self._begun(asked)
        self._known[asked.key] = known
        return known

    def _begun(self, asked: Asked) -> _Known:
        known = _Known(self._clock())

        def timed(stop: Stop) -> bytes:
            began, busy = time.perf_counter(), time.thread_time()
            try:
                return asked.question(stop)
            finally:
                worked = time.thread_time() - busy
                took = time.perf_counter() - began if worked >= _DEAR_CPU_SECONDS else 0.0
                before = self._took_last.get(asked.like, took if worked >= _SURELY_CPU_SECONDS else 0.0)
                self._took[asked.like], self._took_last[asked.like] = min(took, before), took

        loop = asyncio.get_running_loop()
        is_dear = self._took.get(asked.like, 0.0) >= DEAR_SECONDS
        known.working = working = self._begin(timed, known.stop, is_dear)

        def settle(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
                loop.call_soon_threadsafe(self._settle, asked, known)

        working.add_done_callback(settle)
        return known

    def _settle(self, asked: Asked, known: _Known) -> None:
        """Keep an answer that is there, or forget the question."""
        working, took = known.working, self._took.get(asked.like, 0.0)
        if self._renewing.get(asked.key) is known:
            del self._renewing[asked.key]
            self._forget(asked.key, self._known.get(asked.key))
            self._known[asked.key] = known
        if working is None or self._known.get(asked.key) is not known:
            return
        if took < DEAR_SECONDS or working.cancelled() or working.exception() is not None:
            self._forget(asked.key, known)
            return
        known.content, known.working = working.result(), None
        known.good_until = self._clock() + kept_seconds(took, asked.span_seconds)
        self._bytes += len(known.content)
        if asked.line is not None:
            self._youngest[asked.line] = (asked.since, asked.key)
            self._youngest.move_to_end(asked.line)
            while len(self._youngest) > _MOST_ANSWERS:
                self._youngest.popitem(last=False)
        while self._bytes > _MOST_BYTES or len(self._known) > _MOST_ANSWERS:
            oldest = next((key for key, one in self._known.items() if one.working is None), None)
            if oldest is None:
                break
            self._forget(oldest, self._known[oldest])

    def _forget(self, key: Hashable, known: _Known | None) -> None:
        if known is not None and self._known.get(key) is known:
            del self._known[key]
            self._bytes -= len(known.content)


def kept_seconds(took: float, span_seconds: float) -> float:
    """How long an answer that took so long, about so much time, is given again.

    >>> kept_seconds(0.05, 86_400), kept_seconds(0.5, 3_600), kept_seconds(0.5, 86_400), kept_seconds(2, 604_800)
    (0.0, 2.0, 8.64, 30.0)
    """
    if took < DEAR_SECONDS:
        return 0.0
    of_span = min(_SPAN_SHARE * span_seconds, _TIMES_OF_SPAN * took)
    return min(_MOST_SECONDS, max(_TIMES_ITS_COST * took, of_span))
