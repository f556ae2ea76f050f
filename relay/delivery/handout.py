"""What the connections of one destination get when they ask: the next parcel of their channel, with its content, if
their source may send one now."""

import asyncio
import logging

from relay.delivery.backlog import Backlog
from relay.delivery.channel import Channel, Link
from relay.delivery.queues import Parcel
from relay.delivery.replies import OwnReply
from relay.delivery.settlement import Settlement, surplus_of
from relay.delivery.workshop import Workshop
from relay.spool.large import LARGE_BYTES
from relay.spool.store import CorruptEntry

_log = logging.getLogger("mailweir.delivery")

_MAX_FETCHED = 8  # large contents checked and waiting for a connection: each holds a file open
_TURN_PARCELS = 5  # a connection sends so many before it makes room for a channel that has none
_DISK_SECONDS = 0.005  # to look again when outcomes wait for the disk: about a commit
_REST_SECONDS = 2.0  # a connection that must wait longer says goodbye; handshake.py lets it idle as long
_DAMAGED = OwnReply(554, "5.3.0", "the message was damaged while it waited in our queue")
_UNREADABLE = OwnReply(451, "4.3.0", "the message could not be read from our queue")


class Handout:
    """The feed of all links of a destination; pool.py, which is one, opens the connections."""

    def __init__(self, name: str, shop: Workshop) -> None:
        self.name, self._shop = name, shop
        self.backlog = Backlog()
        self.settlement = Settlement(name, shop)
        self._links: set[Link] = set()
        self._ready_at: dict[str, float] = {}  # source -> when it may send one more message
        self._is_starved = False  # a channel waits for the place of another one's connection
        self._is_stopping = False

    def take(self, link: Link) -> Parcel | None:
        """The next parcel for a connection, None when nothing waits or nothing may go."""
        if self._is_stopping or link.is_ending or (self._is_starved and link.taken >= _TURN_PARCELS):
            link.is_ending = True
            return None
        channel = link.channel
        while (parcel := self._next(channel)) is not None:
            if parcel.content is None and parcel.message.place.length > LARGE_BYTES:
                channel.fetching += 1
                self._shop.spawn(self._fetch(parcel, channel))
                continue
            if len(parcel.recipients) > 1 and self._shop.egress.is_warming(link.source.name):
                self._split(parcel, channel)  # each recipient counts against the plan
            if not self._may_send(link):
                self._unget(parcel, channel)
                return None
            if parcel.content is not None or self._read(parcel, link):
                link.taken += 1
                return parcel
        return None

    def done(self, parcel: Parcel, link: Link) -> None:
        """Every recipient of the parcel has its reply."""
        surplus = surplus_of(parcel) if len(parcel.recipients) > 1 else None
        if surplus is not None:
            self._requeue(surplus, link.channel)
        if self.settlement.settle(parcel, link):
            self._end_links_of(link.source.name)

    def put_back(self, parcel: Parcel, link: Link) -> None:
        """The hop has not seen this parcel."""
        self._give_back(link)
        self._requeue(parcel, link.channel)

    def rest(self, link: Link) -> bool:
        """Nothing may go now: tell whether the connection may stay open for a while."""
        if self._is_stopping or link.is_ending:
            return False
        link.channel.resting.append(link)
        return True

    def _next(self, channel: Channel) -> Parcel | None:
        while channel.fetched:
            fetched = channel.fetched.popleft()
            if not fetched.is_forgotten:
                return fetched
            self._return(fetched)
        if channel.fetching >= _MAX_FETCHED:
            return None
        while (parcel := channel.queue.get()) is not None:
            self._shop.memory.parcels -= 1
            if self._shop.books.begin(parcel):
                if parcel.message.return_domain:
                    parcel.token_path = self._shop.ways.return_path(parcel)
                return parcel
        return None

    def _may_send(self, link: Link) -> bool:
        """Count one more message of the link's source, or note when it may send the next one."""
        shop, source, now = self._shop, link.source.name, self._shop.clock.unix()
        wait = _DISK_SECONDS if shop.spool.is_behind else shop.shaper.message_wait(self.name, source, now)
        if wait <= 0:
            wait = shop.egress.message_wait(source, self.name, now)
            if wait <= 0:
                return True
            shop.shaper.give_back(self.name, source)
        self._ready_at[source] = now + wait
        link.is_ending = wait > _REST_SECONDS
        self._set_alarm(wait, now)
        return False

    def _split(self, parcel: Parcel, channel: Channel) -> None:
        rest = parcel.part(parcel.recipients[1:])
        parcel.recipients = parcel.recipients[:1]
        self._requeue(rest, channel)

    def _give_back(self, link: Link) -> None:
        self._shop.shaper.give_back(self.name, link.source.name)
        self._shop.egress.give_back(link.source.name, self.name)

    def _unget(self, parcel: Parcel, channel: Channel) -> None:
        if parcel.content is not None and parcel.message.place.length > LARGE_BYTES:
            channel.fetched.appendleft(parcel)
        else:
            self._requeue(parcel, channel)

    def _requeue(self, parcel: Parcel, channel: Channel) -> None:
        if parcel.is_forgotten or self._is_stopping:
            self._return(parcel)
            return
        self._shop.books.undo(parcel)
        if parcel.message.place.length > LARGE_BYTES:
            parcel.drop_content()  # it may wait for long, and the file would be open so long
        self.backlog.put_back(parcel, channel)
        self._shop.memory.parcels += 1

    def _return(self, parcel: Parcel) -> None:
        """Leave it to the spool: no connection will take it."""
        self._shop.books.undo(parcel)
        self._shop.books.release(parcel)

    def _read(self, parcel: Parcel, link: Link) -> bool:
        """Have the content in memory. False: it cannot be read, and the parcel is answered."""
        try:
            parcel.content = self._shop.spool.content(parcel.message)
        except (CorruptEntry, OSError) as error:
            self._give_back(link)
            self.settlement.answer(parcel, _refusal(parcel, error))
            return False
        return True

    async def _fetch(self, parcel: Parcel, channel: Channel) -> None:
        """Check a large content, which takes its time, and let a connection come for it."""
        try:
            parcel.content = await self._shop.spool.open(parcel.message)
        except (CorruptEntry, OSError) as error:
            if isinstance(error, CorruptEntry):
                parcel.content = b""  # nothing of it is fit to be shown in a report
            self.settlement.answer(parcel, _refusal(parcel, error))
        except asyncio.CancelledError:
            self._return(parcel)
            raise
        else:
            if self._is_stopping:
                self._return(parcel)
            else:
                channel.fetched.append(parcel)
        finally:
            channel.fetching -= 1
            self._serve_next(channel)

    def _end_links_of(self, source: str) -> None:
        """Its connections were opened under other rules."""
        for link in tuple(self._links):
            if link.source.name == source:
                link.end()

    def _serve_next(self, channel: Channel) -> None:
        """Something waits in the channel: have a connection come for it."""
        raise NotImplementedError

    def _set_alarm(self, wait: float, now: float) -> None:
        """Look again in `wait` seconds."""
        raise NotImplementedError


def _refusal(parcel: Parcel, error: Exception) -> OwnReply:
    is_lost = isinstance(error, CorruptEntry)
    what = "lost" if is_lost else "not read"
    _log.error("message %s message=%s error=%s", what, parcel.message.message_id, error)
    return _DAMAGED if is_lost else _UNREADABLE
