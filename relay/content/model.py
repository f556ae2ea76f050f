"""The spam score: linear models over hashed tokens, and boosted trees over what they and the numbers say.

Arrays only, no pickle, no sklearn. Runs in content processes.
"""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relay.content.model_files import Card, read_array, read_card
from relay.content.protocol import ModelError
from relay.content.tokens import Hashes, Views
from relay.content.trees import Trees

WEIGHTS, WORDS, NODES, ROOTS = "weights.npy", "words.npy", "nodes.npy", "roots.npy"
ARRAYS = {WEIGHTS: np.float16, WORDS: np.float16, NODES: np.float64, ROOTS: np.int32}
# Menus and leaflets are mailed as one linked picture, as some spam is: words cannot tell, so p stays below the lines
# where mail is held (settings.Policy.hold_score) and the sender's other mail decides.
WORDLESS = 0.85
N_LOGITS = 4


class Model:
    """`weights` over all tokens and `words` over words alone, float16 (2 ** bits,); trees over both and the numbers."""

    def __init__(self, card: Card, weights: NDArray[np.float16], words: NDArray[np.float16], trees: Trees) -> None:
        self.card, self.bits = card, card.bits
        self._weights, self._words, self._trees = weights, words, trees
        digest = card.arrays[NODES].sha256 or card.arrays[WEIGHTS].sha256
        self.id = f"{card.name}-{digest[:8]}"

    def probability(self, views: Views, prior: float | None = None) -> float:
        """Return P(bad), calibrated, where a share `prior` of the mail is bad (None: the card's reference prior)."""
        log_odds = self.card.slope * self.margin(views) + self.card.intercept
        if prior is not None:
            log_odds += _log_odds(prior) - _log_odds(self.card.reference_prior)
        return (1 if views.has_text else WORDLESS) / (1 + math.exp(-max(-50.0, min(50.0, log_odds))))

    def margin(self, views: Views) -> float:
        """Return the uncalibrated score."""
        logits = self.logits(views)
        numbers = np.concatenate([logits, views.numbers])
        return self._trees.margin(numbers) + self.card.linear * float(logits[:2].mean())

    def logits(self, views: Views) -> NDArray[np.float64]:
        """Return the linear models' margins, (4,): whole and head by all tokens, whole and head by words."""
        return np.array(
            [
                _margin(self._weights, views.whole),
                _margin(self._weights, views.head),
                _margin(self._words, views.words),
                _margin(self._words, views.words_head),
            ]
        )

    def weights_of(self, hashes: Hashes) -> NDArray[np.float32]:
        """Return what each token weighs, one by one, before normalisation."""
        folded = (hashes ^ (hashes >> np.uint32(self.bits))) & np.uint32((1 << self.bits) - 1)
        return np.asarray(self._weights[folded], np.float32)


def load(folder: Path) -> Model:
    """Load and check a model. Raises ModelError."""
    card = read_card(folder)
    arrays = {name: _array(folder, name, card) for name in ARRAYS}
    for name in (WEIGHTS, WORDS):
        if arrays[name].shape != (1 << card.bits,):
            raise ModelError(f"{folder / name}: 2^{card.bits} numbers expected, {arrays[name].shape} found")
    trees = Trees(arrays[NODES], arrays[ROOTS], N_LOGITS + card.numbers)
    return Model(card, arrays[WEIGHTS], arrays[WORDS], trees)


def _array(folder: Path, name: str, card: Card) -> NDArray[Any]:
    data = read_array(folder, name, card)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ModelError(f"{folder / name} is not an array: {error}") from error
    if array.dtype != ARRAYS[name]:
        raise ModelError(f"{folder / name}: {np.dtype(ARRAYS[name])} expected, {array.dtype} found")
    found: NDArray[Any] = array
    return found


def _margin(weights: NDArray[np.float16], view: Hashes) -> float:
    return float(weights[view].sum(dtype=np.float32)) / math.sqrt(len(view)) if len(view) else 0.0


def _log_odds(p: float) -> float:
    return math.log(p / (1 - p))
