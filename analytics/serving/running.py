"""The questions that are being asked, so that whoever asked one can give it up by its id."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from analytics.serving.answers import Refused
from analytics.serving.ask import Stop
from relay.control.tokens import PRINCIPALS

MOST_OF_ONE = 8  # dear questions of one person at once; two run at a time, for all (threads.py)


class Running:
    """What runs now. An id is chosen by the one who asks and is his own: nobody else can end it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[tuple[str, str], Stop] = {}
        self._asked: Counter[str] = Counter()

    @contextmanager
    def started(self, principal: str, question: str) -> Iterator[Stop]:
        """Make a question known while it runs; `question` "": it has no id. Raises Refused."""
        stop, key = Stop(), (principal, question)
        with self._lock:
            if self._asked[principal] >= MOST_OF_ONE and principal not in PRINCIPALS:  # as whom many people ask
                raise Refused(429, f"{principal} waits for {MOST_OF_ONE} answers already; ask again when one is there")
            self._asked[principal] += 1
            if question:
                self._stops[key] = stop
        try:
            yield stop
        finally:
            with self._lock:
                self._asked[principal] -= 1
                if not self._asked[principal]:
                    del self._asked[principal]
                if self._stops.get(key) is stop:
                    del self._stops[key]

    def stop(self, principal: str, question: str) -> bool:
        """End a question; tell whether it ran."""
        with self._lock:
            stop = self._stops.get((principal, question))
        if stop is not None:
            stop.set()
        return stop is not None
