"""The questions that are being asked, so that whoever asked one can give it up by its id."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from analytics.ask import Stop


class Running:
    """What runs now. An id is chosen by the one who asks and is his own: nobody else can end it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[tuple[str, str], Stop] = {}

    @contextmanager
    def started(self, principal: str, question: str) -> Iterator[Stop]:
        """Make a question known while it runs; `question` "": it has no id."""
        stop, key = Stop(), (principal, question)
        with self._lock:
            if question:
                self._stops[key] = stop
        try:
            yield stop
        finally:
            with self._lock:
                if self._stops.get(key) is stop:
                    del self._stops[key]

    def stop(self, principal: str, question: str) -> bool:
        """End a question; tell whether it ran."""
        with self._lock:
            stop = self._stops.get((principal, question))
        if stop is not None:
            stop.set()
        return stop is not None
