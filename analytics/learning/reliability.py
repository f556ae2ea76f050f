"""How far a model's scores can be trusted on mail of which people have said what it is. Pure; no scikit-learn.

What people look at is no random sample of the mail: much of it was held already. The figures are about those messages.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_Z = 1.959964  # of 95 %
_EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)  # the action lines of the policy are edges: 0.5, 0.9, 0.99

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bin:
    """Messages whose score lies in [from_score, to_score): what the model said of them, and what they were."""

    from_score: float
    to_score: float
    mean_score: float
    messages: int
    bad: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """The ROC curve: recall at each false-positive rate, with the 95 % interval of recall, and the area below it.

    The arrays have one entry for each threshold, (n_thresholds,), rising.
    """

    false_positive_rate: Scores
    recall: Scores
    low: Scores
    high: Scores
    area: float
    area_low: float
    area_high: float


def calibration(scores: Scores, is_bad: Flags) -> list[Bin]:
    """Return the bins that have messages."""
    found = []
    for low, high in pairwise(_EDGES):
        rows = (scores >= low) & ((scores < high) | (high == 1.0))
        n, bad = int(rows.sum()), int(is_bad[rows].sum())
        if n:
            interval = wilson(bad, n)
            found.append(Bin(low, high, float(scores[rows].mean()), n, bad, bad / n, *interval))
    return found


def curve(scores: Scores, is_bad: Flags) -> Curve | None:
    """Return the curve; None without mail of both kinds. Area and interval by DeLong et al. 1988."""
    bad, ham = scores[is_bad], scores[~is_bad]
    if not len(bad) or not len(ham):
        return None
    lines = np.concatenate([[np.inf], np.unique(scores)[::-1]])
    recall = np.array([(bad >= line).mean() for line in lines])
    intervals = np.array([wilson(round(rate * len(bad)), len(bad)) for rate in recall])
    area, low, high = _area(bad, ham)
    return Curve(
        np.array([(ham >= line).mean() for line in lines]), recall, intervals[:, 0], intervals[:, 1], area, low, high
    )


def moved(now: Scores, before: Scores) -> float | None:
    """Return how far a distribution moved: the population stability index of counts by bin; None without counts.

    Below 0.1 it is called the same, above 0.25 another one (Siddiqi 2006, Credit Risk Scorecards). Half a message is
    added to each bin, as an empty one has no logarithm.

    >>> moved(np.array([90.0, 10.0]), np.array([900.0, 100.0])) < 0.01
    True
    """
    if now.sum() <= 0 or before.sum() <= 0:
        return None
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (now, before))
    return float(((p - q) * np.log(p / q)).sum())


def wilson(part: float, whole: float) -> tuple[float, float]:
    """Return the 95 % interval of a rate (Wilson 1927); of nothing it is everything.

    >>> [round(end, 3) for end in wilson(34, 312)]
    [0.079, 0.149]
    """
    if whole <= 0:
        return 0.0, 1.0
    rate, square = part / whole, _Z * _Z
    centre = (rate + square / (2 * whole)) / (1 + square / whole)
    half = _Z / (1 + square / whole) * math.sqrt(rate * (1 - rate) / whole + square / (4 * whole * whole))
    return max(0.0, centre - half), min(1.0, centre + half)


def _area(bad: Scores, ham: Scores) -> tuple[float, float, float]:
    sorted_ham, sorted_bad = np.sort(ham), np.sort(bad)
    above = np.searchsorted(sorted_ham, bad, "left") + np.searchsorted(sorted_ham, bad, "right")
    below = 2 * len(bad) - np.searchsorted(sorted_bad, ham, "left") - np.searchsorted(sorted_bad, ham, "right")
    of_bad, of_ham = above / (2 * len(ham)), below / (2 * len(bad))
    area = float(of_bad.mean())
    if min(len(bad), len(ham)) < 2:
        return area, 0.0, 1.0
    half = _Z * math.sqrt(float(of_bad.var(ddof=1)) / len(bad) + float(of_ham.var(ddof=1)) / len(ham))
    return area, max(0.0, area - half), min(1.0, area + half)
