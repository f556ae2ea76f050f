"""What is parked follows what is decided: mail of a suspended account goes into the hold, that of an ended stop out.

A stop that ends by itself gives back what it parked at its sender's pace, and only what looks clean: what scored as
suspect stays for a person, like what is held for what it says, and where much of it did, all of it (ladder.py). Nobody
waits for an instant: each look compares what is parked with how everybody stands now, so a restart goes on where it
was.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from relay.clock import Clock
from relay.control.state.memory import State
from relay.events import Held
from relay.holds.release import Releases, Releasing, attribution
from relay.policy.decisions.decision import AUTOMATIC, PARKED
from relay.policy.decisions.ladder import gives_back
from relay.settings import Policy
from relay.spool.held import Which
from relay.spool.journal import Journal
from relay.spool.store import Spool
from relay.tree import is_account

if TYPE_CHECKING:
    from relay.delivery.courier import Courier

_log = logging.getLogger("mailweir.holds")

_LOOK_SECONDS = 15.0
_AGAIN_SECONDS = 3600.0  # what had no departure within a day has one an hour later
_KEYS_MAX = 10_000
_NOTE = "the stop has ended by itself"


class Following:
    """Looks every 15 seconds while it runs, and when it is woken; `policy()` is the one in force now."""

    def __init__(
        self,
        *,
        spool: Spool,
        state: State,
        courier: "Courier",
        journal: Journal,
        releases: Releases,
        clock: Clock,
        policy: Callable[[], Policy],
    ) -> None:
        self._spool, self._state, self._courier, self._releases = spool, state, courier, releases
        self._journal = journal
        self._clock, self._policy = clock, policy
        self._tasks: list[asyncio.Task[None]] = []
        self._woken = asyncio.Event()
        self._suspended: set[str] = set()  # accounts whose mail is parked
        self._rest: dict[str, tuple[int, float]] = {}  # key -> what stays parked under it, and until when it is left

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run(), name="following"), loop.create_task(self._tick(), name="tick")]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def wake(self) -> None:
        """An account was suspended or resumed: look now."""
        self._woken.set()

    async def park_suspended(self) -> int:
        """Park what waits of accounts that are suspended since the last look; return how many messages that were."""
        now_suspended = {name for name in self._state.accounts if self._is_suspended(name)}
        new, self._suspended = now_suspended - self._suspended, now_suspended
        parked = 0
        for account in sorted(new):
            messages = await self._spool.hold_account(account)
            for sender in {message.sender for message in messages}:
                self._courier.forget(sender)
            for message in messages:
                self._journal.append(Held(**self._journal.stamp(), **attribution(message), decision_id=""))
            parked += len(messages)
            if messages:
                _log.info("account suspended account=%s parked=%d", account, len(messages))
        return parked

    async def free_ended(self) -> int:
        """Free what nothing holds any more; return how many messages leave."""
        parked = await self._spool.parked.groups(Which(is_own=False), "under", _KEYS_MAX)
        freed, now_unix = 0, self._clock.unix()
        self._rest = {group.key: self._rest[group.key] for group in parked if group.key in self._rest}
        for group in parked:
            count, until = self._rest.get(group.key, (-1, 0.0))
            if self._is_stopped(group.key) or (group.messages == count and now_unix < until):
                continue
            left = await self._free(group.key)
            self._rest[group.key] = (group.messages - left, now_unix + _AGAIN_SECONDS)
            freed += left
        return freed

    async def _free(self, key: str) -> int:
        policy = self._policy()
        suspect, _ = await self._spool.parked.tally(Which(under=key, score_from=policy.suspect_score))
        parked, _ = await self._spool.parked.tally(Which(under=key))
        if not is_account(key) and not gives_back(suspect, parked, policy):
            _log.info("stop ended key=%s kept=%d suspect=%d", key, parked, suspect)
            return 0
        which = Which(under=key, score_below=policy.suspect_score)
        _, plan = await self._releases.free(which, Releasing(AUTOMATIC, note=_NOTE), may=self._may_leave)
        if plan.leaving:
            _log.info("stop ended key=%s messages=%d", key, len(plan.leaving))
        return len(plan.leaving)

    def _is_stopped(self, key: str) -> bool:
        if is_account(key):
            return self._is_suspended(key.split("|", 1)[0])
        return self._state.state_of(key).standing in PARKED

    def _may_leave(self, sender: str) -> bool:
        """A sender that is stopped for another reason meanwhile stays so."""
        return self._state.state_of(sender).standing not in PARKED and not self._is_suspended(sender.split("|", 1)[0])

    def _is_suspended(self, account: str) -> bool:
        known = self._state.account_of_name(account)
        return known is None or known.is_suspended  # of a removed one a person decides

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self.park_suspended()
                await self.free_ended()
            except Exception:  # a full disk, or whatever it is: the rows are there, and the next look tries again
                _log.exception("parked mail does not follow what is decided")
            await self._woken.wait()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            self._woken.set()
