"""How good a scorer is: area, recall at small false-positive rates, what each action line does, by source."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from relay.content.model_files import Figures, Line

ACTION_LINES = (0.5, 0.9, 0.99)  # relay/settings, Policy: suspect_score, hold_score, reject_score

_ROUNDS = 200

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]


def figures_of(name: str, p: Scores, is_bad: Flags, sources: NDArray[np.str_]) -> Figures:
    """Return all figures of one evaluation."""
    return Figures(
        name=name,
        bad=int(is_bad.sum()),
        ham=int((~is_bad).sum()),
        one_minus_roca_percent=round(100 * (1 - float(roc_auc_score(is_bad, p))), 4),
        recall_at_fpr_0_5_percent=round(recall_at(p, is_bad, 0.005), 4),
        recall_at_fpr_1_percent=round(recall_at(p, is_bad, 0.01), 4),
        lines=lines_of(p, is_bad),
        by_source={source: _shares(p, is_bad, sources == source) for source in sorted(set(sources.tolist()))},
    )


def lines_of(p: Scores, is_bad: Flags) -> list[Line]:
    """Return what each action line finds, rightly and wrongly."""
    return [
        Line(p=line, recall=_share(p[is_bad] >= line), false_positive_rate=_share(p[~is_bad] >= line))
        for line in ACTION_LINES
    ]


def recall_at(p: Scores, is_bad: Flags, false_positive_rate: float) -> float:
    """Return the share of bad mail above the lowest threshold with at most that share of ham above it."""
    ham = np.sort(p[~is_bad])[::-1]
    threshold = ham[int(false_positive_rate * len(ham))]
    return float((p[is_bad] > threshold).mean())


def share_of(p: Sequence[float]) -> float:
    """Return the share of bad mail that makes these probabilities, stated at even odds, true on average.

    By expectation and maximisation (Saerens, Latinne, Decaestecker 2002, equation 2.8): right as far as bad and good
    mail look as they did in calibration. Between 0.1 and 99.9 %.

    >>> round(share_of([0.999] * 30 + [0.001] * 70), 2)
    0.3
    """
    even, share = np.asarray(p, np.float64), 0.5
    for _ in range(_ROUNDS):
        bad = share * even
        share = float(np.clip((bad / (bad + (1 - share) * (1 - even))).mean(), 0.001, 0.999)) if len(even) else share
    return share


def _shares(p: Scores, is_bad: Flags, chosen: Flags) -> dict[str, float]:
    shares = {}
    for name, rows in (("recall", chosen & is_bad), ("false_positive_rate", chosen & ~is_bad)):
        if rows.any():
            shares[name] = _share(p[rows] >= ACTION_LINES[1])
            shares[f"messages_{'bad' if name == 'recall' else 'ham'}"] = float(rows.sum())
    return shares


def _share(flags: Flags) -> float:
    return round(float(flags.mean()), 5) if len(flags) else 0.0
