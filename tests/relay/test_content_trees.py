"""Boosted trees as arrays: they say what scikit-learn's say, and arrays that point nowhere are refused."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from analytics.learning.boosting import flattened
from relay.content.protocol import ModelError
from relay.content.trees import COLUMNS, MAX_DEPTH, Trees


def test_flat_trees_give_the_margins_of_the_trained_ones() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(500, 6))
    labels = inputs[:, 0] + inputs[:, 3] ** 2 > 0.5
    trained = HistGradientBoostingClassifier(max_iter=30, max_depth=MAX_DEPTH, early_stopping=False).fit(inputs, labels)

    flat = Trees(*flattened(trained), 6)

    assert np.allclose(trained.decision_function(inputs), [flat.margin(row) for row in inputs])


@pytest.mark.parametrize(("column", "value"), [(0, 6.0), (2, 99.0), (3, -1.0)])
def test_trees_that_point_outside_are_refused(column: int, value: float) -> None:
    nodes = np.zeros((1, COLUMNS))
    nodes[0, column] = value

    with pytest.raises(ModelError, match="point outside"):
        Trees(nodes, np.zeros(1, np.int32), 6)
