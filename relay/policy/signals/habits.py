"""What is usual for one sender: its volume in this hour of the week, and to whom it writes. Learnt online, bounded.

Of each hour with mail in the last WEEKS weeks two logarithms are kept (recipients, unique ones), 4 bytes an hour:
3.4 kB at most, 100 bytes for most senders. What is usual in an hour of the week is the 95th percentile of that hour and
its two neighbours; hours without mail are zeros. What lies above the sender's line is learnt as the line, so that an
attack does not become usual. Nobody is judged by it before two whole weeks. Pure of clocks; must never decide anything.
"""

import math

import msgspec

from relay.policy.signals.acquaintances import Acquaintances
from relay.settings import Policy

HOUR_SECONDS = 3_600
WEEK_HOURS = 168
WEEKS = 5  # a month's invoices must be remembered the next month

_ENTRY = 4  # hour of the week, week, level of the volume, level of the unique recipients
_BASE = math.log(1.1)
_BITMAP = 64  # bytes: up to some 2,000 unique recipients of an hour are told apart (linear counting, Whang 1990)
_BITS = 8 * _BITMAP


class Usual(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`usual`: 95th percentile of this hour of the week; `most`: of any hour remembered."""

    usual: float = 0.0
    most: float = 0.0


_NOTHING = Usual()


class Habits(msgspec.Struct, array_like=True, gc=False):
    """The hour that runs, and what is usual in it. `weeks`: whole weeks since the first message, at most
    `memory`, which is how many are remembered."""

    hour: int = 0
    volume: int = 0
    nulls: int = 0
    unique_bits: bytearray = msgspec.field(default_factory=bytearray)
    samples: bytearray = msgspec.field(default_factory=bytearray)
    weeks: int = 0
    usual_volume: Usual = _NOTHING
    usual_unique: Usual = _NOTHING
    known: Acquaintances | None = None
    memory: int = WEEKS

    def count(self, amount: int, recipients: tuple[bytes, ...], now_unix: float, first_seen_unix: float) -> None:
        """Count the recipients of one message, hashed where they are known."""
        hour = int(now_unix // HOUR_SECONDS)
        if hour > self.hour:
            self._turn(hour, first_seen_unix)
        self.volume += amount
        if recipients:
            bits = self.unique_bits
            if not bits:
                bits.extend(bytes(_BITMAP))
            for one in recipients:
                bits[one[0] & 63] |= 1 << (one[1] & 7)

    @property
    def unique(self) -> int:
        """About how many different recipients this hour had."""
        free = _BITS - int.from_bytes(self.unique_bits, "little").bit_count()
        return round(_BITS * math.log(_BITS / max(free, 1))) if self.unique_bits else 0

    def _turn(self, hour: int, first_seen_unix: float) -> None:
        """Remember the hour that is over; look up what is usual in the one that begins."""
        if self.volume:
            self._learn()
        self.volume = self.nulls = 0
        del self.unique_bits[:]
        self.hour = hour
        self.weeks = min(int(hour - first_seen_unix // HOUR_SECONDS) // WEEK_HOURS, self.memory)
        volumes, uniques = [], []
        near = {(hour + shift) % WEEK_HOURS for shift in (-1, 0, 1)}
        samples = self.samples
        for at in range(0, len(samples), _ENTRY):
            if samples[at] in near:
                volumes.append(samples[at + 2])
                uniques.append(samples[at + 3])
        self.usual_volume = _usual(volumes, samples[2::_ENTRY], self.weeks)
        self.usual_unique = _usual(uniques, samples[3::_ENTRY], self.weeks)

    def _learn(self) -> None:
        volume, unique = float(self.volume), float(self.unique)
        if self.weeks >= 2:
            volume, unique = min(volume, line(self.usual_volume)), min(unique, line(self.usual_unique))
        week = self.hour // WEEK_HOURS
        self.samples += bytes((self.hour % WEEK_HOURS, week & 255, _level(volume), _level(unique)))
        while self.samples and (week - self.samples[1]) & 255 > self.memory:
            del self.samples[:_ENTRY]


# A seasonal peak of three times the usual, a month's invoices and a newsletter at another hour stay below; a mailbox
# that sends 10 an hour and 30 at most is over it at 100
LEAST, TIMES_USUAL, TIMES_MOST = 100.0, 10.0, 3.0


def line(usual: Usual) -> float:
    """More than this in one hour is not this sender's habit."""
    return max(LEAST, TIMES_USUAL * usual.usual, TIMES_MOST * usual.most)


def is_to_strangers(habits: Habits | None, strangers: int, amount: int, policy: Policy) -> bool:
    """Tell whether a sender that writes to people it knows writes to strangers now."""
    known = habits.known if habits else None
    if known is None or not known.is_settled or 2 * strangers < amount:
        return False
    return known.usual_share < policy.stranger_line / 2


def _usual(near: list[int], every: bytearray, weeks: int) -> Usual:
    cells = 3 * max(weeks, 1)
    top = sorted(near, reverse=True)[:2]
    first, second = (_value(level) for level in (*top, 0, 0)[:2])
    share = min(0.05 * (cells - 1), 1.0)  # the 95th percentile of at most 15 lies between the two highest
    return Usual(round(first - share * (first - second), 1), round(_value(max(every, default=0)), 1))


def _level(count: float) -> int:
    return min(round(math.log1p(count) / _BASE), 255)


def _value(level: int) -> float:
    return math.expm1(level * _BASE)
