"""Limits as values: what a claim asks for, what it met, and the words for both (spec 2.3).

Pure: counting is ledger.py's, which limits apply to whom is admission.py's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from relay.policy.limits.levels import Level, LimitSet
from relay.reply import Reply, printable

MULTIPLIER_LOW, MULTIPLIER_HIGH = 0.1, 4.0  # spec 2.3
GROWN_UP_SECONDS = 7 * 86_400  # a younger sender's multiplier never exceeds 1 (spec 2.3)
REPLY_TEXT_LENGTH = 480  # a reply line has 512 bytes with code, enhanced code and CRLF (RFC 5321 4.5.3.1.5)

_BAND_FLOOR = 200  # spec 2.1: accept and hold up to max(200, 2 x hourly limit)
MULTIPLIED = ("rcpts_per_hour", "rcpts_per_day", "unique_rcpts_per_hour")


@dataclass(frozen=True, slots=True)
class Claim:
    """One key that must have room: `row` is its name in the ledger, `whose` the one for readers.

    In `limits` None and 0 are no limit; they are `base` x `multiplier`. `band`: recipients that may be booked ahead
    when there is no room now; 0: none, refuse. `is_shared`: by senders that must not wait for each other's bookings;
    such a claim limits recipients of an hour only.
    """

    level: Level
    row: str
    whose: str
    limits: LimitSet
    base: LimitSet
    multiplier: float = 1.0
    band: int = 0
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """What a message asks for. `recipients` are hashed, empty where nobody limits unique ones.

    Not `is_final`: a reservation at RCPT, which counts recipients only; the message, and who is written to, are
    counted at DATA.
    """

    amount: int
    recipients: Sequence[bytes] = ()
    is_final: bool = True


@dataclass(frozen=True, slots=True)
class LimitUse:
    """What a message met at the claim that decides: the one it was refused or delayed by, else its end sender's.

    `used` includes it when it was allowed now. `next_unix`: when the same message fits (one above the limit itself:
    when the whole limit is free); the time of the request when it was allowed. `due_unix`: allowed, but not before.
    `band` is the cap when the band is full.
    """

    used: int
    limit: int
    is_allowed: bool
    next_unix: float
    asked: int = 1
    name: str = "rcpts_per_hour"
    whose: str = ""
    base: int = 0
    multiplier: float = 1.0
    due_unix: float | None = None
    booked: int = 0
    band: int = 0


def effective_limit(base: int, multiplier: float, age_seconds: float) -> int:
    """Return the limit in force: base x multiplier, at least 1, never above base for a sender younger than 7 days."""
    high = MULTIPLIER_HIGH if age_seconds >= GROWN_UP_SECONDS else 1.0
    return max(1, round(base * min(max(multiplier, MULTIPLIER_LOW), high)))


def in_force(base: LimitSet, multiplier: float, age_seconds: float) -> LimitSet:
    """Multiply those limits that reputation moves; what is not limited stays so."""
    if multiplier == 1:
        return base
    hour, day, unique = (
        effective_limit(limit, multiplier, age_seconds) if (limit := getattr(base, name)) else limit
        for name in MULTIPLIED
    )
    return LimitSet(hour, day, unique, base.rcpts_per_message, base.messages_per_hour)


def band_of(limits: LimitSet) -> int:
    """How many recipients of one sender may wait for room (spec 2.1)."""
    return max(_BAND_FLOOR, 2 * (limits.rcpts_per_hour or 0))


def numbers(use: LimitUse) -> str:
    """Say limit, use and the next free time."""
    text = f"limit={use.limit}, used={use.used}, asked={use.asked}, base={use.base or use.limit} x {use.multiplier:g}"
    if use.band:
        text += f", waiting={use.booked} of {use.band}"
    return f"{text}, next={_instant(use.next_unix)}"


def refusal(use: LimitUse) -> Reply:
    """The reply to a message, or a recipient, that finds no room."""
    if use.name == "rcpts_per_message":
        text = f"[RATE] {use.whose} over rcpts_per_message: limit={use.limit}, asked={use.asked}; send the rest apart"
        return Reply(452, "4.5.3", printable(text, REPLY_TEXT_LENGTH))
    advice = "; one message asks for more than the limit itself, split it" if use.asked > use.limit else ""
    text = f"[RATE] {use.whose} over {use.name}: {numbers(use)}{advice}"
    return Reply(451, "4.7.1", printable(text, REPLY_TEXT_LENGTH))


def delay(use: LimitUse, queue_id: str) -> Reply:
    """The reply to a message that is taken, and leaves when there is room."""
    text = (
        f"queued as {queue_id} (delayed until {_instant(use.due_unix or use.next_unix)}, "
        f"[RATE] {use.whose} over {use.name}: {numbers(use)})"
    )
    return Reply(250, "2.0.0", printable(text, REPLY_TEXT_LENGTH))


def _instant(unix: float) -> str:
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%dT%H:%M:%SZ}"
