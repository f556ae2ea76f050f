"""Who a person is that asks questions: sessions are the relay's, and are asked of it, at most every CACHED_SECONDS.

While the relay does not answer, who was known within KEPT_SECONDS still is: people look at trends when something is
down.
"""

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from relay.control.audit.views import JobRun
from relay.control.client import ControlClient, ControlError, ControlUnreachable
from relay.tree import Principal, Scope

_log = logging.getLogger("mailweir.query")

CACHED_SECONDS = 5.0
KEPT_SECONDS = 600.0
_SESSIONS = 2_000


class Sessions:
    """Answers from several threads. `relay_as` makes a client of the control API that presents a token."""

    def __init__(self, relay_as: Callable[[str], ControlClient], clock: Callable[[], float] = time.monotonic) -> None:
        self._relay_as, self._clock = relay_as, clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Principal | None]] = OrderedDict()

    def principal_of(self, token: str) -> Principal | None:
        """Whose session this is; None when it is nobody's, or nobody can tell."""
        digest, now = hashlib.sha256(token.encode()).hexdigest(), self._clock()
        with self._lock:
            asked_at, known = self._known.get(digest, (float("-inf"), None))
        if now - asked_at < CACHED_SECONDS:
            return known
        try:
            found = self._ask(token)
        except ControlUnreachable as error:
            _log.warning("session not checked error=%s", error)
            return known if now - asked_at < KEPT_SECONDS else None
        with self._lock:
            self._known[digest] = (now, found)
            self._known.move_to_end(digest)
            while len(self._known) > _SESSIONS:
                self._known.popitem(last=False)
        return found

    def forget(self, token: str) -> None:
        """It has just ended: ask again at once."""
        with self._lock:
            self._known.pop(hashlib.sha256(token.encode()).hexdigest(), None)

    def note_job(self, token: str, run: JobRun) -> None:
        """Have the relay write down that the bearer ran a job. It has run: without a relay only our log tells."""
        try:
            with self._relay_as(token) as relay:
                relay.note_job(run)
        except ControlError as error:
            _log.warning("job run by hand is not in the audit log job=%s error=%s", run.job, error)

    def _ask(self, token: str) -> Principal | None:
        try:
            with self._relay_as(token) as relay:
                who = relay.whoami()
        except ControlUnreachable:
            raise
        except ControlError:
            return None
        return Principal(who.name, who.role, Scope(who.reseller or None, who.account or None))
