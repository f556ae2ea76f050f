"""Between spool and memory: brings recipients into the queues when they are due, a page per lane.

Memory holds heads only; a lane is read again when few of its last page are left. A recipient must never be in memory
twice, nor be missed: before lanes are read, everything handed to the spool has been committed.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from relay.clock import Clock
from relay.delivery.queues import LaneHeap
from relay.spool.store import Spool, SpooledRecipient, SpoolFull

_log = logging.getLogger("mailweir.delivery")

_PAGE = 50  # read by (lane, due): a page over all lanes would let one bulk sender fill it
_FEW = 25
_SLICE = 5  # lanes read before others get the loop: 250 rows, about 5 ms beside a busy commit thread
_MAX_LEAVING = 2_000
_MAX_LANES = 100_000
_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _Heads:
    """What of a lane was read: ids that must not be read again, how many still wait, whether the disk has more."""

    ids: set[int] = field(default_factory=set)
    waiting: int = 0
    has_more: bool = False


class Pager:
    """Reads lanes when they are due and hands what it finds to `deliver`."""

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        *,
        deliver: Callable[[Sequence[SpooledRecipient]], None],
        room: Callable[[], int],
        is_in_flight: Callable[[int], bool],
        is_paused: Callable[[int], bool],
    ) -> None:
        self._spool, self._clock = spool, clock
        self._deliver, self._room, self._is_in_flight, self._is_paused = deliver, room, is_in_flight, is_paused
        self._heap = LaneHeap()
        self._heads: dict[int, _Heads] = {}
        self._lane_of: dict[int, int] = {}
        self._leaving: list[tuple[int, int]] = []
        self._is_behind = False
        self._lanes: dict[tuple[str, str], int] = {}
        self._poked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.look()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="pager")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def look(self) -> None:
        """Read which lanes wait: at start, and when rows were made due by others (release)."""
        for lane in self._spool.waiting():
            self._heap.note(lane.id, lane.due_unix)
        self._poked.set()

    def note(self, recipient: SpooledRecipient, due_unix: float) -> None:
        """A recipient was handed to the spool with this due time."""
        self._is_behind = True
        key = (recipient.message.sender, recipient.destination)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._spool.lane(*key)
            if lane is None:
                return  # nothing of it was ever committed
            if len(self._lanes) >= _MAX_LANES:
                self._lanes.clear()
            self._lanes[key] = lane
        self._note(lane, due_unix)

    def left(self, recipient: SpooledRecipient) -> None:
        """The recipient's outcome was handed to the spool, or it was taken out of memory."""
        lane = self._lane_of.pop(recipient.id, None)
        if lane is None:
            return
        heads = self._heads[lane]
        heads.waiting -= 1
        self._leaving.append((lane, recipient.id))
        if heads.has_more and heads.waiting <= _FEW:
            heads.has_more = False
            self._note(lane, self._clock.unix())
        elif len(self._leaving) >= _MAX_LEAVING:
            self._poked.set()

    def _note(self, lane: int, due_unix: float) -> None:
        if self._heap.note(lane, due_unix):
            self._poked.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._wait()
                await self._catch_up()
                await self._page_due()
            except SpoolFull as error:
                _log.warning("retries wait for the disk error=%s", error)
                await self._clock.sleep(_RETRY_SECONDS)
            except Exception:  # whatever it is, mail that waits must be looked at again
                _log.exception("pager failed")
                await self._clock.sleep(_RETRY_SECONDS)

    async def _wait(self) -> None:
        """Return when a lane is due, or too many ids wait for a commit."""
        while len(self._leaving) < _MAX_LEAVING:
            self._poked.clear()
            due = self._heap.next_due()
            wait = math.inf if due is None else due - self._clock.unix()
            if wait <= 0:
                return
            tasks: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._poked.wait())}
            if wait < math.inf:
                tasks.add(asyncio.ensure_future(self._clock.sleep(wait)))
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()

    async def _catch_up(self) -> None:
        """Return when all outcomes handed in before are committed: their rows may be read (again) from now on."""
        leaving, self._leaving = self._leaving, []
        if not leaving and not self._is_behind:
            return
        self._is_behind = False
        try:
            await self._spool.settle()
        except SpoolFull:
            self._leaving, self._is_behind = leaving + self._leaving, True
            raise
        for lane, number in leaving:
            heads = self._heads.get(lane)
            if heads is not None:
                heads.ids.discard(number)
                if not heads.ids:
                    del self._heads[lane]

    async def _page_due(self) -> None:
        lanes = list(self._heap.due(self._clock.unix()))
        for start in range(0, len(lanes), _SLICE):
            found = [recipient for lane in lanes[start : start + _SLICE] for recipient in self._page(lane)]
            self._deliver(found)
            await asyncio.sleep(0)

    def _page(self, lane: int) -> list[SpooledRecipient]:
        """The recipients of a lane that are due and not in memory yet; notes when to look again."""
        if self._is_paused(lane):
            return []  # `look` finds it again when the pause is over
        now, heads = self._clock.unix(), self._heads.get(lane, _Heads())
        limit = max(1, min(_PAGE, self._room())) + len(heads.ids)
        rows = self._spool.page(lane, math.inf, limit)
        unknown = [row for row in rows if row.id not in heads.ids and not self._is_in_flight(row.id)]
        due = [row for row in unknown if (row.due_unix or 0) <= now]
        if len(due) < len(unknown):
            self._heap.note(lane, unknown[len(due)].due_unix or 0)
        elif len(rows) == limit:
            heads.has_more = bool(due)
            if not due:  # all of them are on their way out
                self._heap.note(lane, now + _RETRY_SECONDS)
        if due:
            self._heads[lane] = heads
            heads.ids.update(row.id for row in due)
            heads.waiting += len(due)
            self._lane_of.update((row.id, lane) for row in due)
        return due
