"""Delivery as the rest of the relay sees it: put mail in, hear outcomes, stop without losing or repeating anything."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from relay.addressee import Addressee
from relay.clock import Clock
from relay.delivery.destinations import Destinations
from relay.delivery.handshake import Handshake
from relay.delivery.outcomes import Bookkeeper
from relay.delivery.pager import Pager
from relay.delivery.pool import Memory, Pool, Workshop
from relay.delivery.queues import Parcel
from relay.delivery.replies import check_rules
from relay.delivery.tls_memory import TlsMemory
from relay.events import Record
from relay.settings import Settings
from relay.spool.journal import Journal
from relay.spool.large import LARGE_BYTES
from relay.spool.store import Spool, SpooledMessage, SpooledRecipient

_log = logging.getLogger("mailweir.delivery")

# About 1.3 kB each without the content: 26 MB at most
_MAX_PARCELS = 20_000
_MAX_PER_SENDER = 1_000  # of one sender at one destination; what is beyond waits on disk
_MAX_CONTENT_BYTES = 64 * 1024 * 1024
_MAX_RECIPIENTS = 100  # of one transaction; RFC 5321 4.5.3.1.8 obliges every hop to take so many
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
        tls: TlsMemory | None = None,
    ) -> None:
        """submit_dsn(report, recipient, message it is about) returns when the report is stored; `audience` says who
        hears of a message's failures; `tls`: what an earlier run knew.

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
            spawn=self._spawn,
        )
        self._pager = Pager(
            spool,
            clock,
            deliver=self._deliver,
            room=lambda: _MAX_PARCELS - self._memory.parcels,
            is_in_flight=self._books.is_in_flight,
        )
        self._books.on_left, self._books.on_deferred = self._pager.left, self._pager.note
        self._books.on_released = self._release_bytes
        tls = tls or TlsMemory()
        self._destinations = Destinations(settings, clock, policies=tls.policies)
        self._shop = Workshop(
            spool=spool,
            clock=clock,
            settings=settings.delivery,
            hostname=settings.node.hostname,
            destinations=self._destinations,
            handshake=Handshake(settings.delivery, clock, tls.broken),
            books=self._books,
            memory=self._memory,
            hosts_down={},
            spawn=self._spawn,
        )
        self._pools: dict[str, Pool] = {}
        self._by_domain: dict[tuple[str, str], Pool] = {}  # by domain and, where it has routes of its own, account
        self._next_sweep = _MAX_POOLS
        self._is_stopping = False

    async def start(self) -> None:
        """Take up what waits in the spool, with its due times and attempts."""
        self._pager.start()

    async def stop(self, seconds: float) -> None:
        """Finish the open transactions within `seconds`, say QUIT; what waits stays in the spool."""
        self._is_stopping = True
        await self._pager.stop()
        for pool in self._pools.values():
            pool.finish()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
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
        self._destinations.on_tls_failure(listen)
        self._shop.handshake.on_tls_failure = listen

    def take_up(self, settings: Settings) -> None:
        """Hold to other numbers from the next connection and the next outcome on."""
        self._books.take_up(settings)
        self._shop.take_up(settings.delivery)

    def enqueue(self, recipients: Sequence[SpooledRecipient], content: bytes | None) -> None:
        """Deliver fresh recipients of one message. Ignored while stopping: the next start finds them in the spool."""
        if self._is_stopping:
            return
        if len(self._by_domain) >= self._next_sweep:
            self._drop_idle_pools()
        if len(recipients) == 1:
            self._queue(self._pool_of(recipients[0]), recipients, content)
            return
        grouped: dict[Pool, list[SpooledRecipient]] = {}
        for recipient in recipients:
            grouped.setdefault(self._pool_of(recipient), []).append(recipient)
        for pool, members in grouped.items():
            self._queue(pool, members, content)

    def expect(self, recipients: Sequence[SpooledRecipient]) -> None:
        """Deliver recipients that were stored with a due time, when it has come."""
        for recipient in recipients:
            assert recipient.due_unix is not None
            self._pager.note(recipient, recipient.due_unix)

    def forget(self, sender: str) -> None:
        """Take a sender's waiting mail out of memory, once spool.hold_sender has parked it; what is in flight ends."""
        for pool in self._pools.values():
            for parcel in pool.forget(sender):
                self._books.release(parcel)
        self._books.forget(sender)

    def wake(self) -> None:
        """Look into the spool for rows that others made due."""
        if not self._is_stopping:
            self._pager.look()

    def stats(self) -> list[DestinationStats]:
        return [
            DestinationStats(
                pool.target.name, len(pool.queue), len(pool.connections), pool.delivered, pool.deferred, pool.bounced
            )
            for pool in self._pools.values()
        ]

    def _deliver(self, recipients: Iterable[SpooledRecipient]) -> None:
        """Queue what the pager found; recipients of one message at one destination travel together."""
        grouped: dict[tuple[Pool, int], list[SpooledRecipient]] = {}
        for recipient in recipients:
            grouped.setdefault((self._pool_of(recipient), recipient.message.id), []).append(recipient)
        for (pool, _), members in grouped.items():
            for start in range(0, len(members), _MAX_RECIPIENTS):
                chunk = members[start : start + _MAX_RECIPIENTS]
                pool.put(Parcel(chunk[0].message, chunk, None))

    def _queue(self, pool: Pool, recipients: Sequence[SpooledRecipient], content: bytes | None) -> None:
        message = recipients[0].message
        if self._memory.parcels >= _MAX_PARCELS or pool.queue.waiting(message.sender) >= _MAX_PER_SENDER:
            self._spill(recipients)
            return
        for start in range(0, len(recipients), _MAX_RECIPIENTS):
            parcel = Parcel(message, recipients[start : start + _MAX_RECIPIENTS], None)
            if (
                content is not None
                and len(content) <= LARGE_BYTES
                and self._memory.content_bytes + len(content) <= _MAX_CONTENT_BYTES
            ):
                parcel.content, parcel.kept_bytes = content, len(content)
                self._memory.content_bytes += len(content)
            pool.put(parcel)

    def _spill(self, recipients: Sequence[SpooledRecipient]) -> None:
        now = self._clock.unix()
        for recipient in recipients:
            self._spool.defer(recipient, now, None)
            self._pager.note(recipient, now + _SPILL_SECONDS)

    def _pool_of(self, recipient: SpooledRecipient) -> Pool:
        domain, account = recipient.destination, self._destinations.account_of_routes(recipient.message.account)
        pool = self._by_domain.get((domain, account))
        if pool is None:
            target = self._destinations.target(domain, account)
            pool = self._pools.get(target.key)
            if pool is None:
                pool = self._pools[target.key] = Pool(target, self._shop)
            self._by_domain[domain, account] = pool
        return pool

    def _drop_idle_pools(self) -> None:
        self._pools = {key: pool for key, pool in self._pools.items() if not pool.is_idle}
        self._by_domain = {key: pool for key, pool in self._by_domain.items() if not pool.is_idle}
        self._next_sweep = len(self._by_domain) + _MAX_POOLS

    def _release_bytes(self, count: int) -> None:
        self._memory.content_bytes -= count

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
