"""A week of plausible history in closed journal files; analytics ingests them at start like any others.

Each customer sends by its own rhythm; there were failed logins one night, and two incidents (incidents.py).
"""

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from analytics.simulation.chronicle import Chronicle, JournalWriter
from analytics.simulation.incidents import write_incidents
from analytics.simulation.samples import Samples
from analytics.simulation.world import Customer, World, activity, seeded
from relay.events import AuthFailure

_WEEK = timedelta(days=7)
# The demo's pace is far above that of a week of 50,000 messages. So traffic grows towards it, e-fold in this time:
# charts of an hour or a day then have a busy morning, and no cliff where the demo begins.
_GROWTH = timedelta(minutes=40)
_GROWS_FOR = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    messages: int
    records: int
    files: int


def write_week(folder: Path, world: World, samples: Samples, until: datetime, live_rate: float) -> Written:
    """Write the week before `until` into a journal folder. `live_rate`: messages a second at its end."""
    begun_at = until - _WEEK
    with (
        JournalWriter(folder, "relay", begun_at) as writer,
        JournalWriter(folder, "analytics", begun_at) as complaints,
    ):
        chronicle = Chronicle(world, writer, complaints)
        rng = seeded("week", world.seed)
        for customer, at in _schedule(rng, world, until, live_rate):
            sender = rng.choice(customer.senders)
            sample = rng.choice(samples.honest[sender.key])
            reception = chronicle.message(customer, sender, sample, rng.choice(customer.recipients), at)
            chronicle.deliver(reception, at)
        write_incidents(chronicle, samples, until)
        _write_guesses(rng, writer, until)
    return Written(chronicle.messages, writer.records + complaints.records, writer.files + complaints.files)


def _schedule(rng: random.Random, world: World, until: datetime, live_rate: float) -> list[tuple[Customer, datetime]]:
    """Say who sends when: each customer by its own rhythm, then ever faster up to the demo's pace."""
    start = until - _WEEK
    hours = [start + timedelta(hours=hour) for hour in range(7 * 24)]
    found: list[tuple[datetime, int]] = []
    for index, customer in enumerate(world.customers):
        busy = [activity(customer.rhythm, at.weekday(), at.hour) for at in hours]
        per_hour = customer.weekly / sum(busy)
        for at, level in zip(hours, busy, strict=True):
            for _ in range(_poisson(rng, per_hour * level)):
                found.append((at + timedelta(seconds=rng.random() * 3600), index))
        for _ in range(_poisson(rng, live_rate * customer.share * _GROWTH.total_seconds())):
            found.append((until - min(_GROWTH * rng.expovariate(1), _GROWS_FOR), index))
    return [(world.customers[index], at) for at, index in sorted(found)]


def _poisson(rng: random.Random, mean: float) -> int:
    """Draw a count: Knuth's method below 50, where exp(-mean) is well above zero, the normal curve beyond."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    count, product, limit = 0, rng.random(), math.exp(-mean)
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def _write_guesses(rng: random.Random, writer: JournalWriter, until: datetime) -> None:
    """Somebody tried passwords, one night."""
    night = (until - timedelta(days=3)).replace(hour=2, minute=11, second=0)
    for number in range(180):
        at = night + timedelta(seconds=number * 4 + rng.random())
        ip = f"203.0.113.{rng.randrange(40, 44)}"
        writer.append(
            AuthFailure(**writer.stamp(at), client_ip=ip, login_hash=f"{rng.getrandbits(64):016x}", mechanism="PLAIN")
        )
