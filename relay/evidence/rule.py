"""Which row of the suppression list follows from what came back (spec 2.12). Pure.

A hard bounce: 30 days the first time, 180 from the second on; a complaint: until somebody removes it. Never for 5.7.x
(we are refused, not the address), never for words that nobody knows: those are no hard bounce to begin with.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from relay.control.suppression.suppressed import Blocked, Reason, Suppression
from relay.settings import Suppression as Settings

# What was under way when the first bounce came bounces too, and is not a second time
_SAME = timedelta(days=1)
_EVIDENCE_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Evidence:
    """A recipient of an account's message failed for good (`is_hard`: the address does not exist), or complained."""

    account: str
    address: str
    reason: Reason
    message_id: str
    enhanced: str = ""
    said: str = ""
    is_hard: bool = False


def row_after(evidence: Evidence, known: Blocked | None, settings: Settings, now: datetime) -> Suppression | None:
    """Return the row to put on the list, None when what is `known` of the address, over or not, may stay as it is."""
    match evidence.reason:
        case Reason.COMPLAINT:
            return None if known is not None and known.ends_at is None else _row(evidence, now, None)
        case Reason.HARD_BOUNCE:
            return _after_bounce(evidence, known, settings, now)
        case _:
            return None


def _after_bounce(evidence: Evidence, known: Blocked | None, settings: Settings, now: datetime) -> Suppression | None:
    if not (settings.hard_bounces and evidence.is_hard) or evidence.enhanced.startswith("5.7."):
        return None
    first = timedelta(days=settings.first_days)
    if known is not None:
        if known.ends_at is None or (known.reason is not Reason.HARD_BOUNCE and known.ends_at > now):
            return None
        if known.ends_at >= now + max(first - _SAME, timedelta()):
            return None
    is_again = known is not None and known.reason is Reason.HARD_BOUNCE
    return _row(evidence, now, now + (timedelta(days=settings.again_days) if is_again else first))


def _row(evidence: Evidence, now: datetime, ends_at: datetime | None) -> Suppression:
    said = f"message {evidence.message_id}: {evidence.enhanced} {evidence.said}".replace("  ", " ").strip(": ")
    return Suppression(
        evidence.account, evidence.address.lower(), evidence.reason, said[:_EVIDENCE_CHARACTERS], now, ends_at
    )
