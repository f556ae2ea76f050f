"""Traffic: when a sender writes, to whom, and what comes of it.

Delays are log-normal, stated in `Habits`. A mailbox provider answers in seconds; nine of ten dead addresses are refused
at once, the tenth bounces later; complaints come hours after delivery, as by feedback loops.
"""

import heapq
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from analytics.simulation.providers import PROVIDERS
from analytics.simulation.trial.mail import DAY, HOUR, Actor, Mail, Text
from analytics.simulation.world import activity

LATENCY_MEDIAN, LATENCY_SIGMA = 1.5, 0.8  # seconds: p95 5.6 s
LATE_BOUNCES, BOUNCE_MEDIAN, BOUNCE_SIGMA = 0.1, 300.0, 1.5  # of the dead; p95 59 min
COMPLAINT_MEDIAN, COMPLAINT_SIGMA = 3 * HOUR, 1.2  # p90 14 h, p95 22 h
_DOMAINS = [domain for one in PROVIDERS for domain in one.domains]
_WEIGHTS = [one.weight / len(one.domains) for one in PROVIDERS for _ in one.domains]


class Audience:
    """Addresses that are written to. A list is cleaned of what bounced, as its owner's software does."""

    def __init__(self, rng: random.Random, size: int, *, dead: float = 0.0, prefix: str = "p") -> None:
        self._rng = rng
        count = round(size * dead)
        self._addresses = [address(rng, f"{prefix}{number}", is_dead=number < count) for number in range(size)]
        rng.shuffle(self._addresses)
        self._next = 0

    def any(self) -> str:
        return self._rng.choice(self._addresses)

    def following(self) -> str:
        """The next one of the list, from its beginning again after the last."""
        self._next = self._next % len(self._addresses) + 1
        return self._addresses[self._next - 1]

    def clean(self, gone: str) -> None:
        if gone in self._addresses and len(self._addresses) > 1:
            self._addresses.remove(gone)


@dataclass(frozen=True, slots=True)
class Habits:
    """How a flow's mail is received. Shares lie in [0, 1]; `strangers`: to addresses never written to before."""

    complaints: float = 0.0002
    strangers: float = 0.0
    dead_strangers: float = 0.01
    is_list: bool = False
    is_abusive: bool = False
    client_ip: str = ""


@dataclass(frozen=True, slots=True)
class Flow:
    """What one sender writes at `instants` (Unix seconds, ascending)."""

    actor: Actor
    instants: Sequence[float] | Iterator[float]
    texts: Sequence[Text]
    audience: Audience | None
    habits: Habits = field(default_factory=Habits)

    def mails(self, rng: random.Random) -> Iterator[Mail]:
        habits, actor = self.habits, self.actor
        for at in self.instants:
            recipient = self._recipient(rng)
            is_dead = recipient.startswith("gone.")
            yield Mail(
                at=at,
                actor=actor,
                recipient=recipient,
                text=rng.choice(self.texts),
                is_abusive=habits.is_abusive,
                is_dead=is_dead,
                latency=rng.lognormvariate(math.log(LATENCY_MEDIAN), LATENCY_SIGMA),
                reported_after=_reported(rng, habits.complaints, is_dead=is_dead),
                client_ip=habits.client_ip or actor.client_ip,
            )
            if is_dead and self.audience is not None and not habits.is_abusive:
                self.audience.clean(recipient)

    def _recipient(self, rng: random.Random) -> str:
        if self.audience is None or (self.habits.strangers and rng.random() < self.habits.strangers):
            is_dead = rng.random() < self.habits.dead_strangers
            return address(rng, f"s{rng.randrange(10**9)}", is_dead=is_dead)
        return self.audience.following() if self.habits.is_list else self.audience.any()


def address(rng: random.Random, local: str, *, is_dead: bool) -> str:
    """An address at one of the providers; its local part shows whether there is a mailbox."""
    return f"{'gone.' if is_dead else ''}{local}@{rng.choices(_DOMAINS, _WEIGHTS)[0]}"


def rhythmic(rng: random.Random, start: float, days: float, per_day: float, rhythm: str) -> Iterator[float]:
    """Instants of a sender that writes `per_day` messages on an average day of its week. `start` is a Monday, 0:00."""
    week = [activity(rhythm, hour // 24, hour % 24) for hour in range(168)]
    busiest = max(week)
    rate = per_day / DAY * busiest * 168 / sum(week)
    at, end = start, start + days * DAY
    while (at := at + rng.expovariate(rate)) < end:
        if rng.random() * busiest < week[int((at - start) // HOUR) % 168]:
            yield at


def spread(rng: random.Random, begin: float, seconds: float, count: int) -> list[float]:
    """`count` instants, evenly with some chance, from `begin` on."""
    step = seconds / max(count, 1)
    return [begin + (at + rng.random()) * step for at in range(count)]


def bursty(rng: random.Random, instants: Iterator[float], share: float, most: int) -> Iterator[float]:
    """Some instants as a burst of up to `most` within a minute: a shop's machine that catches up."""
    more: list[float] = []
    for at in instants:
        while more and more[0] <= at:
            yield heapq.heappop(more)
        yield at
        if rng.random() < share:
            for _ in range(rng.randrange(1, most)):
                heapq.heappush(more, at + rng.random() * 60)
    yield from sorted(more)


def _reported(rng: random.Random, complaints: float, *, is_dead: bool) -> float | None:
    if is_dead:
        return rng.lognormvariate(math.log(BOUNCE_MEDIAN), BOUNCE_SIGMA) if rng.random() < LATE_BOUNCES else 0.0
    if rng.random() < complaints:
        return rng.lognormvariate(math.log(COMPLAINT_MEDIAN), COMPLAINT_SIGMA)
    return None
