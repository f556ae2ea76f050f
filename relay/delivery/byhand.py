"""What people order about mail that waits: pauses, and recipients taken out of the queue.

Pure. Asked for each parcel before it is offered to a next hop, so without any order it costs one truth test.
"""

from collections.abc import Iterable

from relay.delivery.pauses import Pauses
from relay.delivery.queues import Parcel
from relay.spool.store import SpooledRecipient


class ByHand:
    """The pauses, and the ids of recipients that must not be tried any more.

    A claimed id that still waits in a queue in memory stays here until it comes up there; one that was on disk only
    stays too, as nobody knows: 60 bytes of each.
    """

    def __init__(self, pauses: Pauses) -> None:
        self.pauses = pauses
        self._claimed: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._claimed) or bool(self.pauses)

    def claim(self, ids: Iterable[int]) -> set[int]:
        """Have no try of these begin from now on; return those that were not claimed before."""
        fresh = set(ids) - self._claimed
        self._claimed |= fresh
        return fresh

    def unclaim(self, ids: Iterable[int]) -> None:
        self._claimed.difference_update(ids)

    def is_claimed(self, number: int) -> bool:
        return number in self._claimed

    def is_paused(self, recipient: SpooledRecipient) -> bool:
        message = recipient.message
        return self.pauses.is_paused(recipient.destination, message.account, message.sender)

    def sift(self, parcel: Parcel) -> list[SpooledRecipient]:
        """Leave in a parcel what may be tried; return what is paused. What is claimed is in other hands."""
        wanted = [one for one in parcel.recipients if one.id not in self._claimed]
        paused = [one for one in wanted if self.is_paused(one)] if self.pauses else []
        parcel.recipients = [one for one in wanted if one not in paused] if paused else wanted
        return paused
