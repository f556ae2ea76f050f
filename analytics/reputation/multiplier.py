"""The first decision of the slow loop: a sender's band sets the multiplier of its limit, and by its name the egress
pool of its mail, through the control API.

Analytics signs as itself; each decision says why, ends by itself and is renewed while it holds. A band nobody knows
enough about sends nothing, and neither does a raise that nobody needs. That a sender is good, and no more, is news of
a week: most senders are, and the relay keeps every decision.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from analytics.warehouse import Connection, Warehouse, transaction
from relay.control.client import ControlClient, ControlError, ControlUnreachable
from relay.control.views import NewDecision
from relay.policy.decisions.decision import Effect

_log = logging.getLogger("mailweir.reputation")

RULE = "reputation_band"
LASTS, GOOD_LASTS = timedelta(hours=6), timedelta(days=7)
_RENEW_BEFORE, _GOOD_RENEW_BEFORE = timedelta(hours=1), timedelta(days=1)
_SENT_AT_ONCE = 50  # are remembered in one transaction: one each kept ingestion waiting for half a minute
GOOD_AT_ONCE = 200  # of those in one run; the first run of an old installation has thousands

_VALUES = {"fair": 1.0, "poor": 0.5, "bad": 0.25}
_OLD_DAYS = 7
_TRUSTED_DAYS = 28
_MOST = 1.5
# A raise is sent to who came this near its limit in the last day; for all others it would be noise in the log.
_NEEDS_RAISE = 0.5

_STANDINGS = """
SELECT r.entity AS sender, r.account, r.band, r.score, r.low, r.high, r.n, r.points,
       p.band AS sent_band, p.value AS sent_value, p.ends_at AS sent_until,
       f.first_at,
       coalesce(u.peak, 0) AS peak
FROM reputation_now r
LEFT JOIN published p ON p.sender = r.entity
LEFT JOIN (SELECT sender, min(hour) AS first_at FROM rollup_hour GROUP BY sender) f ON f.sender = r.entity
LEFT JOIN (
    SELECT sender, max(hour_used / hour_limit) AS peak
    FROM message
    WHERE received_at >= $now - INTERVAL 1 DAY AND hour_limit > 0
    GROUP BY sender
) u ON u.sender = r.entity
WHERE r.entity_kind = 'sender' AND r.band <> 'unknown'
ORDER BY r.entity
"""

_WORDS = {
    "spam": "messages scored as spam",
    "hard_bounce": "hard bounces",
    "complaint": "complaints",
    "block": "refusals by destinations",
    "listing": "DNS listings",
}


class NotSent(Exception):
    """Decisions wait for the relay; they are sent at the next run."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A sender's reputation, what was sent for it last, its age, and the highest share of its limit it used."""

    sender: str
    account: str
    band: str
    score: float
    low: float
    high: float
    n: int
    points: str
    sent_band: str | None
    sent_value: float | None
    sent_until: datetime | None
    first_at: datetime | None
    peak: float


def publish(warehouse: Warehouse, relay: Callable[[], ControlClient], now: datetime) -> int:
    """Send a decision for each sender whose multiplier changed or runs out; return how many.

    Raises NotSent when the relay did not take them all.
    """
    rows = warehouse.table(_STANDINGS, now=now).to_pylist()
    due = [(standing, value) for row in rows if (value := due_value(standing := Standing(**row), now)) is not None]
    due = _without_flood(due)
    if not due:
        return 0
    refused: list[str] = []
    with relay() as client:
        for first in range(0, len(due), _SENT_AT_ONCE):
            sent: list[list[Any]] = []
            try:
                for number, (standing, value) in enumerate(due[first : first + _SENT_AT_ONCE], first):
                    try:
                        stopped = client.propose(proposal(standing, value, now))
                    except ControlUnreachable as error:
                        raise NotSent(f"{len(due) - number} decisions wait for the relay: {error}") from None
                    except ControlError as error:
                        refused.append(f"{standing.sender}: {error}")
                        continue
                    ends_at = now + _lasts(standing, value)
                    sent.append([standing.sender, standing.band, value, stopped.decision.id, now, ends_at])
                    _log.info("multiplier sender=%s band=%s value=%.2f", standing.sender, standing.band, value)
            finally:
                _remember(warehouse, sent)
    if refused:
        raise NotSent(f"the relay refused {len(refused)} of {len(due)} decisions, the first: {refused[0]}")
    return len(due)


def due_value(standing: Standing, now: datetime) -> float | None:
    """The multiplier to send now, or None: nothing changed, or the usual 1.0 is in force anyway."""
    value = multiplier(standing, now)
    lasts = standing.sent_until is not None and standing.sent_until > now
    in_force = standing.sent_value if lasts and standing.sent_value is not None else 1.0
    if not lasts or standing.band != standing.sent_band:
        was_good = lasts and standing.sent_band == "good"
        return value if value != in_force or was_good or standing.band == "good" else None
    assert standing.sent_until is not None
    left = standing.sent_until - now
    if in_force == 1.0 and standing.band == "good":
        return value if value != 1.0 or left < _GOOD_RENEW_BEFORE else None
    return value if (value != 1.0 or standing.band == "good") and left < _RENEW_BEFORE else None


def multiplier(standing: Standing, now: datetime) -> float:
    """What a band does to the limit; good ones grow with age, from a week on, when they need it."""
    if standing.band != "good":
        return _VALUES[standing.band]
    days = (now - standing.first_at).days if standing.first_at else 0
    if days < _OLD_DAYS or standing.peak < _NEEDS_RAISE:
        return 1.0
    return round(1 + (_MOST - 1) * min(1.0, days / _TRUSTED_DAYS), 2)


def proposal(standing: Standing, value: float, now: datetime) -> NewDecision:
    """Put it in words, with the numbers beside them."""
    points: dict[str, float] = msgspec.json.decode(standing.points)
    reason = (
        f"reputation {standing.band}: score {standing.score:.0f} of 100, 90 % interval "
        f"{standing.low:.0f} to {standing.high:.0f}, n = {standing.n} messages{_mostly(points)}"
    )
    return NewDecision(
        account=standing.account,
        sender=standing.sender,
        effect=Effect.MULTIPLY,
        rule=RULE,
        reason=reason,
        starts_at=now,
        ends_at=now + _lasts(standing, value),
        evidence={
            "band": standing.band,
            "score": standing.score,
            "low": standing.low,
            "high": standing.high,
            "n": standing.n,
            **points,
        },
        certainty=0.9,
        value=value,
    )


def _lasts(standing: Standing, value: float) -> timedelta:
    return GOOD_LASTS if _is_only_good(standing, value) else LASTS


def _is_only_good(standing: Standing, value: float) -> bool:
    return standing.band == "good" and value == 1.0


def _without_flood(due: list[tuple[Standing, float]]) -> list[tuple[Standing, float]]:
    """What changes a limit first; of the rest so many, the others come with the next runs."""
    plain = [item for item in due if _is_only_good(*item)]
    return [item for item in due if not _is_only_good(*item)] + plain[:GOOD_AT_ONCE]


def _mostly(points: dict[str, float]) -> str:
    if not points:
        return ""
    signal, cost = max(points.items(), key=lambda item: item[1])
    return f"; {100 * cost / sum(points.values()):.0f} % of the loss: {_WORDS[signal]}"


def _remember(warehouse: Warehouse, rows: list[list[Any]]) -> None:
    def write(connection: Connection) -> None:
        with transaction(connection):
            connection.executemany("INSERT OR REPLACE INTO published VALUES (?, ?, ?, ?, ?, ?)", rows)

    if rows:
        warehouse.write(write).result()
