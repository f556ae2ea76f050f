"""One connection's place at a destination: the channel it serves, and the egress source it comes from."""

from typing import TYPE_CHECKING

from relay.delivery.backlog import Channel
from relay.delivery.client import Connection
from relay.delivery.egress.egress import Source
from relay.delivery.queues import Parcel

if TYPE_CHECKING:
    from relay.delivery.pool import Pool


class Link:
    """The feed of one connection (client.Feed); the pool decides, this remembers who asks."""

    __slots__ = ("_pool", "channel", "connection", "is_ending", "source", "taken")

    def __init__(self, pool: "Pool", channel: Channel, source: Source) -> None:
        self._pool, self.channel, self.source = pool, channel, source
        self.connection: Connection | None = None
        self.is_ending = False  # takes nothing more
        self.taken = 0

    def take(self) -> Parcel | None:
        return self._pool.take(self)

    def done(self, parcel: Parcel, connection: Connection) -> None:
        self._pool.done(parcel, self)

    def put_back(self, parcel: Parcel) -> None:
        self._pool.put_back(parcel, self)

    def rest(self, connection: Connection) -> bool:
        return self._pool.rest(self)

    def resume(self) -> bool:
        """Have a resting connection look again; False: it has ended."""
        return self.connection is not None and self.connection.resume()

    def end(self) -> None:
        """Say goodbye after what is under way."""
        self.is_ending = True
        if self.connection is not None:
            self.connection.finish()
