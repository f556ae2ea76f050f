"""What waits for one destination: a fair queue per channel, and whose turn it is when a connection may be opened.

A channel is the mail that can share a connection: the same hosts, out through the same egress pool. Inside a channel
the connections take parcels round robin between end senders; between channels the turn goes by end senders as well, so
that nobody gets more connections by writing to many domains of one provider. Pure: no clock, no disk.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from relay.delivery.channel import Channel
from relay.delivery.queues import Parcel
from relay.delivery.routing.sites import Site

_MAX_CHANNELS = 1_000  # then those without mail are forgotten


class Backlog:
    """The channels of one destination."""

    def __init__(self) -> None:
        self._channels: dict[tuple[str, str], Channel] = {}
        self._next_sweep = _MAX_CHANNELS
        # Kept only while there are several channels, and emptied lazily: most destinations have one
        self._turns: deque[str] = deque()
        self._where: dict[str, deque[Channel]] = {}

    def __len__(self) -> int:
        return sum(len(channel.queue) for channel in self._channels.values())

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels.values())

    def channel(self, pool: str, site: Site) -> Channel:
        """The channel of an egress pool and a site, made when it is asked for first."""
        found = self._channels.get((pool, site.key))
        if found is None:
            if len(self._channels) >= self._next_sweep:
                self.drop_idle()
                self._next_sweep = len(self._channels) + _MAX_CHANNELS
            found = self._channels[(pool, site.key)] = Channel(pool, site)
            if len(self._channels) == 2:
                for channel in self._channels.values():
                    for sender in channel.queue.senders():
                        self._note(sender, channel)
        found.site = site  # its hosts may be looked up by another domain now
        return found

    def put(self, parcel: Parcel, channel: Channel) -> None:
        """Queue a parcel behind those of its sender."""
        if channel.queue.put(parcel) and len(self._channels) > 1:
            self._note(parcel.message.sender, channel)

    def put_back(self, parcel: Parcel, channel: Channel) -> None:
        """Queue a parcel before those of its sender."""
        if channel.queue.put_back(parcel) and len(self._channels) > 1:
            self._note(parcel.message.sender, channel)

    def turns(self) -> Iterator[Channel]:
        """The channels with mail, each once, in the order of their senders' turns; each one taken uses up a turn."""
        if len(self._channels) == 1:
            yield from (channel for channel in self._channels.values() if channel.has_mail)
            return
        seen: set[Channel] = set()
        for channel in self._channels.values():
            if channel.fetched and channel not in seen:
                seen.add(channel)
                yield channel
        for _ in range(len(self._turns)):
            sender = self._turns.popleft()
            where = deque(channel for channel in self._where.pop(sender) if channel.queue.waiting(sender))
            if not where:
                continue
            self._turns.append(sender)
            self._where[sender] = where
            for channel in tuple(where):
                where.rotate(-1)
                if channel not in seen:
                    seen.add(channel)
                    yield channel

    def forget(self, sender: str) -> Sequence[Parcel]:
        """Take out all parcels of a sender."""
        return [parcel for channel in self._channels.values() for parcel in channel.queue.forget(sender)]

    def drop_idle(self) -> None:
        """Forget the channels that nothing needs."""
        kept = {key: channel for key, channel in self._channels.items() if not channel.is_idle}
        if len(kept) < len(self._channels):
            self._channels = kept
            self._turns.clear()
            self._where.clear()
            if len(kept) > 1:
                for channel in kept.values():
                    for sender in channel.queue.senders():
                        self._note(sender, channel)

    def _note(self, sender: str, channel: Channel) -> None:
        where = self._where.get(sender)
        if where is None:
            self._where[sender] = deque([channel])
            self._turns.append(sender)
        elif channel not in where:
            where.append(channel)
