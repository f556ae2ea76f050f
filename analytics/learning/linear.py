"""The linear stage: logistic regressions over hashed tokens of messages, their heads, and copies of them: stuffed with
good words, in other clothes, and with many of their tokens missing."""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from analytics.learning.samples import BITS, Samples, stuffed
from relay.content.tokens import Hashes, Views

_INVERSE_REGULARISATION = 100.0  # of 1, 10, 100, 1000 the best on origins left out
# liblinear's dual method: 5 s for 20,000 mails where lbfgs took 60 s and ended worse (recall .952 instead of .963)
_TOLERANCE, _ROUNDS = 0.1, 5  # 8 and 15 rounds gave the same figures
_HEAD_WEIGHT = 0.5  # the first words of a message are a second, weaker example of it
_STUFFED_WEIGHT = 1.0
DRESSED_WEIGHT = 0.5
# Copies that keep a share of their tokens: how many, and which share. A message that is known by three rare words
# teaches nothing about the common ones; with many of them missing it must be told by any (blankout noise: Maaten et
# al., ICML 2013). Less of it for all tokens: the more evidence is spread, the more good words in sight thin it.
_THINNED_TOKENS, _THINNED_WORDS = (1, 0.5), (3, 0.2)
# Fits with other stuffed and thinned copies each, whose mean is taken: .831 instead of .821 of 1,900 were found below
# good words, and of modern HTML left out 13 mails instead of 15 were taken for bad; three fits gave little more
_FITS = 2
_WEIGHTS = {"modern-html": 3.0}  # modern HTML ham is scarce; 2002 and 2007 must not outvote it

Weights = NDArray[np.float64]


class Linear(NamedTuple):
    """Weights over all tokens, and over words alone, (2 ** BITS,)."""

    tokens: Weights
    words: Weights

    def logits(self, views: Sequence[Views]) -> NDArray[np.float64]:
        """Return (n, 4), as relay.content.model.Model.logits."""
        columns = (
            _ragged([view.whole for view in views]).matrix() @ self.tokens,
            _ragged([view.head for view in views]).matrix() @ self.tokens,
            _ragged([view.words for view in views]).matrix() @ self.words,
            _ragged([view.words_head for view in views]).matrix() @ self.words,
        )
        return np.column_stack(columns)


def fit_linear(samples: Samples, rows: NDArray[np.int64]) -> Linear:
    """Learn from the messages in `rows`: the mean of some fits, each with copies of its own."""
    fits = [_fitted(samples, rows, seed) for seed in range(1, _FITS + 1)]
    return Linear(*(_rounded(np.mean(found, axis=0)) for found in zip(*fits, strict=True)))


def _fitted(samples: Samples, rows: NDArray[np.int64], seed: int) -> Linear:
    bad = rows[samples.is_bad[rows]]
    copies, (dressed, donors) = stuffed(samples, bad, rows, seed), samples.dressed_of(rows)
    chosen = [*(samples.views[row] for row in rows), *copies, *dressed]
    own, added = weights_of(samples, rows, _WEIGHTS), (len(copies), len(dressed))
    labels = np.concatenate([samples.is_bad[rows], np.ones(len(copies), bool), samples.is_bad[donors]])
    weights = np.concatenate([own, np.repeat([_STUFFED_WEIGHT, DRESSED_WEIGHT], added)])
    tokens = [view.whole for view in chosen], [view.head for view in chosen]
    words = [view.words for view in chosen], [view.words_head for view in chosen]
    learn = partial(_fit, labels=labels, weights=weights, seed=seed)
    return Linear(learn(*tokens, thinned=_THINNED_TOKENS), learn(*words, thinned=_THINNED_WORDS))


def weights_of(samples: Samples, rows: NDArray[np.int64], of_origin: Mapping[str, float]) -> NDArray[np.float64]:
    """What each message counts in training: 1 where nothing else is said of its origin."""
    return np.array([of_origin.get(origin, 1.0) for origin in samples.origins[rows].tolist()])


def _fit(
    whole: list[Hashes],
    head: list[Hashes],
    *,
    labels: NDArray[np.bool_],
    weights: Weights,
    thinned: tuple[int, float],
    seed: int,
) -> Weights:
    """Learn from messages, their heads, and copies of the messages that are thinned."""
    (copies, share), rng = thinned, np.random.default_rng(seed)
    full = _ragged(whole)
    parts = [full, _ragged(head), *(full.thinned(share, rng) for _ in range(copies))]
    classifier = LogisticRegression(
        C=_INVERSE_REGULARISATION, tol=_TOLERANCE, max_iter=_ROUNDS, solver="liblinear", dual=True, fit_intercept=False,
        random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # after so many rounds it is good enough
        matrix = vstack([part.matrix() for part in parts]).tocsr()
        counted = np.concatenate([weights, _HEAD_WEIGHT * weights, np.tile(weights, copies)])
        found = classifier.fit(matrix, np.tile(labels, len(parts)), sample_weight=counted).coef_[0]
    return np.asarray(found, np.float64)


def _rounded(weights: Weights) -> Weights:
    """As they are stored: half precision is exact enough (2 MB); 8 bits lost a tenth of the recall."""
    return np.asarray(weights.astype(np.float16), np.float64)


class _Ragged(NamedTuple):
    """Rows of tokens, one behind the other, and how many each has."""

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int64]

    def thinned(self, share: float, rng: np.random.Generator) -> "_Ragged":
        kept = rng.random(len(self.tokens)) < share
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return _Ragged(self.tokens[kept], np.bincount(rows[kept], minlength=len(self.lengths)))

    def matrix(self) -> csr_matrix:
        values = np.repeat(1 / np.sqrt(np.maximum(self.lengths, 1)), self.lengths)
        starts = np.concatenate([[0], np.cumsum(self.lengths)])
        return csr_matrix((values, self.tokens, starts), shape=(len(self.lengths), 1 << BITS))


def _ragged(rows: Sequence[Hashes]) -> _Ragged:
    tokens = np.concatenate(rows).astype(np.int32) if rows else np.zeros(0, np.int32)
    return _Ragged(tokens, np.array([len(row) for row in rows], np.int64))
