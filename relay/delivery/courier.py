"""Delivery as the rest of the relay sees it: put mail in, hear outcomes, stop without losing or repeating anything."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from relay.clock import Clock
from relay.delivery.handshake import Handshake
from relay.delivery.outcomes import Bookkeeper
from relay.delivery.pager import Pager
from relay.delivery.pauses import Pauses
from relay.delivery.pool import Pool
from relay.delivery.queues import Parcel, parcels_of
from relay.delivery.replies import check_rules
from relay.delivery.routing.destinations import Destinations
from relay.delivery.routing.sites import Site, Sites
from relay.delivery.routing.sorting import Sorting
from relay.delivery.workshop import Memory, Ways, Workshop, usual_ways
from relay.events import Record
from relay.notices.addressee import Addressee
from relay.reply import Reply
from relay.sandbox.receiver import Complain, SandboxReceiver
from relay.settings import Settings
from relay.spool.journal import Journal
from relay.spool.large import LARGE_BYTES
from relay.spool.store import Spool, SpooledMessage, SpooledRecipient

_log = logging.getLogger("mailweir.delivery")

# About 1.3 kB each without the content: 26 MB at most
_MAX_PARCELS = 20_000
_MAX_PER_SENDER = 1_000  # of one sender at one destination; what is beyond waits on disk
_MAX_CONTENT_BYTES = 64 * 1024 * 1024
_MAX_POOLS = 5_000
_SPILL_SECONDS = 1.0  # then what was moved to the disk is surely committed there


@dataclass(frozen=True, slots=True)
class DestinationStats:
    """One destination since the start: parcels waiting in memory, open connections, recipients by outcome."""

    destination: str
    waiting: int
    active: int
    delivered: int
    deferred: int
    bounced: int


class Courier:
    """Delivers what the spool holds. All of it runs on the event loop."""

    def __init__(
        self,
        *,
        spool: Spool,
        journal: Journal,
        settings: Settings,
        clock: Clock,
        on_outcome: Callable[[SpooledRecipient, Record], None],
        submit_dsn: Callable[[bytes, str, SpooledMessage], Awaitable[None]],
        audience: Callable[[SpooledMessage], Addressee],
        ways: Ways | None = None,
        pauses: Pauses | None = None,
        complain: Complain | None = None,
    ) -> None:
        """submit_dsn(report, recipient, message it is about) returns when the report is stored; `audience` says who
        hears of a message's failures; `complain` lets recipients of the sandbox complain.

        Raises SettingsError for a wrong smarthost or name server.
        """
        check_rules()
        self._spool, self._clock = spool, clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._memory = Memory()
        self._books = Bookkeeper(
            spool=spool,
            journal=journal,
            settings=settings,
            clock=clock,
            on_outcome=on_outcome,
            submit_dsn=submit_dsn,
            audience=audience,
            pauses=Pauses() if pauses is None else pauses,
            spawn=self._spawn,
        )
        self._pager = Pager(
            spool,
            clock,
            deliver=self._deliver,
            room=lambda: _MAX_PARCELS - self._memory.parcels,
            is_in_flight=self._books.is_in_flight,
            is_paused=self._is_lane_paused,
        )
        self._books.on_left, self._books.on_deferred = self._pager.left, self._pager.note
        self._books.on_released = self._release_bytes
        self._sandbox = SandboxReceiver(
            settings.sandbox, spool=spool, clock=clock, books=self._books, complain=complain
        )
        self._sites, self._sorting, self._shop = self._arranged(settings, ways or usual_ways(settings))
        self._pools: dict[str, Pool] = {}
        self._next_sweep = _MAX_POOLS
        self._is_stopping = False

    def _arranged(self, settings: Settings, ways: Ways) -> tuple[Sites, Sorting, Workshop]:
        """What finds the way of a parcel, and what its connections are made with."""
        destinations = Destinations(settings, self._clock, policies=ways.tls.policies)
        sites = Sites(destinations, ways.shaper.providers, self._clock)
        shop = Workshop(
            spool=self._spool,
            clock=self._clock,
            settings=settings.delivery,
            destinations=destinations,
            handshake=Handshake(settings.delivery, self._clock, ways.tls.broken),
            ways=ways,
            books=self._books,
            memory=self._memory,
            spawn=self._spawn,
            sort=self._sort_again,
            forget_site=sites.forget,
        )
        sorting = Sorting(
            sites,
            self._clock,
            deliver=self._sorted,
            answer=self._unsortable,
            failure_seconds=lambda: shop.settings.host_failure_seconds,
            spawn=self._spawn,
        )
        return sites, sorting, shop

    async def start(self) -> None:
        """Take up what waits in the spool, with its due times and attempts."""
        self._pager.start()

    async def stop(self, seconds: float) -> None:
        """Finish the open transactions within `seconds`, say QUIT; what waits stays in the spool."""
        self._is_stopping = True
        await self._pager.stop()
        self._sorting.stop()
        for pool in self._pools.values():
            pool.finish()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._tasks and (left := end - loop.time()) > 0:  # an end may begin a report
            await asyncio.wait(self._tasks, timeout=left)
        for pool in self._pools.values():
            pool.abort()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _log.warning("delivery stopped open_sessions=%d", len(self._tasks))
            await asyncio.wait(self._tasks)

    def on_first_attempt(self, listen: Callable[[float], None]) -> None:
        """Have `listen` called with the seconds that mail has waited for its first attempt, once a parcel."""
        self._books.on_first_attempt = listen

    def on_tls_failure(self, listen: Callable[[str], None]) -> None:
        """Have `listen` called with the kind of policy (MTA-STS, DANE) that a host did not meet."""
        self._shop.destinations.on_tls_failure(listen)
        self._shop.handshake.on_tls_failure = listen

    def take_up(self, settings: Settings) -> None:
        """Hold to other numbers from the next connection and the next outcome on."""
        self._books.take_up(settings)
        self._shop.take_up(settings.delivery)
        self._sites.take_up(self._shop.shaper.providers)
        self._sandbox.take_up(settings.sandbox)

    def enqueue(self, recipients: Sequence[SpooledRecipient], content: bytes | None) -> None:
        """Deliver fresh recipients of one message. Ignored while stopping: the next start finds them in the spool."""
        if self._is_stopping:
            return
        by_hand = self._books.by_hand
        if by_hand.pauses and (paused := [one for one in recipients if by_hand.is_paused(one)]):
            self._spill(paused)
            recipients = [one for one in recipients if one not in paused]
            if not recipients:
                return
        for parcel in parcels_of(recipients, self._way_of):
            self._queue(parcel, content)

    @property
    def books(self) -> Bookkeeper:
        """Who ends recipients; for orders by hand."""
        return self._books

    def expect(self, recipients: Sequence[SpooledRecipient]) -> None:
        """Deliver recipients that were stored with a due time, when it has come."""
        for recipient in recipients:
            assert recipient.due_unix is not None
            self._pager.note(recipient, recipient.due_unix)

    def forget(self, sender: str) -> None:
        """Take a sender's waiting mail out of memory, as spool.hold_sender parks it; what is in flight is broken off,
        unless the next hop has all of it."""
        sorted_out = self._sorting.forget(sender)
        self._memory.parcels -= len(sorted_out)
        for parcel in sorted_out:
            self._books.release(parcel)
        for pool in self._pools.values():
            for parcel in pool.forget(sender):
                self._books.release(parcel)
        self._books.forget(sender)

    def wake(self) -> None:
        """Look into the spool for rows that others made due."""
        if not self._is_stopping:
            self._pager.look()

    def look_again(self, destination: str = "") -> None:
        """What may be sent to a destination has changed, or to all of them."""
        for name, pool in self._pools.items():
            if destination in ("", name):
                pool.look_again()

    def stats(self) -> list[DestinationStats]:
        return [
            DestinationStats(
                pool.name,
                len(pool.backlog),
                pool.connections,
                pool.settlement.delivered,
                pool.settlement.deferred,
                pool.settlement.bounced,
            )
            for pool in self._pools.values()
        ]

    def _deliver(self, recipients: Iterable[SpooledRecipient]) -> None:
        """Queue what the pager found; recipients of one message at one destination travel together."""
        grouped: dict[int, list[SpooledRecipient]] = {}
        for recipient in recipients:
            grouped.setdefault(recipient.message.id, []).append(recipient)
        for members in grouped.values():
            for parcel in parcels_of(members, self._way_of):
                self._put(parcel, self._site_of(parcel))

    def _queue(self, parcel: Parcel, content: bytes | None) -> None:
        site = self._site_of(parcel)
        if self._memory.parcels >= _MAX_PARCELS or self._is_crowded(parcel, site):
            self._spill(parcel.recipients)
            return
        if (
            content is not None
            and len(content) <= LARGE_BYTES
            and self._memory.content_bytes + len(content) <= _MAX_CONTENT_BYTES
        ):
            parcel.content, parcel.kept_bytes = content, len(content)
            self._memory.content_bytes += len(content)
        self._put(parcel, site)

    def site_of(self, domain: str) -> str:
        """Whose queue a domain's mail is in, a provider's or its own; "" when that has not been looked up yet."""
        site = self._sites.known(domain, "")
        return site.destination if site is not None else ""

    def _way_of(self, recipient: SpooledRecipient) -> object:
        if self._sandbox.holds(recipient.destination):
            return recipient.destination
        return self._sites.known(recipient.destination, recipient.message.account) or recipient.destination

    def _site_of(self, parcel: Parcel) -> Site | None:
        return self._sites.known(parcel.recipients[0].destination, parcel.message.account)

    def _is_crowded(self, parcel: Parcel, site: Site | None) -> bool:
        """Whether a sender has enough in memory for one destination."""
        if site is None:
            return False
        channel = self._pool(site.destination).channel(parcel.message.pool, site)
        return channel.queue.waiting(parcel.message.sender) >= _MAX_PER_SENDER

    def _put(self, parcel: Parcel, site: Site | None) -> None:
        if self._sandbox.holds(parcel.recipients[0].destination):
            self._memory.parcels += 1
            self._spawn(self._play(parcel))
            return
        if site is None:
            self._memory.parcels += 1
            self._sorting.put(parcel)
            return
        pool = self._pool(site.destination)
        pool.put(parcel, pool.channel(parcel.message.pool, site))

    def _sorted(self, parcel: Parcel, site: Site) -> None:
        self._memory.parcels -= 1
        if self._is_stopping:
            self._books.release(parcel)
        else:
            self._put(parcel, site)

    async def _play(self, parcel: Parcel) -> None:
        pool = self._pool(parcel.recipients[0].destination)
        try:
            await self._sandbox.serve(parcel, lambda parcel: pool.settlement.settle(parcel, None), self._spawn)
        finally:
            self._memory.parcels -= 1

    def _unsortable(self, parcel: Parcel, domain: str, reply: Reply) -> None:
        self._memory.parcels -= 1
        if self._is_stopping:
            self._books.release(parcel)
            return
        if self._books.begin(parcel):
            self._pool(domain).settlement.answer(parcel, reply)

    def _sort_again(self, parcel: Parcel) -> None:
        self._memory.parcels += 1
        self._sorting.put(parcel)

    def _is_lane_paused(self, lane: int) -> bool:
        pauses = self._books.by_hand.pauses
        if not pauses or (found := self._spool.lane_of(lane)) is None:
            return False
        sender, destination = found
        return pauses.is_paused(destination, sender.partition("|")[0], sender)

    def _spill(self, recipients: Sequence[SpooledRecipient]) -> None:
        now = self._clock.unix()
        for recipient in recipients:
            self._spool.defer(recipient, now, None)
            self._pager.note(recipient, now + _SPILL_SECONDS)

    def _pool(self, destination: str) -> Pool:
        pool = self._pools.get(destination)
        if pool is None:
            if len(self._pools) >= self._next_sweep:
                self._drop_idle_pools()
            pool = self._pools[destination] = Pool(destination, self._shop)
        return pool

    def _drop_idle_pools(self) -> None:
        self._pools = {name: pool for name, pool in self._pools.items() if not pool.is_idle}
        for pool in self._pools.values():
            pool.backlog.drop_idle()
        self._next_sweep = len(self._pools) + _MAX_POOLS

    def _release_bytes(self, count: int) -> None:
        self._memory.content_bytes -= count

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("delivery task failed task=%s", task.get_coro(), exc_info=error)
