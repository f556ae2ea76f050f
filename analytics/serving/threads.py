"""The threads questions run in, which give way to ingestion where cores are scarce.

Quick questions have threads of their own: a few dear ones at once (whole weeks, free SELECTs, searches) do not keep
the others waiting.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from analytics.serving.ask import Stop
from analytics.serving.priority import give_way

_T = TypeVar("_T")

_QUICK, _DEAR = 4, 2


class QueryThreads:
    """Begins questions; what waits when it is closed is never begun."""

    def __init__(self) -> None:
        self._quick = ThreadPoolExecutor(_QUICK, "query", initializer=give_way)
        self._dear = ThreadPoolExecutor(_DEAR, "dear", initializer=give_way)

    def begin(self, question: Callable[[Stop], _T], stop: Stop, is_dear: bool) -> "Future[_T]":
        return (self._dear if is_dear else self._quick).submit(question, stop)

    def close(self) -> None:
        for pool in (self._quick, self._dear):
            pool.shutdown(wait=False, cancel_futures=True)
