"""What the real content stage says of the world's texts: features and scores for the week of history.

A few letters per end sender are assessed and then drawn from, as 50,000 would take a minute.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from analytics.simulation.texts import Letter, abusive_letter, honest_letter
from analytics.simulation.world import World, seeded
from relay.content.protocol import ContentRequest, ContentResult
from relay.content.workers import ContentPool

_HONEST_PER_SENDER = 6
_ABUSIVE = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """A letter, and what the content stage found in it."""

    letter: Letter
    found: ContentResult


@dataclass(frozen=True, slots=True)
class Samples:
    """Letters by end sender, and those of a spammer."""

    honest: Mapping[str, Sequence[Sample]]
    abusive: Sequence[Sample]


async def assess_samples(world: World, model: str, workers: int, now: datetime) -> Samples:
    """Assess some letters of everybody with a content pool of our own. Raises ModelError."""
    pool = ContentPool(model=model, keys={}, workers=workers, timeout_seconds=5.0)
    await pool.start()
    try:
        rng = seeded("samples", world.seed)
        honest = {
            sender.key: [
                honest_letter(rng, sender, rng.choice(customer.recipients), now) for _ in range(_HONEST_PER_SENDER)
            ]
            for customer in world.customers
            for sender in customer.senders
        }
        abusive = _abusive(rng, world, now)
        return Samples(
            {key: await _assess(pool, letters, now) for key, letters in honest.items()},
            await _assess(pool, abusive, now),
        )
    finally:
        await pool.stop()


def _abusive(rng: random.Random, world: World, now: datetime) -> list[Letter]:
    # what a hijacked mailbox sends: the spammer's texts without a script's traces
    mailbox = next(sender for one in world.customers for sender in one.senders if not sender.auth_user)
    return [abusive_letter(rng, mailbox, rng.choice(world.bought_list), now) for _ in range(_ABUSIVE)]


async def _assess(pool: ContentPool, letters: Sequence[Letter], now: datetime) -> list[Sample]:
    requests = [ContentRequest(one.content, one.mail_from, "demo.mailweir.example", now.timestamp()) for one in letters]
    found = await asyncio.gather(*(pool.assess(request) for request in requests))
    return [Sample(letter, result) for letter, result in zip(letters, found, strict=True)]
