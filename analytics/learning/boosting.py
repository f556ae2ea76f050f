"""The second stage: boosted trees over the linear logits and the numbers, written as flat arrays."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from analytics.learning.linear import DRESSED_WEIGHT, Linear, fit_linear, weights_of
from analytics.learning.samples import FOLDS, Samples, Step, stuffed
from relay.content.model import N_LOGITS
from relay.content.structure import HTML_LENGTH
from relay.content.tokens import Views
from relay.content.trees import COLUMNS, MAX_DEPTH

# The trees alone are better on known origins, the linear mean on good words in sight: at shares of .1, .25 and .4
# beside them (1-ROCA)% was .104, .112, .130 and recall below good words .718, .750, .725.
LINEAR_SHARE = 0.25
_ROUNDS, _LEAVES, _RATE, _PENALTY, _LEAST = 150, 16, 0.1, 5.0, 40
# Copies a fold, by whether they are bad. Good ones too: else a long mail of two subjects is bad by its mixture alone
_STUFFED, _STUFFED_WEIGHT = {True: 4000, False: 2600}, 2.0
# What a row weighs whose linear stage has not seen its origin: with .3 the valid split was a little worse (.134, .118)
_OUTSIDE_WEIGHT = 0.9
# Ten times what it counts in the linear stage: of 109 unknown templates 11 instead of 21 lay above the 0.5 % line
_WEIGHTS = {"modern-html": 30.0}

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Held:
    """What the linear stage says of messages it has not seen: the trees' training rows, copies included.

    `outside` has the inputs of all messages of an origin, by a linear stage without that origin.
    """

    inputs: Matrix
    is_bad: NDArray[np.bool_]
    origins: NDArray[np.str_]
    weights: NDArray[np.float64]
    outside: dict[str, Matrix]


@dataclass(slots=True)
class _Rows:
    """Training rows as they are gathered."""

    samples: Samples
    linear: Linear
    inputs: list[Matrix] = field(default_factory=list)
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    weights: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, views: list[Views], rows: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        if views:
            self.inputs.append(inputs_of(self.linear, views))
            self.rows.append(rows)
            self.weights.append(weights)

    def add_known(self, rows: NDArray[np.int64], share: float) -> None:
        """Add messages and their copies in other clothes."""
        self.add([self.samples.views[row] for row in rows], rows, share * weights_of(self.samples, rows, _WEIGHTS))
        dressed, donors = self.samples.dressed_of(rows)
        self.add(dressed, donors, np.full(len(donors), share * DRESSED_WEIGHT))


def held_out(samples: Samples, rows: NDArray[np.int64], step: Step) -> Held:
    """Score each message of `rows` twice: by a linear stage that has not seen it or its near duplicates, and by one
    that has not seen its origin at all, so that the trees learn how far to trust a logit on mail unlike any known."""
    found, outside = [], {}
    for fold in range(FOLDS):
        step("out of fold", fold, FOLDS)
        if (linear := _fitted(samples, rows[samples.folds[rows] != fold])) is not None:
            found.append(_of_fold(samples, linear, rows[samples.folds[rows] == fold], fold))
    origins = sorted(set(samples.origins[rows].tolist()))
    for at, origin in enumerate(origins):
        step(f"without {origin}", at, len(origins))
        if (linear := _fitted(samples, rows[samples.origins[rows] != origin])) is not None:
            gathered = _Rows(samples, linear)
            gathered.add_known(rows[samples.origins[rows] == origin], _OUTSIDE_WEIGHT)
            found.append(gathered)
            outside[origin] = inputs_of(
                linear, [samples.views[row] for row in np.flatnonzero(samples.origins == origin)]
            )
    taken = np.concatenate([part for one in found for part in one.rows])
    return Held(
        np.vstack([part for one in found for part in one.inputs]),
        samples.is_bad[taken],
        samples.origins[taken],
        np.concatenate([part for one in found for part in one.weights]),
        outside,
    )


def _of_fold(samples: Samples, linear: Linear, judged: NDArray[np.int64], fold: int) -> _Rows:
    gathered = _Rows(samples, linear)
    gathered.add_known(judged, 1.0)
    rng = np.random.default_rng(fold)
    for seed, (is_bad, most) in enumerate(_STUFFED.items()):
        copied = rng.permutation(judged[samples.is_bad[judged] == is_bad])[:most]
        if copies := stuffed(samples, copied, judged, FOLDS * seed + fold):
            gathered.add(copies, copied, np.full(len(copied), _STUFFED_WEIGHT))
    return gathered


def _fitted(samples: Samples, kept: NDArray[np.int64]) -> Linear | None:
    """None where only one kind of mail is left to learn from."""
    return fit_linear(samples, kept) if len(set(samples.is_bad[kept].tolist())) == 2 else None


def inputs_of(linear: Linear, views: list[Views]) -> Matrix:
    """Return what the trees see, (n, N_LOGITS + numbers).

    They are not told how long the HTML is: it says how new a page is, and new kinds of good mail paid for that (a third
    more false positives on modern HTML mail that no stage knew, and less phishing found; nothing gained elsewhere).
    """
    numbers = np.array([view.numbers for view in views], np.float64)
    numbers[:, HTML_LENGTH] = 0.0
    return np.hstack([linear.logits(views), numbers])


def fit_trees(held: Held, without: str = "") -> HistGradientBoostingClassifier:
    """Learn the trees, without the rows of one origin. More of a logit never makes a message better."""
    kept = held.origins != without
    classifier = HistGradientBoostingClassifier(
        max_iter=_ROUNDS, max_leaf_nodes=_LEAVES, max_depth=MAX_DEPTH, learning_rate=_RATE, l2_regularization=_PENALTY,
        min_samples_leaf=_LEAST, early_stopping=False, random_state=1,
        monotonic_cst=[1] * N_LOGITS + [0] * (held.inputs.shape[1] - N_LOGITS),
    )  # fmt: skip
    with threadpool_limits(1):  # threads that wait for each other on a busy machine took 180 s where one takes three
        return classifier.fit(held.inputs[kept], held.is_bad[kept], sample_weight=held.weights[kept])


def margins_of(trees: HistGradientBoostingClassifier, inputs: Matrix) -> NDArray[np.float64]:
    """Return the margins, (n,), as relay.content.model.Model.margin."""
    return np.asarray(trees.decision_function(inputs) + LINEAR_SHARE * inputs[:, :2].mean(axis=1))


def flattened(trees: HistGradientBoostingClassifier) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return nodes and roots as relay.content.trees.Trees takes them; the baseline is a tree of one leaf."""
    tables, roots, count = [np.array([[0, 0, 0, 0, float(trees._baseline_prediction.ravel()[0])]])], [0], 1
    for [predictor] in trees._predictors:
        nodes = predictor.nodes
        itself, is_leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
        table = np.zeros((len(nodes), COLUMNS))
        table[:, 0] = np.where(is_leaf, 0, nodes["feature_idx"])
        table[:, 1] = np.where(is_leaf, 0, nodes["num_threshold"])
        table[:, 2] = count + np.where(is_leaf, itself, nodes["left"])
        table[:, 3] = count + np.where(is_leaf, itself, nodes["right"])
        table[:, 4] = np.where(is_leaf, nodes["value"], 0)
        tables.append(table)
        roots.append(count)
        count += len(nodes)
    return np.vstack(tables), np.array(roots, np.int32)
