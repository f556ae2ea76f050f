"""Held mail set free and dropped: in slices, recorded, at its sender's pace. For people, and for holds that end.

One act at a time: what one has chosen another must not choose too. Must never ask who may do this: desk.py does.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from relay.clock import Clock
from relay.control.labels.commands import LabelDesk
from relay.events import Dropped, Released
from relay.holds.schedule import Schedule, scheduled
from relay.policy.signals.live import Signals
from relay.spool.digests import DigestLine
from relay.spool.held import SLICE, Choice, Which
from relay.spool.journal import Journal
from relay.spool.store import HeldMessage, Spool

if TYPE_CHECKING:
    from relay.delivery.courier import Courier

MOST = 25_000  # messages of one act: its choice is in memory, some 10 MB

_LABELLED = 20  # of one sender and text: 5,000 copies of one newsletter must not outweigh all else the model learns


@dataclass(frozen=True, slots=True)
class Releasing:
    """How mail is set free. `verdict` not_spam: it was a mistake, and teaches. `at_once`: at no pace."""

    author: str
    verdict: str = "release"
    note: str = ""
    decision_id: str = ""
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an order finds. `is_cut`: more fit than one act takes."""

    messages: Sequence[Choice]
    is_cut: bool = False

    @property
    def recipients(self) -> int:
        return sum(choice.rcpts for choice in self.messages)


class Releases:
    """`hourly_of(account, sender)`: recipients an hour that the sender's limits in force allow, 0 for no limit."""

    def __init__(
        self,
        *,
        spool: Spool,
        courier: "Courier",
        journal: Journal,
        signals: Signals,
        labels: LabelDesk,
        clock: Clock,
        hourly_of: Callable[[str, str], int],
    ) -> None:
        self._spool, self._courier, self._journal = spool, courier, journal
        self._signals, self._labels, self._clock, self._hourly_of = signals, labels, clock, hourly_of
        self._turn = asyncio.Lock()

    async def choose(self, which: Which, may: Callable[[str], bool] | None = None) -> Chosen:
        """What fits, the eldest first; `may(sender)` says whose mail may move."""
        found = await self._spool.parked.choose(which, MOST + 1)
        chosen = found[:MOST]
        if may is not None:
            moving = {sender for sender in {choice.sender for choice in chosen} if may(sender)}
            chosen = [choice for choice in chosen if choice.sender in moving]
        return Chosen(chosen, is_cut=len(found) > MOST)

    async def plan(self, chosen: Chosen, *, at_once: bool = False) -> Schedule:
        """When each of them would leave."""
        senders = list({choice.sender for choice in chosen.messages})
        taken = await self._spool.parked.paced_until(senders)
        return scheduled(chosen.messages, self._hourly_of, taken, self._clock.unix(), at_once=at_once)

    async def free(
        self,
        which: Which,
        how: Releasing,
        *,
        may: Callable[[str], bool] | None = None,
        before: Callable[[Chosen], Awaitable[None]] | None = None,
    ) -> tuple[Chosen, Schedule]:
        """Set free what fits, at the pace of its senders. `before` is awaited first: it writes the audit row.

        A crash in between: what was set free leaves once, the rest is still held.
        """
        async with self._turn:
            chosen = await self.choose(which, may)
            plan = await self.plan(chosen, at_once=how.at_once)
            if before is not None:
                await before(Chosen([choice for choice, _ in plan.leaving], chosen.is_cut))
            for start in range(0, len(plan.leaving), SLICE):
                await self._free(plan, start, how)
                await asyncio.sleep(0)
            if how.verdict == "not_spam":
                self._teach([choice for choice, _ in plan.leaving], how)
            if plan.leaving:
                self._courier.wake()
        return chosen, plan

    async def drop(
        self,
        which: Which,
        author: str,
        reason: str,
        *,
        before: Callable[[Chosen], Awaitable[None]] | None = None,
    ) -> Chosen:
        """Delete what fits, for good."""
        async with self._turn:
            chosen = await self.choose(which)
            if before is not None:
                await before(chosen)
            for start in range(0, len(chosen.messages), SLICE):
                part = chosen.messages[start : start + SLICE]
                records = [self._dropped(choice, author, reason) for choice in part]
                await self._spool.parked.drop([choice.number for choice in part], records)
                await asyncio.sleep(0)
        return chosen

    async def expire(
        self, which: Which, author: str, reason: str, line_of: Callable[[HeldMessage], Sequence[DigestLine]]
    ) -> int:
        """Delete one slice of what fits, and have its accounts told; return how many messages went."""
        async with self._turn:
            page = await self._spool.parked.page(which, SLICE)
            numbers = [self._spool.number_of(message.message_id) for message in page]
            records = [self._dropped(message, author, reason) for message in page]
            lines = [line for message in page for line in line_of(message)]
            return len(await self._spool.parked.drop(numbers, records, lines))

    async def _free(self, plan: Schedule, start: int, how: Releasing) -> None:
        part = plan.leaving[start : start + SLICE]
        records = [
            Released(
                **self._journal.stamp(),
                **attribution(choice),
                decision_id=how.decision_id,
                author=how.author,
                verdict=how.verdict,
            )
            for choice, _ in part
        ]
        # the whole pace, although a part leaves: a crash leaves a gap in it, never two trains on one track
        until = [(sender, plan.until[sender]) for sender in {choice.sender for choice, _ in part} & plan.until.keys()]
        await self._spool.parked.release([departure for _, departure in part], records, until, self._clock.unix())

    def _dropped(self, message: HeldMessage | Choice, author: str, reason: str) -> Dropped:
        return Dropped(**self._journal.stamp(), **attribution(message), author=author, reason=reason)

    def _teach(self, freed: Sequence[Choice], how: Releasing) -> None:
        seen: Counter[tuple[str, int]] = Counter()
        telling = []
        for choice in freed:
            seen[choice.sender, choice.cluster] += 1
            if not choice.cluster or seen[choice.sender, choice.cluster] <= _LABELLED:
                telling.append(choice)
        self._labels.released(telling, how.author, how.note)
        by_sender: dict[str, list[str]] = {}
        for choice in freed:
            by_sender.setdefault(choice.sender, []).append(choice.message_id)
        for sender, message_ids in by_sender.items():
            self._signals.absolve(sender, message_ids, self._clock.unix())


class _Attribution(TypedDict):
    message_id: str
    account: str
    reseller: str
    sender: str


def attribution(message: HeldMessage | Choice) -> _Attribution:
    """Whose message it is, for a record."""
    return {
        "message_id": message.message_id,
        "account": message.account,
        "reseller": message.reseller,
        "sender": message.sender,
    }
