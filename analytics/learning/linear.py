"""The linear stage: logistic regressions over hashed tokens of messages, their heads, stuffed and dressed copies."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from analytics.learning.samples import BITS, Samples, stuffed
from relay.content.tokens import Hashes, Views

_INVERSE_REGULARISATION = 100.0  # of 1, 10, 100, 1000 the best on origins left out
# liblinear's dual method: 5 s for 20,000 mails where lbfgs took 60 s and ended worse (recall .952 instead of .963)
_TOLERANCE, _ROUNDS = 0.1, 60
_HEAD_WEIGHT = 0.5  # the first words of a message are a second, weaker example of it
_STUFFED_WEIGHT = 1.0
DRESSED_WEIGHT = 0.5
_WEIGHTS = {"modern-html": 3.0}  # modern HTML ham is scarce; 2002 and 2007 must not outvote it

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Linear:
    """Weights over all tokens, and over words alone, (2 ** BITS,)."""

    tokens: Weights
    words: Weights

    def logits(self, views: Sequence[Views]) -> NDArray[np.float64]:
        """Return (n, 4), as relay.content.model.Model.logits."""
        columns = (
            _matrix([view.whole for view in views]) @ self.tokens,
            _matrix([view.head for view in views]) @ self.tokens,
            _matrix([view.words for view in views]) @ self.words,
            _matrix([view.words_head for view in views]) @ self.words,
        )
        return np.column_stack(columns)


def fit_linear(samples: Samples, rows: NDArray[np.int64]) -> Linear:
    """Learn from the messages in `rows`."""
    bad = rows[samples.is_bad[rows]]
    copies, (dressed, donors) = stuffed(samples, bad, rows, 1), samples.dressed_of(rows)
    chosen = [*(samples.views[row] for row in rows), *copies, *dressed]
    labels = np.concatenate([samples.is_bad[rows], np.ones(len(copies), bool), samples.is_bad[donors]])
    weights = np.concatenate(
        [weights_of(samples, rows), np.full(len(copies), _STUFFED_WEIGHT), np.full(len(dressed), DRESSED_WEIGHT)]
    )
    labels, weights = np.tile(labels, 2), np.concatenate([weights, weights * _HEAD_WEIGHT])
    return Linear(
        _fit([view.whole for view in chosen], [view.head for view in chosen], labels=labels, weights=weights),
        _fit([view.words for view in chosen], [view.words_head for view in chosen], labels=labels, weights=weights),
    )


def weights_of(samples: Samples, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each message counts in training."""
    return np.array([_WEIGHTS.get(origin, 1.0) for origin in samples.origins[rows].tolist()])


def _fit(*columns: list[Hashes], labels: NDArray[np.bool_], weights: NDArray[np.float64]) -> Weights:
    classifier = LogisticRegression(
        C=_INVERSE_REGULARISATION, tol=_TOLERANCE, max_iter=_ROUNDS, solver="liblinear", dual=True, fit_intercept=False,
        random_state=1,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # after so many rounds it is good enough
        matrix = vstack([_matrix(rows) for rows in columns if rows]).tocsr()
        weights_found = classifier.fit(matrix, labels, sample_weight=weights).coef_[0]
    # rounded as they are stored: half precision is exact enough (2 MB); 8 bits lost a tenth of the recall
    return np.asarray(weights_found.astype(np.float16), np.float64)


def _matrix(rows: list[Hashes]) -> csr_matrix:
    lengths = np.array([len(row) for row in rows], np.int64)
    values = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    places = np.concatenate(rows).astype(np.int32) if rows else np.zeros(0, np.int32)
    return csr_matrix((values, places, starts), shape=(len(rows), 1 << BITS))
