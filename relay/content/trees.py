"""Boosted trees as one flat array, evaluated for one message at a time. No sklearn, no pickle."""

import numpy as np
from numpy.typing import NDArray

from relay.content.protocol import ModelError

COLUMNS = 5  # feature, threshold, left, right, value; a leaf leads to itself
MAX_DEPTH = 6


class Trees:
    """`nodes` float64 (n_nodes, 5), `roots` int32 (n_trees,): where each tree begins. Raises ModelError."""

    def __init__(self, nodes: NDArray[np.float64], roots: NDArray[np.int32], n_features: int) -> None:
        if nodes.ndim != 2 or nodes.shape[1] != COLUMNS or roots.ndim != 1:
            raise ModelError(f"trees of {nodes.shape} and {roots.shape}: (n, {COLUMNS}) and (n,) expected")
        self._feature, self._left, self._right = (nodes[:, column].astype(np.intp) for column in (0, 2, 3))
        self._threshold, self._value = nodes[:, 1].copy(), nodes[:, 4].copy()
        self._roots = roots.astype(np.intp)
        for places, limit in ((self._left, len(nodes)), (self._right, len(nodes)), (self._roots, len(nodes)), (
            self._feature, n_features)):  # fmt: skip
            if len(places) and not 0 <= places.min() <= places.max() < limit:
                raise ModelError("the trees point outside their arrays")

    def margin(self, numbers: NDArray[np.float64]) -> float:
        """Return the sum of all trees' leaves for one message, `numbers` (n_features,)."""
        at = self._roots
        for _ in range(MAX_DEPTH):
            goes_left = numbers[self._feature[at]] <= self._threshold[at]
            at = np.where(goes_left, self._left[at], self._right[at])
        return float(self._value[at].sum())
