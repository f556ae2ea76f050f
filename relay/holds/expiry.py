"""Held mail does not wait for ever: what nobody released in `policy.hold_days` is dropped, and its account told.

A day before, by a notice (relay/notices/sending.py), while somebody can still decide; and afterwards in its digest
(relay/notices/digest.py), message by message, of a sender that is held, blocked or suspended only how many there were.
What is remembered lies beside the rows, so a restart goes on where it was; a crash may tell twice, never swallows.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from relay.clock import Clock
from relay.control.state.memory import State
from relay.holds.release import Releases
from relay.notices.sending import Expiring
from relay.policy.decisions.decision import AUTOMATIC, PARKED
from relay.settings import Policy
from relay.spool.digests import DigestLine
from relay.spool.held import SLICE, Choice, Which
from relay.spool.store import HeldMessage, Spool

_log = logging.getLogger("mailweir.holds")

DAY_SECONDS = 86_400.0
_LOOK_SECONDS = 60.0


class Expiry:
    """Looks once a minute while it runs; `policy()` is the one in force now."""

    def __init__(
        self,
        *,
        spool: Spool,
        state: State,
        releases: Releases,
        clock: Clock,
        policy: Callable[[], Policy],
        warn: Callable[[Expiring], Awaitable[None]],
    ) -> None:
        """warn(expiring) returns when it is sure that the account will hear of it."""
        self._warn = warn
        self._spool, self._state, self._releases, self._clock, self._policy = spool, state, releases, clock, policy
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="expiry")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def warn_early(self) -> int:
        """Tell accounts what expires within a day; return how many messages that is."""
        days, now_unix = self._policy().hold_days, self._clock.unix()
        until = now_unix - days * DAY_SECONDS + min(DAY_SECONDS, days * DAY_SECONDS / 2)
        which = Which(since_from_unix=await self._spool.parked.warned_until(), since_before_unix=until)
        chosen = (await self._releases.choose(which)).messages
        if not chosen:
            return 0
        by_sender: dict[str, list[Choice]] = {}
        for choice in chosen:
            by_sender.setdefault(choice.sender, []).append(choice)
        first = {group.key: group.first_unix for group in await self._spool.parked.groups(which, "sender", -1)}
        for sender, members in by_sender.items():
            expires_at = datetime.fromtimestamp(first.get(sender, until) + days * DAY_SECONDS, UTC)
            ids = tuple(choice.message_id for choice in members)
            await self._warn(Expiring(members[0].account, members[0].reseller, sender, ids, expires_at))
        await self._spool.parked.note_warned(until)
        return len(chosen)

    async def drop_expired(self) -> int:
        """Drop what has been held for too long; return how many messages went."""
        days, now_unix = self._policy().hold_days, self._clock.unix()
        which, reason = Which(since_before_unix=now_unix - days * DAY_SECONDS), f"expired: held for {days:g} days"
        dropped = 0
        while True:
            count = await self._releases.expire(which, AUTOMATIC, reason, lambda message: self._lines(message, reason))
            dropped += count
            if count < SLICE:
                break
            await asyncio.sleep(0)
        if dropped:
            _log.info("held mail expired messages=%d days=%g", dropped, days)
        await self._spool.parked.tidy(now_unix)
        return dropped

    async def _run(self) -> None:
        while True:
            try:
                await self.warn_early()
                await self.drop_expired()
            except Exception:  # a full disk, or whatever it is: the rows are there, and the next look tries again
                _log.exception("expired mail not dropped")
            await self._clock.sleep(_LOOK_SECONDS)

    def _lines(self, message: HeldMessage, reason: str) -> Sequence[DigestLine]:
        is_stopped = self._state.state_of(message.sender).standing in PARKED
        return [
            DigestLine(
                account=message.account,
                reseller=message.reseller,
                failed_unix=self._clock.unix(),
                sender=message.sender,
                mail_from=message.mail_from,
                recipient=recipient,
                subject=message.subject,
                reply=f"not delivered: {reason} (rule {message.rule}), and nobody released it",
                is_stopped=is_stopped,
            )
            for recipient in message.recipients
        ]
