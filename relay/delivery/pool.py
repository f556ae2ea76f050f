"""One destination: its fair queue, its connections, and whether it can be reached.

Connections pull: each takes the next parcel when it is ready, so a slow one keeps nobody waiting.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from relay.clock import Clock
from relay.delivery.client import Connection
from relay.delivery.destinations import Destinations, Host
from relay.delivery.handshake import Handshake, Manners, Unreachable, manners_towards
from relay.delivery.outcomes import NO_WAY, Bookkeeper, Way
from relay.delivery.queues import FairQueue, Parcel
from relay.delivery.replies import Category, OwnReply, classify
from relay.delivery.routes import Target
from relay.reply import RelayError, Reply
from relay.settings import Delivery
from relay.spool.large import LARGE_BYTES
from relay.spool.store import CorruptEntry, Spool

_log = logging.getLogger("mailweir.delivery")

_DRAIN_SLICE = 100
_MAX_HOSTS_DOWN = 10_000
_MAX_FETCHED = 8  # large contents checked and waiting for a connection: each holds a file open
_DAMAGED = OwnReply(554, "5.3.0", "the message was damaged while it waited in our queue")
_UNREADABLE = OwnReply(451, "4.3.0", "the message could not be read from our queue")


@dataclass(slots=True)
class Memory:
    """What all queues hold together."""

    parcels: int = 0
    content_bytes: int = 0


@dataclass(slots=True)
class Workshop:
    """What all pools share; only its settings ever change."""

    spool: Spool
    clock: Clock
    settings: Delivery
    hostname: str
    destinations: Destinations
    handshake: Handshake
    books: Bookkeeper
    memory: Memory
    hosts_down: dict[str, tuple[float, OwnReply]]
    spawn: Callable[[Coroutine[Any, Any, None]], None]

    def take_up(self, settings: Delivery) -> None:
        self.settings = settings
        self.handshake.take_up(settings)


class Pool:
    """The feed of one destination's connections."""

    def __init__(self, target: Target, shop: Workshop) -> None:
        self.target, self._shop = target, shop
        self.queue = FairQueue()
        self.connections: set[Connection] = set()
        self.delivered = self.deferred = self.bounced = 0
        self._sessions = self._fetching = 0
        self._fetched: deque[Parcel] = deque()
        self._resting: list[Connection] = []
        self._is_stopping = False
        self._down: tuple[float, Reply] = (0.0, OwnReply(451, "4.4.1", "not tried yet"))
        self._ceiling = (0.0, 0)

    @property
    def is_idle(self) -> bool:
        return not (self.queue or self._sessions or self._fetching or self._fetched)

    def put(self, parcel: Parcel) -> None:
        """Queue a parcel and see that a connection comes for it."""
        self.queue.put(parcel)
        self._shop.memory.parcels += 1
        self._kick()

    def forget(self, sender: str) -> Sequence[Parcel]:
        """Take the parcels of a sender out of the queue."""
        parcels = self.queue.forget(sender)
        self._shop.memory.parcels -= len(parcels)
        return parcels

    def finish(self) -> None:
        """Take nothing more; open transactions come to their end."""
        self._is_stopping = True
        self._shop.memory.parcels -= len(self.queue)
        self.queue = FairQueue()
        while self._fetched:
            self._return(self._fetched.popleft())
        for connection in tuple(self.connections):
            connection.finish()

    def abort(self) -> None:
        for connection in tuple(self.connections):
            connection.abort()

    # ---- what a connection asks of its feed ----

    def take(self) -> Parcel | None:
        while self._fetched:
            fetched = self._fetched.popleft()
            if not fetched.is_forgotten:
                return fetched
            self._return(fetched)
        while not self._is_stopping and self._fetching < _MAX_FETCHED and (parcel := self._next()) is not None:
            if parcel.content is not None:
                return parcel
            if parcel.message.place.length > LARGE_BYTES:
                self._fetching += 1
                self._shop.spawn(self._fetch(parcel))
                continue
            try:
                parcel.content = self._shop.spool.content(parcel.message)
            except CorruptEntry as error:
                _log.error("message lost message=%s error=%s", parcel.message.message_id, error)
                self._answer(parcel, _DAMAGED)
            except OSError as error:
                _log.error("message not read message=%s error=%s", parcel.message.message_id, error)
                self._answer(parcel, _UNREADABLE)
            else:
                return parcel
        return None

    def _next(self) -> Parcel | None:
        parcel = self.queue.get()
        if parcel is not None:
            self._shop.memory.parcels -= 1
            self._shop.books.begin(parcel)
        return parcel

    async def _fetch(self, parcel: Parcel) -> None:
        """Check a large content, which takes its time, and let a connection come for it."""
        try:
            parcel.content = await self._shop.spool.open(parcel.message)
        except CorruptEntry as error:
            _log.error("message lost message=%s error=%s", parcel.message.message_id, error)
            parcel.content = b""  # nothing of it is fit to be shown in a report
            self._answer(parcel, _DAMAGED)
        except OSError as error:
            _log.error("message not read message=%s error=%s", parcel.message.message_id, error)
            self._answer(parcel, _UNREADABLE)
        except asyncio.CancelledError:
            self._return(parcel)
            raise
        else:
            if self._is_stopping:
                self._return(parcel)
            else:
                self._fetched.append(parcel)
        finally:
            self._fetching -= 1
            self._kick()

    def _return(self, parcel: Parcel) -> None:
        """Leave it to the spool: no connection will take it."""
        self._shop.books.undo(parcel)
        self._shop.books.release(parcel)

    def done(self, parcel: Parcel, connection: Connection) -> None:
        if len(parcel.recipients) > 1:
            self._split_off_surplus(parcel)
        self._settle(parcel, connection)

    def put_back(self, parcel: Parcel) -> None:
        if parcel.is_forgotten or self._is_stopping:
            self._return(parcel)
            return
        self._shop.books.undo(parcel)
        if parcel.message.place.length > LARGE_BYTES:
            parcel.drop_content()  # it may wait for long, and the file would be open so long
        self.queue.put_back(parcel)
        self._shop.memory.parcels += 1

    def rest(self, connection: Connection) -> bool:
        if self._is_stopping:
            return False
        self._resting.append(connection)
        return True

    # ---- connections ----

    def _kick(self) -> None:
        if not (self.queue or self._fetched) or self._is_stopping:
            return
        while self._resting:
            if self._resting.pop().resume():
                return
        if self._sessions < self._limit():
            self._sessions += 1
            self._shop.spawn(self._session())

    def _limit(self) -> int:
        until, ceiling = self._ceiling
        return ceiling if until > self._shop.clock.unix() else self._shop.settings.connections

    async def _session(self) -> None:
        """Serve the queue with one connection, from its opening to its end."""
        try:
            connection = await self._opened()
            if connection is not None:
                await self._serve(connection)
        except Exception:  # a session must not take the destination with it
            _log.exception("session failed destination=%s", self.target.name)
        finally:
            self._sessions -= 1
            self._kick()

    async def _serve(self, connection: Connection) -> None:
        self.connections.add(connection)
        connection.serve(self)
        if self._is_stopping:
            connection.finish()
        await connection.closed
        self.connections.discard(connection)
        if connection in self._resting:
            self._resting.remove(connection)

    async def _opened(self) -> Connection | None:
        """A connection, or None: then the queue was answered instead, or smaller ambitions will do."""
        until, reply = self._down
        if until <= self._shop.clock.unix():
            try:
                return await self._first_open(await self._shop.destinations.hosts(self.target))
            except RelayError as error:
                reply = error.reply
            except Unreachable as error:
                reply = error.reply
            if self.connections:  # the hop is alive, and has enough of us
                self._ceiling = (self._until(), max(1, len(self.connections)))
                _log.info("fewer connections destination=%s reply=%s", self.target.name, reply)
                return None
            self._down = (self._until(), reply)
            _log.info("unreachable destination=%s waiting=%d reply=%s", self.target.name, len(self.queue), reply)
        await self._drain(reply)
        return None

    async def _first_open(self, hosts: Sequence[Host]) -> Connection:
        """A connection to the first host that takes us. Raises Unreachable with the last host's reply."""
        last: Unreachable | None = None
        for host in hosts:
            until, reply = self._shop.hosts_down.get(host.key, (0.0, None))
            if reply is not None and until > self._shop.clock.unix():
                last = Unreachable(reply, is_connected=False)
                continue
            try:
                return await self._shop.handshake.open(host, self._manners())
            except Unreachable as error:
                last = error
                if not error.is_connected and not self.connections:
                    self._note_down(host, error.reply)
        assert last is not None, "a destination has at least one host"
        raise last

    def _note_down(self, host: Host, reply: OwnReply) -> None:
        hosts_down, now = self._shop.hosts_down, self._shop.clock.unix()
        if len(hosts_down) >= _MAX_HOSTS_DOWN:
            for key in [key for key, (until, _) in hosts_down.items() if until <= now]:
                del hosts_down[key]
        hosts_down[host.key] = (self._until(), reply)

    def _manners(self) -> Manners:
        return manners_towards(self.target, self._shop.settings, self._shop.hostname)

    def _until(self) -> float:
        return self._shop.clock.unix() + self._shop.settings.host_failure_seconds

    # ---- outcomes ----

    async def _drain(self, reply: Reply) -> None:
        """Give everything that waits the same answer: nobody can be reached."""
        count = 0
        while self._fetched:
            self._answer(self._fetched.popleft(), reply)
        while not self._is_stopping and (parcel := self._next()) is not None:
            self._answer(parcel, reply)
            count += 1
            if count % _DRAIN_SLICE == 0:
                await asyncio.sleep(0)

    def _answer(self, parcel: Parcel, reply: Reply) -> None:
        parcel.replies = [reply] * len(parcel.recipients)
        self._settle(parcel, None)

    def _settle(self, parcel: Parcel, connection: Connection | None) -> None:
        way = NO_WAY
        if connection is not None:
            way = Way(connection.remote, connection.source, connection.tls, connection.passes_dsn)
        delivered, deferred, bounced = self._shop.books.settle(parcel, self.target.name, way)
        self.delivered += delivered
        self.deferred += deferred
        self.bounced += bounced

    def _split_off_surplus(self, parcel: Parcel) -> None:
        """RFC 5321 4.5.3.1.10: the recipients beyond the hop's limit follow at once in a transaction of their own."""
        replies = [reply for reply in parcel.replies if reply is not None]
        if not any(reply.is_success for reply in replies):
            return
        pairs = list(zip(parcel.recipients, replies, strict=True))
        surplus = [recipient for recipient, reply in pairs if _is_surplus(reply)]
        if not surplus:
            return
        kept = [(recipient, reply) for recipient, reply in pairs if not _is_surplus(reply)]
        parcel.recipients, parcel.replies = [recipient for recipient, _ in kept], [reply for _, reply in kept]
        self.put_back(Parcel(parcel.message, surplus, None, is_forgotten=parcel.is_forgotten))
        self._kick()


def _is_surplus(reply: Reply) -> bool:
    return reply.code in (452, 552) and classify(reply).category is Category.TOO_MANY_RECIPIENTS
