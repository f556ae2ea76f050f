"""Boosted trees as arrays: they say what scikit-learn's say, and arrays that point nowhere are refused."""

import numpy as np
import pytest

from analytics.learning.boosting import LINEAR_SHARE, fit_trees
from analytics.learning.held import Held
from relay.content.model import N_LOGITS
from relay.content.protocol import ModelError
from relay.content.trees import COLUMNS, Trees

_N_INPUTS = N_LOGITS + 3


def test_flat_trees_give_the_margins_of_the_trained_ones() -> None:
    rng = np.random.default_rng(1)
    inputs = np.column_stack([rng.normal(size=(3000, N_LOGITS + 1)), rng.integers(0, 5, (3000, 2))])
    is_bad = inputs[:, 0] + inputs[:, N_LOGITS] ** 2 + (inputs[:, -1] == 3) > 0.5

    trained = fit_trees(Held(inputs, is_bad, np.repeat(["a", "b"], 1500), np.ones(3000), {}))

    flat = Trees(*trained.flattened(), _N_INPUTS)
    edges = np.column_stack([np.resize(at, 400) for at in trained.edges])
    for judged in (inputs, edges, np.nextafter(edges, np.inf), rng.normal(size=(300, _N_INPUTS)) * 9):
        found = [flat.margin(row) + LINEAR_SHARE * row[:2].mean() for row in judged]
        assert np.allclose(trained.margins(judged), found)
    assert ((trained.margins(inputs) > 0) == is_bad).mean() > 0.97


@pytest.mark.parametrize(("column", "value"), [(0, 6.0), (2, 99.0), (3, -1.0)])
def test_trees_that_point_outside_are_refused(column: int, value: float) -> None:
    nodes = np.zeros((1, COLUMNS))
    nodes[0, column] = value

    with pytest.raises(ModelError, match="point outside"):
        Trees(nodes, np.zeros(1, np.int32), 6)
