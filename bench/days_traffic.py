"""Who writes to whom in a simulated month: end senders with rhythms of their own, and one that sends to everybody."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.personas import DAY, HOUR, Persona

_GROWTH = 1.085  # a day: the customers of a new server move in
_WEEKEND = 0.45
_BAD = "reject-550-5.1.1"  # the sink's word for a user it does not know
_BAD_SHARE = 0.01
_TWO_SHARE = 0.03  # mail for two recipients of one domain
_BEGINS, _ENDS = 8, 19  # the working day, UTC


@dataclass(frozen=True, slots=True)
class EndSender:
    """`pool`: of the egress, by its standing. share: of all mail. night: what is left of the rate outside working
    hours. A bulk sender writes all of it in the hour from `bulk_hour` on, on Tuesdays and Thursdays."""

    key: str
    pool: str
    share: float
    night: float
    bulk_hour: int | None = None


SENDERS = (
    EndSender("acme|x-authuser|shop", "good", 0.30, 0.7),
    EndSender("acme|x-authuser|booking", "good", 0.15, 0.5),
    EndSender("acme|x-authuser|crm", "fair", 0.15, 0.2),
    EndSender("zeta|x-authuser|office", "fair", 0.12, 0.1),
    EndSender("zeta|x-authuser|site", "fair", 0.08, 0.8),
    EndSender("zeta|x-authuser|forum", "suspect", 0.05, 0.6),
    EndSender("zeta|x-authuser|letter", "fair", 0.15, 0.0, bulk_hour=10),
)


@dataclass(frozen=True, slots=True, order=True)
class Order:
    """One message to be stored: when (seconds since the start), by whom, to whom."""

    at: float
    number: int
    sender: EndSender
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Calendar:
    """first_day_mails: on day 1; the days without any mail are numbers from 1. Day 1 is a Monday."""

    days: int
    first_day_mails: float
    silent_days: Sequence[int] = ()


def orders(calendar: Calendar, personas: Sequence[Persona], seed: int) -> Iterator[Order]:
    """All messages of the month, in the order of time."""
    dice, number = random.Random(seed), 0
    for day in range(calendar.days):
        if day + 1 in calendar.silent_days:
            continue
        volume = calendar.first_day_mails * _GROWTH**day * (_WEEKEND if day % 7 >= 5 else 1.0)
        todays = []
        for sender in SENDERS:
            for at in _times(sender, day, volume * sender.share, dice):
                todays.append(Order(day * DAY + at, number, sender, _recipients(personas, dice)))
                number += 1
        yield from sorted(todays)


def _times(sender: EndSender, day: int, count: float, dice: random.Random) -> Iterator[float]:
    """The seconds of the day at which a sender writes."""
    if sender.bulk_hour is not None:
        if day % 7 in (1, 3):
            yield from (sender.bulk_hour * HOUR + dice.random() * HOUR for _ in range(round(count * 3.5)))
        return
    for _ in range(round(count)):
        at = dice.random() * DAY
        while not _BEGINS <= at / HOUR < _ENDS and dice.random() > sender.night:
            at = dice.random() * DAY
        yield at


def _recipients(personas: Sequence[Persona], dice: random.Random) -> tuple[str, ...]:
    pairs = [(persona, domain, part) for persona in personas for domain, part in persona.domains.items()]
    persona, domain, _ = dice.choices(pairs, [part for *_, part in pairs])[0]
    local = _BAD if persona.local == "user" and dice.random() < _BAD_SHARE else persona.local
    count = 2 if dice.random() < _TWO_SHARE else 1
    return tuple(f"{local}+{dice.randrange(10**9)}@{domain}" for _ in range(count))
