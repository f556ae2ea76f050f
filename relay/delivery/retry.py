"""When a deferred recipient is tried again (spec 2.8), as pure functions."""

from datetime import datetime, timedelta

from relay.settings import Delivery

_DOUBLINGS = 3  # 5, 10, 20, 40 min: with the default first retry the doubling ends at 40 min
_GROWTH = 1.5
_JITTER = 0.2
_GREYLIST_SECONDS = 360.0  # most greylists open after 5 min
_GREYLIST_TRIES = 3


def retry_seconds(attempts: int, settings: Delivery, chance: float, *, is_greylisted: bool = False) -> float:
    """Return the wait after the `attempts`-th failed try (1 is the first). `chance` in [0, 1) is the jitter's dice.

    >>> from relay.settings import Delivery
    >>> [round(retry_seconds(n, Delivery(), 0.5) / 60) for n in range(1, 11)]
    [5, 10, 20, 40, 60, 90, 135, 202, 240, 240]
    >>> retry_seconds(1, Delivery(), 0.5, is_greylisted=True)
    360.0
    """
    first = settings.first_retry_seconds
    if is_greylisted and attempts <= _GREYLIST_TRIES:
        # jittered upwards only: a try before the greylist opens is wasted
        wait = _GREYLIST_SECONDS if first >= _GREYLIST_SECONDS / 2 else first
        return wait * (1 + _JITTER * max(0.0, chance - 0.5))
    doublings = min(attempts - 1, _DOUBLINGS)
    steps = max(0, min(attempts - 1 - _DOUBLINGS, 60))
    wait = min(first * 2.0**doublings * _GROWTH**steps, settings.max_retry_seconds)
    return min(wait * (1 - _JITTER + 2 * _JITTER * chance), settings.max_retry_seconds)


def expires_at(received_at: datetime, settings: Delivery) -> datetime:
    """Return the instant from which a further failure is the last."""
    return received_at + timedelta(hours=settings.lifetime_hours)
