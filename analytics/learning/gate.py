"""Whether a candidate model is better than the one in use, surely, on mail that neither has learnt from.

Compared message by message by where each stands among those of the other kind: the mean of it is the area under the
ROC curve, its interval comes by resampling messages (DeLong et al. 1988). Not by log loss: a candidate from random
labels, unsure of everything, beat a sure model there by far. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

_HELD = 0.9  # settings.Policy.hold_score
_RESAMPLED = 2000
_LEAST_SLICE = 20  # messages; of fewer nothing is sure
_MOST_MORE_HELD, _MOST_LESS_RECALL = 0.002, 0.02  # at the hold line, over all
_ALL = "all"

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trial:
    """Mail of the time after training: probabilities by both, truth, weight of each label, and slices by name."""

    candidate: Scores
    active: Scores
    is_bad: Flags
    weights: Scores
    slices: Mapping[str, Flags]


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """`gain`: by how much it ranks better (area under the curve), its 95 % interval; shares at the hold line."""

    name: str
    bad: int
    ham: int
    gain: float
    low: float
    high: float
    recall: tuple[float, float]
    false_positive_rate: tuple[float, float]

    @property
    def verdict(self) -> str:
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "unclear"


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the candidate passes, and why; shares are (active, candidate)."""

    passes: bool
    why: str
    slices: list[Slice]


def rule(trial: Trial) -> Ruling:
    """Pass a candidate that is surely better over all, surely worse on no slice, and no worse where mail is held."""
    gains = _standing(trial.candidate, trial.is_bad) - _standing(trial.active, trial.is_bad)
    masks = {_ALL: np.ones(len(trial.is_bad), bool)} | dict(trial.slices)
    slices = [
        _slice(name, trial, gains, mask) for name, mask in masks.items() if name == _ALL or mask.sum() >= _LEAST_SLICE
    ]
    whole, worse = slices[0], [one.name for one in slices[1:] if one.verdict == "worse"]
    rise = whole.false_positive_rate[1] - whole.false_positive_rate[0]
    fall = whole.recall[0] - whole.recall[1]
    if min(whole.bad, whole.ham) < _LEAST_SLICE:
        return Ruling(
            passes=False, why=f"only {whole.bad} bad and {whole.ham} good messages to judge by", slices=slices
        )
    if whole.verdict != "better":
        why = f"not surely better: gain {whole.gain:+.4f}, 95 % from {whole.low:+.4f} to {whole.high:+.4f}"
        return Ruling(passes=False, why=why, slices=slices)
    if worse:
        return Ruling(passes=False, why=f"surely worse on {', '.join(worse)}", slices=slices)
    if rise > _MOST_MORE_HELD:
        return Ruling(passes=False, why=f"would hold {rise:.2%} more of the good mail", slices=slices)
    if fall > _MOST_LESS_RECALL:
        return Ruling(passes=False, why=f"would hold {fall:.1%} less of the bad mail", slices=slices)
    better = ", ".join(one.name for one in slices if one.verdict == "better")
    return Ruling(passes=True, why=f"surely better on {better}; surely worse on none", slices=slices)


def _slice(name: str, trial: Trial, gains: Scores, mask: Flags) -> Slice:
    is_bad, weights, gains = trial.is_bad[mask], trial.weights[mask], gains[mask]
    # a day of complaints must not outvote the good mail: both classes count the same
    for chosen in (is_bad, ~is_bad):
        if chosen.any():
            weights = np.where(chosen, weights / weights[chosen].sum(), weights)
    low, high = _interval(gains, weights, is_bad)
    shares = [(p[mask] >= _HELD) for p in (trial.active, trial.candidate)]
    return Slice(
        name=name,
        bad=int(is_bad.sum()),
        ham=int((~is_bad).sum()),
        gain=round(float(np.average(gains, weights=weights)), 5),
        low=round(low, 5),
        high=round(high, 5),
        recall=(_share(shares[0][is_bad]), _share(shares[1][is_bad])),
        false_positive_rate=(_share(shares[0][~is_bad]), _share(shares[1][~is_bad])),
    )


def _interval(gains: Scores, weights: Scores, is_bad: Flags) -> tuple[float, float]:
    """The middle 95 % of the mean over resampled messages, each class by itself."""
    rng, means = np.random.default_rng(1), np.empty(_RESAMPLED)
    classes = [np.flatnonzero(chosen) for chosen in (is_bad, ~is_bad) if chosen.any()]
    for at in range(_RESAMPLED):
        rows = np.concatenate([rng.choice(rows, len(rows)) for rows in classes])
        means[at] = np.average(gains[rows], weights=weights[rows])
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _standing(p: Scores, is_bad: Flags) -> Scores:
    """For each bad message the share of good ones below it, for each good one the share of bad ones above it."""
    bad, ham, standing = np.sort(p[is_bad]), np.sort(p[~is_bad]), np.full(len(p), 0.5)
    if len(bad) and len(ham):
        below = np.searchsorted(ham, p[is_bad], "left") + np.searchsorted(ham, p[is_bad], "right")
        above = 2 * len(bad) - np.searchsorted(bad, p[~is_bad], "left") - np.searchsorted(bad, p[~is_bad], "right")
        standing[is_bad], standing[~is_bad] = below / (2 * len(ham)), above / (2 * len(bad))
    return standing


def _share(flags: Flags) -> float:
    return round(float(flags.mean()), 5) if len(flags) else 0.0
