"""Labelled mail as the model takes it, and mail stuffed with passages of good."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from relay.content.structure import lengthened, vanishing
from relay.content.tokens import MAX_WORDS, Hashes, Parts, Views, hash_words, views

BITS = 20
FOLDS = 3
_LEAST_PASSAGE, _MOST_PASSAGE = 40, 170  # words of one donor
_ADDED_WORDS = (50, 401)
_BETWEEN = 0.2  # share of copies with the good words between their own, not below


def _no_rows() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Samples:
    """Messages by row: hashes, views, labels, and what is left out together (`origins`, `folds` 0 to FOLDS - 1).

    `dressed` are copies of the train split in other clothes, `donors` the rows that they are copies of.
    """

    parts: list[Parts]
    views: list[Views]
    is_bad: NDArray[np.bool_]
    origins: NDArray[np.str_]
    sources: NDArray[np.str_]
    is_train: NDArray[np.bool_]
    folds: NDArray[np.int64]
    dressed: list[Views] = field(default_factory=list)
    donors: NDArray[np.int64] = field(default_factory=_no_rows)

    @property
    def has_text(self) -> NDArray[np.bool_]:
        return np.array([view.has_text for view in self.views])

    def dressed_of(self, rows: NDArray[np.int64]) -> tuple[list[Views], NDArray[np.int64]]:
        """Return the copies of `rows` in other clothes, and the row of each."""
        places = np.flatnonzero(np.isin(self.donors, rows))
        return [self.dressed[place] for place in places], self.donors[places]


def stuffed(samples: Samples, rows: NDArray[np.int64], good: NDArray[np.int64], seed: int) -> list[Views]:
    """Return each of `rows` once more, with 50 to 400 words of the good mail among `good` below or within its text."""
    rng = np.random.default_rng(seed)
    donors = [row for row in good[~samples.is_bad[good]].tolist() if len(_text(samples.parts[row])) > _LEAST_PASSAGE]
    if not donors:
        return []
    found = []
    for row in rows.tolist():
        passages, wanted = [], int(rng.integers(*_ADDED_WORDS))
        while wanted > 0:
            passages.append(_passage(samples.parts[donors[rng.integers(len(donors))]], wanted, rng))
            wanted -= len(passages[-1])
        found.append(views(_stuffed(samples.parts[row], passages, is_between=rng.random() < _BETWEEN), BITS))
    return found


def _stuffed(parts: Parts, passages: list[Hashes], *, is_between: bool) -> Parts:
    """Signs and numbers become what they would be: a picture with words below it is no longer without a word."""
    numbers = lengthened(parts.numbers, sum(map(len, passages)))
    structure = parts.structure[~np.isin(parts.structure, hash_words(vanishing(numbers)))]
    text, second = _text(parts), parts.second if len(parts.text) else parts.second[:0]
    if is_between:
        pieces = np.array_split(text, len(passages) + 1)
        text = np.concatenate([pieces[0], *(part for pair in zip(passages, pieces[1:], strict=True) for part in pair)])
    else:
        text = np.concatenate([text, *passages])
        second = np.concatenate([second, *passages]) if len(second) else second
    return Parts(text[:MAX_WORDS], second[:MAX_WORDS], parts.subject, structure, numbers)


def _passage(parts: Parts, wanted: int, rng: np.random.Generator) -> Hashes:
    """At most `wanted` words; half of the time the beginning of the mail, which the head view thinks best of."""
    text, length = _text(parts), min(wanted, int(rng.integers(_LEAST_PASSAGE, _MOST_PASSAGE)))
    start = int(rng.integers(0, max(1, len(text) - length))) if rng.random() < 0.5 else 0
    return text[start : start + length]


def _text(parts: Parts) -> Hashes:
    return parts.text if len(parts.text) else parts.second
