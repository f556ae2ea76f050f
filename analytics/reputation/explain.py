"""What each signal of a reputation was counted from, and what it costs; the costs add up to the score exactly."""

import msgspec
import numpy as np
from scipy.special import betaincinv

from analytics.reputation.counts import TRACKS, Counts
from analytics.reputation.score import SIGNALS, Scores


class SignalCost(msgspec.Struct, frozen=True, kw_only=True):
    """One signal of one entity, on the half-life that speaks worst. `rate`: the posterior's mean, `low` and `high`
    hold it with 90 %; counts are decayed. A listing has no counts: `points` only."""

    signal: str
    points: float
    bad: float = 0.0
    seen: float = 0.0
    rate: float = 0.0
    low: float = 0.0
    high: float = 0.0
    half_life_seconds: int = 0


def costs(counts: Counts, scores: Scores) -> list[list[SignalCost]]:
    """Per entity the signals that something was counted for, or that cost something, the dearest first."""
    rows = np.arange(len(counts.entities))[:, None]
    a, b = scores.posterior
    rate, low, high = a / (a + b), betaincinv(a, b, 0.05), betaincinv(a, b, 0.95)
    bad, seen = counts.bad[rows, scores.tracks], counts.seen[rows, scores.tracks]
    found = []
    for number, points in enumerate(scores.points):
        mine = [
            SignalCost(
                signal=signal,
                points=float(points[place]),
                bad=round(float(bad[number, place]), 3),
                seen=round(float(seen[number, place]), 3),
                rate=round(float(rate[number, place]), 6),
                low=round(float(low[number, place]), 6),
                high=round(float(high[number, place]), 6),
                half_life_seconds=TRACKS[scores.tracks[number, place]].half_life_seconds,
            )
            for place, signal in enumerate(SIGNALS)
            if points[place] > 0 or seen[number, place] > 0
        ]
        mine += [SignalCost(signal="listing", points=float(points[-1]))] if points[-1] > 0 else []
        found.append(sorted(mine, key=lambda one: -one.points))
    return found
