"""Which egress pool a message leaves through: the one its sender's reputation earns (spec 2.2, 2.6, 2.10). Pure."""

from dataclasses import dataclass
from datetime import datetime

from relay.delivery.egress.sources import FAIR, FORWARD, GOOD, NEW, SUSPECT
from relay.policy.decisions.decision import Standing, State
from relay.policy.triggers.newcomers import NEWCOMER_SECONDS

_BAD_BANDS = ("poor", "bad")


@dataclass(frozen=True, slots=True)
class Leaving:
    """A message that leaves: where its sender stands and since when it is known, its score, and its account's pool."""

    state: State
    first_seen_unix: float
    score: float | None
    is_forwarded: bool = False
    dedicated: str = ""


def pool_name(message: Leaving, suspect_score: float, now: datetime) -> str:
    """Return the pool's name. What is suspect never leaves through an account's own pool."""
    state, score = message.state, message.score
    is_suspect = (
        (score is not None and score >= suspect_score)
        or state.standing not in (Standing.OK, Standing.NEW)
        or state.multiplier < 1
        or state.band in _BAD_BANDS
        or state.is_reinstated(now)
    )
    if message.dedicated and not is_suspect:
        return message.dedicated
    if message.is_forwarded:
        return FORWARD
    if is_suspect:
        return SUSPECT
    if now.timestamp() - message.first_seen_unix < NEWCOMER_SECONDS:
        return NEW
    return GOOD if state.band == GOOD else FAIR
