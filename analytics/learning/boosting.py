"""The second stage: boosted trees over the linear logits and the numbers, written as flat arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from analytics.learning.held import Held, Matrix
from relay.content.model import N_LOGITS
from relay.content.trees import COLUMNS, MAX_DEPTH

# The trees alone are better on known origins, the linear mean on good words in sight: at shares of .1, .25 and .4
# beside them (1-ROCA)% was .104, .112, .130 and recall below good words .718, .750, .725.
LINEAR_SHARE = 0.25
# 250 rounds at .16 fit known origins better (recall .980 at 0.5 % for .974; below good words .820 for .787) and hold
# less well outside: at the line of strangers TREC had 0.31 % false positives for 0.12, and less of it was found
_ROUNDS, _LEAVES, _RATE, _PENALTY, _LEAST = 150, 16, 0.1, 5.0, 40
_BINS = 255


@dataclass(frozen=True, slots=True)
class Boosted:
    """Trees over the inputs' bins, and the edges of each column's: bin k has what is above edge k - 1, up to edge k."""

    trees: HistGradientBoostingClassifier
    edges: list[NDArray[np.float64]]

    def margins(self, inputs: Matrix) -> NDArray[np.float64]:
        """Return the margins, (n,), as relay.content.model.Model.margin."""
        shown = self.trees.decision_function(_binned(inputs, self.edges))
        return np.asarray(shown + LINEAR_SHARE * inputs[:, :2].mean(axis=1))

    def flattened(self) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Return nodes and roots as relay.content.trees.Trees takes them; the baseline is a tree of one leaf."""
        tables, roots = [np.array([[0, 0, 0, 0, float(self.trees._baseline_prediction.ravel()[0])]])], [0]
        for [predictor] in self.trees._predictors:
            roots.append(sum(map(len, tables)))
            tables.append(self._table(predictor.nodes, roots[-1]))
        return np.vstack(tables), np.array(roots, np.int32)

    def _table(self, nodes: NDArray[Any], start: int) -> NDArray[np.float64]:
        itself, is_leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
        table = np.zeros((len(nodes), COLUMNS))
        table[:, 0] = np.where(is_leaf, 0, nodes["feature_idx"])
        table[:, 2] = start + np.where(is_leaf, itself, nodes["left"])
        table[:, 3] = start + np.where(is_leaf, itself, nodes["right"])
        table[:, 4] = np.where(is_leaf, nodes["value"], 0)
        for at in np.flatnonzero(~is_leaf):
            table[at, 1] = self.edges[nodes["feature_idx"][at]][int(nodes["num_threshold"][at])]
        return table


def _edges_of(inputs: Matrix) -> list[NDArray[np.float64]]:
    """Return what parts the bins of each column: between its values where they are few, else quantiles."""
    return [_edges(column) for column in inputs.T]


def _edges(column: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.unique(column)
    if len(values) <= _BINS:
        return (values[1:] + values[:-1]) / 2
    return np.unique(np.quantile(column, np.linspace(0, 1, _BINS + 1)[1:-1], method="averaged_inverted_cdf"))


def _binned(inputs: Matrix, edges: list[NDArray[np.float64]]) -> Matrix:
    """Return the number of the bin for each input, of the same shape."""
    columns = [np.searchsorted(at, column) for at, column in zip(edges, inputs.T, strict=True)]
    return np.column_stack(columns).astype(np.float64)


def fit_trees(held: Held, without: str = "") -> Boosted:
    """Learn the trees, without the rows of one origin. More of a logit never makes a message better.

    They are given bins: to find its own by weighted quantiles took the library two thirds of its time, each time.
    """
    kept = held.origins != without
    inputs = held.inputs[kept]
    edges = _edges_of(inputs)
    classifier = HistGradientBoostingClassifier(
        max_iter=_ROUNDS, max_leaf_nodes=_LEAVES, max_depth=MAX_DEPTH, learning_rate=_RATE, l2_regularization=_PENALTY,
        min_samples_leaf=_LEAST, early_stopping=False, random_state=1,
        monotonic_cst=[1] * N_LOGITS + [0] * (inputs.shape[1] - N_LOGITS),
    )  # fmt: skip
    with threadpool_limits(1):  # threads that wait for each other on a busy machine took 180 s where one takes three
        classifier.fit(_binned(inputs, edges), held.is_bad[kept], sample_weight=held.weights[kept])
    return Boosted(classifier, edges)
