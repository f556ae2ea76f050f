"""One destination: its backlog and its connections.

Connections pull: each takes the next parcel when it is ready, so a slow one keeps nobody waiting. One is opened from a
source that the egress pool offers and shaping allows, for the end sender whose turn it is. Mail that nobody may send
for a while goes back to the disk until then, and no attempt is counted.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from relay.delivery.backlog import Backlog
from relay.delivery.channel import Channel, Link
from relay.delivery.client import Connection
from relay.delivery.egress.egress import Source
from relay.delivery.handout import Handout
from relay.delivery.handshake import Unreachable
from relay.delivery.queues import Parcel, by_domain, expires_at
from relay.delivery.replies import OwnReply
from relay.delivery.routing.sites import Site
from relay.delivery.workshop import NoAddress, Parted, Workshop
from relay.reply import RelayError, Reply

_log = logging.getLogger("mailweir.delivery")

_SLICE = 100  # parcels answered or put off before others get the loop
_MOST_ASKED = 100  # channels in vain; the turns go on from there, so the others come next time
_NEXT_ASKED_SECONDS = 1.0
_PATIENCE_SECONDS = 60.0  # mail that has to wait longer leaves memory
_NOBODY_MAY = OwnReply(451, "4.4.7", "none of our addresses may send there for now")
_OUR_FAULT = OwnReply(451, "4.3.0", "something failed on our side")


class _Obstacle(NamedTuple):
    """Why no connection may be opened: for how long, and the reply if the hosts cannot be reached at all."""

    wait: float
    reply: Reply | None = None


_NONE = _Obstacle(0.0)


class Pool(Handout):
    """One destination."""

    def __init__(self, name: str, shop: Workshop) -> None:
        super().__init__(name, shop)
        self._round = 0  # changes whenever a channel that was blocked may be looked at again
        self._alarm_at = 0.0
        self._alarm: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        return not self._links and all(channel.is_idle for channel in self.backlog)

    @property
    def connections(self) -> int:
        """How many are open."""
        return sum(link.connection is not None for link in self._links)

    def channel(self, pool: str, site: Site) -> Channel:
        return self.backlog.channel(self._shop.egress.resolve(pool), site)

    def put(self, parcel: Parcel, channel: Channel) -> None:
        """Queue a parcel and see that a connection comes for it."""
        self.backlog.put(parcel, channel)
        self._shop.memory.parcels += 1
        if channel.resting or channel.blocked_in != self._round:
            self._serve_next(channel)

    def rest(self, link: Link) -> bool:
        self._open_next()
        return not self._is_starved and super().rest(link)

    def forget(self, sender: str) -> Sequence[Parcel]:
        """Take the parcels of a sender out of the queues."""
        parcels = self.backlog.forget(sender)
        self._shop.memory.parcels -= len(parcels)
        return parcels

    def look_again(self) -> None:
        """What may be sent has changed: by a person, by time, or as a connection has ended."""
        self._round += 1
        self._is_starved = False
        if self._is_stopping:
            return
        for channel in self.backlog:
            if channel.resting and channel.has_mail:
                self._serve_next(channel)
        self._open_next()

    def finish(self) -> None:
        """Take nothing more; open transactions come to their end."""
        self._is_stopping = True
        if self._alarm is not None:
            self._alarm.cancel()
        for channel in self.backlog:
            self._shop.memory.parcels -= len(channel.queue)
            while channel.fetched:
                self._return(channel.fetched.popleft())
        self.backlog = Backlog()
        for link in tuple(self._links):
            link.end()

    def abort(self) -> None:
        for link in tuple(self._links):
            if link.connection is not None:
                link.connection.abort()

    # ---- opening connections ----

    def _serve_next(self, channel: Channel) -> None:
        while channel.resting:
            if channel.resting.pop().resume():
                return
        self._open_next()

    def _open_next(self) -> None:
        """Open one connection, for the channel whose turn it is among those that may have one."""
        if self._is_stopping:
            return
        now, waits = self._shop.clock.unix(), list[float]()
        for channel in self.backlog.turns():
            if len(waits) >= _MOST_ASKED:
                waits.append(_NEXT_ASKED_SECONDS)
                break
            if channel.is_emptying or channel.blocked_in == self._round:
                continue
            source, obstacle = self._choose(channel, now)
            if source is not None:
                self._start(channel, source, now)
                return
            channel.blocked_in = self._round
            waits.append(min(obstacle.wait, _PATIENCE_SECONDS))
            if not channel.sessions:
                self._put_off(channel, obstacle, now)
        if self._is_starved:
            self._end_resting()
        if waits:
            self._set_alarm(min(waits), now)

    def _end_resting(self) -> None:
        """Make room: a connection that waits for mail of its own channel has the place that another one needs."""
        for link in self._links:
            if link in link.channel.resting:
                link.channel.resting.remove(link)
                link.end()
                return

    def _put_off(self, channel: Channel, obstacle: _Obstacle, now: float) -> None:
        """Nobody serves this channel, and nobody may yet."""
        if (reply := obstacle.reply) is not None:
            self._empty(channel, lambda parcel: self.settlement.answer(parcel, reply))
        elif obstacle.wait > _PATIENCE_SECONDS:
            _log.info("postponed destination=%s pool=%s seconds=%.0f", self.name, channel.pool, obstacle.wait)
            self._empty(channel, lambda parcel: self._postpone(parcel, now, now + obstacle.wait))

    def _postpone(self, parcel: Parcel, now: float, until: float) -> None:
        """Give a parcel back to the disk; it expires there as if it had been tried."""
        expires = expires_at(parcel.message.waits_since, self._shop.settings).timestamp()
        if now >= expires:
            self.settlement.answer(parcel, _NOBODY_MAY)
        else:
            self._shop.books.postpone(parcel, min(until, expires))

    def _choose(self, channel: Channel, now: float) -> tuple[Source | None, _Obstacle]:
        """A source that may open a connection, else what is in its way."""
        found: list[_Obstacle] = []

        def may(source: Source) -> bool:
            obstacle = self._obstacle(channel, source, now)
            if obstacle.wait > 0:
                found.append(obstacle)
            return obstacle.wait <= 0

        source = self._shop.egress.choose(channel.pool, self.name, now, may)
        if source is not None:
            return source, _NONE
        if not found:
            return None, _Obstacle(max(1.0, self._shop.egress.wait(channel.pool, self.name, now)))
        is_down = all(obstacle.reply is not None for obstacle in found)
        wait = min(obstacle.wait for obstacle in found)
        return None, _Obstacle(wait, found[0].reply if is_down else None)

    def _obstacle(self, channel: Channel, source: Source, now: float) -> _Obstacle:
        until, count = channel.ceiling
        if until > now and channel.sessions >= count:
            return _Obstacle(until - now)
        down_until, reply = channel.down.get(source.name, (0.0, None))
        if down_until > now:
            return _Obstacle(down_until - now, reply)
        ready_at = self._ready_at.get(source.name, 0.0)
        if ready_at > now:
            return _Obstacle(ready_at - now)
        wait = self._shop.shaper.open_wait(self.name, source.name, now)
        self._is_starved = self._is_starved or (wait > 0 and not channel.sessions)
        return _Obstacle(wait)

    def _start(self, channel: Channel, source: Source, now: float) -> None:
        link = Link(self, channel, source)
        self._links.add(link)
        channel.sessions += 1
        self._shop.shaper.opened(self.name, source.name, now)
        self._shop.spawn(self._session(link))

    async def _session(self, link: Link) -> None:
        """Serve the queue with one connection, from its opening to its end."""
        try:
            connection = await self._opened(link)
            if connection is not None:
                await self._serve(link, connection)
        except Exception:  # a session must not take the destination with it, nor be tried again at once
            _log.exception("session failed destination=%s", self.name)
            self._note_down(link, _OUR_FAULT)
        finally:
            self._links.discard(link)
            link.channel.sessions -= 1
            self._shop.shaper.closed(self.name, link.source.name, self._shop.clock.unix())
            self.look_again()

    async def _serve(self, link: Link, connection: Connection) -> None:
        link.connection = connection
        connection.serve(link)
        if self._is_stopping or link.is_ending:
            connection.finish()
        if link.channel.queue:  # what waited before the first connection may need more of them
            self._open_next()
        await connection.closed
        if link in link.channel.resting:
            link.channel.resting.remove(link)

    async def _opened(self, link: Link) -> Connection | None:
        """A connection, or None: then the channel knows why, and what waits is looked at again."""
        try:
            return await self._shop.open(link)
        except NoAddress:
            link.channel.down[link.source.name] = (self._shop.failure_until(), None)
            _log.info("no host of the source's family destination=%s source=%s", self.name, link.source.name)
        except Parted:
            self._sort_again(link.channel)
        except RelayError as error:
            self._note_down(link, error.reply)
        except Unreachable as error:
            if error.peer is not None:  # those that the hop took stay: each asks before a mail whether it may
                self.settlement.learn(link.source.name, error.peer)
            self._note_down(link, error.reply)
        return None

    def _sort_again(self, channel: Channel) -> None:
        """The domain that stood for the site's others is one of them no more: each is asked for by itself."""

        def sort(parcel: Parcel) -> None:
            self._shop.books.undo(parcel)
            parts = by_domain(parcel)
            if len(parts) > 1:
                self._shop.books.drop(parcel)
            for part in parts:
                self._shop.sort(part)

        self._shop.forget_site(channel.site)
        self._empty(channel, sort)

    def _note_down(self, link: Link, reply: Reply) -> None:
        channel, until = link.channel, self._shop.failure_until()
        others = sum(_may_serve(other, link) for other in self._links)
        if others:  # the hop is alive, or may be, and has enough of us
            channel.ceiling = (until, others)
            _log.info("fewer connections destination=%s reply=%s", self.name, reply)
        else:
            channel.down[link.source.name] = (until, reply)
            _log.info("unreachable destination=%s waiting=%d reply=%s", self.name, len(channel.queue), reply)

    def _empty(self, channel: Channel, put_off: Callable[[Parcel], None]) -> None:
        """Take everything out of a channel, and do that with each parcel."""
        channel.is_emptying = True
        self._shop.spawn(self._emptied(channel, put_off))

    async def _emptied(self, channel: Channel, put_off: Callable[[Parcel], None]) -> None:
        count = 0
        try:
            while not self._is_stopping and (parcel := self._next(channel)) is not None:
                put_off(parcel)
                count += 1
                if count % _SLICE == 0:
                    await asyncio.sleep(0)
        finally:
            channel.is_emptying = False

    # ---- time ----

    def _set_alarm(self, wait: float, now: float) -> None:
        at = now + wait
        if self._is_stopping or now < self._alarm_at <= at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._shop.spawn(self._sleep(wait))

    async def _sleep(self, seconds: float) -> None:
        await self._shop.clock.sleep(seconds)
        self._alarm, self._alarm_at = None, 0.0  # before what follows sets the next one
        self.look_again()


def _may_serve(other: Link, refused: Link) -> bool:
    """Whether a channel has another connection. One under way counts too: a hop at its limit refuses before the one
    that it took is ready. If that fails in turn, it is the last."""
    is_under_way = other.connection is None and other.source is refused.source
    return other is not refused and other.channel is refused.channel and (is_under_way or other.connection is not None)
