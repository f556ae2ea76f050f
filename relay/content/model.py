"""The spam score: a linear model over hashed tokens, as arrays. Runs in content processes; no pickle, no sklearn."""

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relay.content.model_files import Card, read_array, read_card
from relay.content.protocol import ModelError
from relay.content.tokens import Hashes, Views

WEIGHTS = "weights.npy"
# Menus and leaflets are mailed as one linked picture, as some spam is: words cannot tell, so p stays below the lines
# where mail is held (settings.Policy.hold_score) and the sender's other mail decides.
WORDLESS = 0.85


class Model:
    """`weights` float16 (2 ** bits,)."""

    def __init__(self, card: Card, weights: NDArray[np.float16]) -> None:
        self.card, self.bits = card, card.bits
        self._weights = weights
        self.id = f"{card.name}-{card.arrays[WEIGHTS].sha256[:8]}"

    def probability(self, views: Views) -> float:
        """Return P(bad), calibrated, at the reference prior."""
        margin = 0.5 * (self._margin(views.whole) + self._margin(views.head))
        log_odds = self.card.slope * margin + self.card.intercept
        return (1 if views.has_text else WORDLESS) / (1 + math.exp(-max(-50.0, min(50.0, log_odds))))

    def weights_of(self, hashes: Hashes) -> NDArray[np.float32]:
        """Return what each token weighs, one by one, before normalisation."""
        folded = (hashes ^ (hashes >> np.uint32(self.bits))) & np.uint32((1 << self.bits) - 1)
        return np.asarray(self._weights[folded], np.float32)

    def _margin(self, view: NDArray[np.uint32]) -> float:
        return float(self._weights[view].sum(dtype=np.float32)) / math.sqrt(len(view)) if len(view) else 0.0


def load(folder: Path) -> Model:
    """Load and check a model. Raises ModelError."""
    card = read_card(folder)
    data = read_array(folder, WEIGHTS, card)
    try:
        weights = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ModelError(f"{folder / WEIGHTS} is not an array: {error}") from error
    if weights.dtype != np.float16 or weights.shape != (1 << card.bits,):
        raise ModelError(
            f"{folder / WEIGHTS}: float16 of 2^{card.bits} expected, {weights.dtype} of {weights.shape} found"
        )
    return Model(card, weights)
