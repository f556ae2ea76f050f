"""Whether a DNS list is alive: it lists what every list lists, and does not list what none does (RFC 5782 section 5).

Without that proof nothing it says counts: dead lists have begun to list the whole world, and closed ones nothing.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from analytics.listings.asking import NO_ANSWER, Asker, Heard, labels
from relay.dns_lists import DnsList, Said

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=5), timedelta(hours=1)
_POINTS = {
    "ip4": ("127.0.0.2", "127.0.0.1"),
    "ip6": ("::ffff:7f00:2", "::ffff:7f00:1"),
    "domain": ("TEST", "INVALID"),
}


class Condition(StrEnum):
    """What a list's two test points tell."""

    HEALTHY = "healthy"
    EVERYTHING = "lists everything"
    EMPTY = "lists nothing"
    REFUSES = "refuses us"
    PARKED = "parked"
    SILENT = "does not answer"
    FAILS = "fails"


# What is said of everybody by a list in this condition
SAID = {
    Condition.EVERYTHING: Said.PARKED,
    Condition.EMPTY: Said.UNKNOWN,
    Condition.REFUSES: Said.REFUSED,
    Condition.PARKED: Said.PARKED,
    Condition.SILENT: Said.UNKNOWN,
    Condition.FAILS: Said.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Health:
    """A list's condition, with the answer that shows it. `failures` in a row; no question before `again_at`."""

    condition: Condition
    text: str
    tested_at: datetime
    failures: int = 0
    again_at: datetime | None = None

    @property
    def is_healthy(self) -> bool:
        return self.condition is Condition.HEALTHY


def family(one: DnsList, subject: str) -> str:
    """Which test points vouch for an answer about a subject."""
    return "domain" if one.kind == "domain" else "ip6" if ":" in subject else "ip4"


async def examine(asker: Asker, one: DnsList, points: str, before: Health | None, now: datetime) -> Health:
    """Test a list for a family of subjects; `before`: the last test."""
    listed, never = _POINTS[points]
    heard = await asyncio.gather(asker.ask(one, labels(one.test or listed)), asker.ask(one, labels(never)))
    condition, text = judge(*heard)
    health = Health(condition, text, now)
    return health if health.is_healthy else broken(health, before, now)


def broken(health: Health, before: Health | None, now: datetime) -> Health:
    """The same, left alone for a while that doubles from failure to failure."""
    failures = (before.failures if before else 0) + 1
    return replace(
        health, failures=failures, again_at=now + min(_FIRST_PAUSE * 2 ** min(failures - 1, 9), _LONGEST_PAUSE)
    )


def judge(listed: Heard, never: Heard) -> tuple[Condition, str]:
    """Tell a list's condition from what it says of a name every list has, and of one that none has."""
    said = (listed.said, never.said)
    if Said.REFUSED in said:
        return Condition.REFUSES, (listed if listed.said is Said.REFUSED else never).text
    if Said.PARKED in said:
        return Condition.PARKED, (listed if listed.said is Said.PARKED else never).text
    if _is_answer(never):
        return Condition.EVERYTHING, f"its test point that must not be listed is: {never.text}"
    unanswered = next(
        (heard for heard in (listed, never) if heard.said is Said.UNKNOWN and not _is_answer(heard)), None
    )
    if unanswered:
        return (Condition.SILENT if unanswered.text == NO_ANSWER else Condition.FAILS), unanswered.text
    if _is_answer(listed):
        return Condition.HEALTHY, listed.text
    return Condition.EMPTY, "its test point that must be listed is not"


def _is_answer(heard: Heard) -> bool:
    """An answer in 127/8 is a listing of a test point, whether or not the table knows its code."""
    return heard.said is Said.LISTED or (heard.said is Said.UNKNOWN and heard.text.startswith("127."))
