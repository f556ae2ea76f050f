"""A channel: the mail that can share a connection; and a link: one connection's place at it."""

from collections import deque
from typing import Protocol

from relay.delivery.client import Connection
from relay.delivery.egress.egress import Source
from relay.delivery.queues import FairQueue, Parcel
from relay.delivery.routing.sites import Site
from relay.reply import Reply


class Channel:
    """The mail for one site through one egress pool, and the connections that serve it."""

    __slots__ = (
        "blocked_in",
        "ceiling",
        "down",
        "fetched",
        "fetching",
        "is_emptying",
        "pool",
        "queue",
        "resting",
        "sessions",
        "site",
    )

    def __init__(self, pool: str, site: Site) -> None:
        self.pool, self.site = pool, site
        self.queue = FairQueue()
        self.fetched: deque[Parcel] = deque()  # large contents, checked and open
        self.fetching = self.sessions = 0
        self.resting: list[Link] = []
        # source -> until when it cannot reach the hosts, and why; None: none of them has an address of its family
        self.down: dict[str, tuple[float, Reply | None]] = {}
        self.ceiling: tuple[float, int] = (0.0, 0)  # until then so many connections, as the hop has enough of us
        self.blocked_in = -1  # the pool's round in which no connection could be opened
        self.is_emptying = False

    @property
    def has_mail(self) -> bool:
        return bool(self.queue) or bool(self.fetched)

    @property
    def is_idle(self) -> bool:
        return not (self.queue or self.fetched or self.fetching or self.sessions)


class Giver(Protocol):
    """The destination (pool.py), as a connection sees it."""

    def take(self, link: "Link") -> Parcel | None:
        """Give the next parcel, None when there is none for it."""
        ...

    def done(self, parcel: Parcel, link: "Link") -> None:
        """Take note that every recipient has its outcome."""
        ...

    def put_back(self, parcel: Parcel, link: "Link") -> None:
        """Take back what was not sent."""
        ...

    def rest(self, link: "Link") -> bool:
        """Tell whether a connection without mail may stay open."""
        ...


class Link:
    """The feed of one connection (client.Feed); its destination decides, this remembers who asks."""

    __slots__ = ("_giver", "channel", "connection", "is_ending", "source", "taken")

    def __init__(self, giver: Giver, channel: Channel, source: Source) -> None:
        self._giver, self.channel, self.source = giver, channel, source
        self.connection: Connection | None = None
        self.is_ending = False  # takes nothing more
        self.taken = 0

    def take(self) -> Parcel | None:
        return self._giver.take(self)

    def done(self, parcel: Parcel, connection: Connection) -> None:
        self._giver.done(parcel, self)

    def put_back(self, parcel: Parcel) -> None:
        self._giver.put_back(parcel, self)

    def rest(self, connection: Connection) -> bool:
        return self._giver.rest(self)

    def resume(self) -> bool:
        """Have a resting connection look again; False: it has ended."""
        return self.connection is not None and self.connection.resume()

    def end(self) -> None:
        """Say goodbye after what is under way."""
        self.is_ending = True
        if self.connection is not None:
            self.connection.finish()
