"""The second stage: boosted trees over the linear logits and the numbers, written as flat arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from analytics.learning.linear import Linear, fit_linear, weights_of
from analytics.learning.samples import FOLDS, Samples, Step, stuffed
from relay.content.model import N_LOGITS
from relay.content.tokens import Views
from relay.content.trees import COLUMNS, MAX_DEPTH

# The trees alone are better on known origins ((1-ROCA)% .062, the linear mean .147), the linear mean a little on an
# origin left out (recall of SpamAssassin's mail at 0.5 %: .690 and .718); a quarter of it beside them is near the best
# of both (.068 and .709).
LINEAR_SHARE = 0.25
_ROUNDS, _LEAVES, _RATE, _PENALTY, _LEAST = 150, 8, 0.06, 5.0, 40
# Copies a fold, by whether they are bad. Good ones too: else a long mail of two subjects is bad by its mixture alone
_STUFFED, _STUFFED_WEIGHT = {True: 1500, False: 1000}, 0.5

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Held:
    """What the linear stage says of messages it has not seen: the trees' training rows, stuffed copies included."""

    inputs: Matrix
    is_bad: NDArray[np.bool_]
    origins: NDArray[np.str_]
    weights: NDArray[np.float64]


def held_out(samples: Samples, rows: NDArray[np.int64], step: Step) -> Held:
    """Score each message of `rows` by a linear stage that has not seen it or its near duplicates."""
    inputs, labels, origins, weights = [], [], [], []
    for fold in range(FOLDS):
        step("out of fold", fold, FOLDS)
        kept, judged = rows[samples.folds[rows] != fold], rows[samples.folds[rows] == fold]
        if len(set(samples.is_bad[kept].tolist())) < 2 or not len(judged):
            continue
        linear, views, chosen = fit_linear(samples, kept), [samples.views[row] for row in judged], [judged]
        rng = np.random.default_rng(fold)
        for seed, (is_bad, most) in enumerate(_STUFFED.items()):
            copied = rng.permutation(judged[samples.is_bad[judged] == is_bad])[:most]
            if copies := stuffed(samples, copied, judged, FOLDS * seed + fold):
                views, chosen = [*views, *copies], [*chosen, copied]
        taken = np.concatenate(chosen)
        weight = weights_of(samples, taken)
        weight[len(judged) :] = _STUFFED_WEIGHT
        inputs.append(inputs_of(linear, views))
        labels.append(samples.is_bad[taken])
        origins.append(samples.origins[taken])
        weights.append(weight)
    return Held(np.vstack(inputs), np.concatenate(labels), np.concatenate(origins), np.concatenate(weights))


def inputs_of(linear: Linear, views: list[Views]) -> Matrix:
    """Return what the trees see, (n, N_LOGITS + numbers)."""
    return np.hstack([linear.logits(views), np.array([view.numbers for view in views], np.float64)])


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
