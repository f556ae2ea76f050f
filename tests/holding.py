"""Held mail of a spool, set free the short way."""

from relay.spool.held import Departure, Which
from relay.spool.store import Spool


async def release(spool: Spool, sender: str) -> list[int]:
    """Release all held mail of a sender at once; returns the messages' numbers."""
    chosen = await spool.parked.choose(Which(sender=sender), 1_000)
    return await spool.parked.release([Departure(one.number, 0.0) for one in chosen], [], [], 0.0)
