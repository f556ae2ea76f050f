"""From counts to a score that explains itself: score = 100 exp(-sum of points), one number of points per signal.

points = -ln(1 - w z), where z places the 5 % lower bound of the signal's Beta posterior between a good and a bad rate
on the logit scale (spec 2.7). Pure: arrays in, arrays out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, logit

from analytics.reputation.counts import PRIOR_WEIGHTS, TRACKS, Counts, Floats

SIGNALS = ("spam", "hard_bounce", "complaint", "block")
_GOOD = {"spam": 0.01, "hard_bounce": 0.02, "complaint": 0.0005, "block": 0.01}
_BAD = {"spam": 0.20, "hard_bounce": 0.10, "complaint": 0.005, "block": 0.20}
_WEIGHT = {"spam": 0.9, "hard_bounce": 0.6, "complaint": 0.9, "block": 0.7}

KNOWN_FROM = 50
_DRAWS = 1000
_CHUNK = 500  # entities at once: 500 x 4 x 1000 draws are 16 MB


@dataclass(frozen=True, slots=True)
class Scores:
    """One row per entity. `points`: (entities, SIGNALS and "listing"), adding up to -ln(score / 100). `low` and `high`
    bound the score with about 90 %, from joint draws of all signals. `tracks`: (entities, SIGNALS), the column of
    counts.TRACKS that speaks worst; `posterior`: its Beta's a and b, the same shape."""

    score: Floats
    low: Floats
    high: Floats
    points: Floats
    bands: list[str]
    tracks: npt.NDArray[np.intp]
    posterior: tuple[Floats, Floats]


def assess(counts: Counts, listing_points: Floats | None = None, seed: int = 1) -> Scores:
    """Score every entity. `listing_points`: what DNS lists cost each, 0 when not given."""
    size = len(counts.entities)
    listing = np.zeros(size) if listing_points is None else listing_points
    weight = np.array([PRIOR_WEIGHTS[track.signal] for track in TRACKS])
    # Not below 1e-6: a Beta with a zero has no quantiles.
    a = np.maximum(counts.bad + weight * counts.prior, 1e-6)
    b = np.maximum(counts.seen - counts.bad + weight * (1 - counts.prior), 1e-6)
    z = _place(betaincinv(a, b, 0.05))
    chosen = _worst_track(z)
    rows = np.arange(size)[:, None]
    points = np.column_stack([_points(z[rows, chosen]), listing])
    score = 100 * np.exp(-points.sum(axis=1))
    posterior = a[rows, chosen], b[rows, chosen]
    low, high = _interval(*posterior, listing, seed)
    low, high = np.minimum(low, score), np.maximum(high, score)
    bands = [_band(*row) for row in zip(score, counts.n, listing, strict=True)]
    return Scores(score, low, high, points, bands, chosen, posterior)


def shares(points: Floats) -> dict[str, float]:
    """Name the points of one entity, those that cost anything; not rounded, they add up."""
    named = zip((*SIGNALS, "listing"), points, strict=True)
    return {signal: float(value) for signal, value in named if value > 0}


def _worst_track(z: Floats) -> Any:
    """Per entity and signal the column of the track that speaks worst: a burst shows in an hour, a habit in a week.

    When none says anything, the slowest: it knows most, a quiet hour knows nothing.
    """
    columns = []
    for signal in SIGNALS:
        of_signal = np.array([number for number, track in enumerate(TRACKS) if track.signal == signal])[::-1]
        columns.append(of_signal[np.argmax(z[:, of_signal], axis=1)])
    return np.column_stack(columns)


def _place(rate: Floats) -> Floats:
    names = [track.signal for track in TRACKS]
    return _between(rate, names)


def _between(rate: Floats, names: list[str]) -> Floats:
    good = logit(np.array([_GOOD[name] for name in names]))
    bad = logit(np.array([_BAD[name] for name in names]))
    # Draws of a Beta with a tiny parameter come out as exactly 0 or 1.
    place = (logit(np.clip(rate, 1e-12, 1 - 1e-12)) - good) / (bad - good)
    return np.asarray(np.clip(place, 0, 1))


def _points(z: Floats) -> Floats:
    return np.asarray(-np.log1p(-z * np.array([_WEIGHT[signal] for signal in SIGNALS])))


def _interval(a: Floats, b: Floats, listing: Floats, seed: int) -> tuple[Floats, Floats]:
    low, high = np.empty(len(a)), np.empty(len(a))
    chance = np.random.default_rng(seed)
    for start in range(0, len(a), _CHUNK):
        part = slice(start, start + _CHUNK)
        rates = chance.beta(a[part], b[part], size=(_DRAWS, *a[part].shape))
        scores = 100 * np.exp(-_points(_between(rates, list(SIGNALS))).sum(axis=2) - listing[part])
        low[part], high[part] = np.quantile(scores, (0.05, 0.95), axis=0)
    return low, high


def _band(score: float, n: float, listing: float) -> str:
    """A sender with little behind it is unknown; a listed address is known by its listing."""
    if n < KNOWN_FROM and not listing:
        return "unknown"
    if score >= 80:
        return "good"
    if score >= 60:
        return "fair"
    return "poor" if score >= 30 else "bad"
