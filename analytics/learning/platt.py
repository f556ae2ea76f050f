"""Margins to probabilities: one slope and one intercept, stated at the reference prior."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from relay.content.model_files import REFERENCE_PRIOR

Scores = NDArray[np.float64]


def platt(margin: Scores, is_bad: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of log odds at the reference prior (Platt's scaling; each class weighted to its share)."""
    bad = int(is_bad.sum())
    # Both classes count the same, and the prior is put in afterwards: at 2 % the slope would hang on a few bad mails
    weights = np.where(is_bad, 0.5 / bad, 0.5 / (len(is_bad) - bad)) * len(is_bad)
    fitted = LogisticRegression(C=1e6).fit(margin[:, None], is_bad, sample_weight=weights)
    prior = float(np.log(REFERENCE_PRIOR / (1 - REFERENCE_PRIOR)))
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0]) + prior


def probability(margin: Scores, slope: float, intercept: float) -> Scores:
    """As relay.content.model.Model.probability at the reference prior, for mail that shows words."""
    return np.asarray(1 / (1 + np.exp(-np.clip(slope * margin + intercept, -50, 50))))
