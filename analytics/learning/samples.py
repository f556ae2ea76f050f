"""Labelled mail as the model takes it, and bad mail stuffed with passages of good."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from analytics.learning.corpus import Example
from relay.content.assess import parts_of
from relay.content.message import read
from relay.content.structure import lengthened
from relay.content.tokens import Hashes, Parts, Views, views

BITS = 20
FOLDS = 3
_PASSAGE_WORDS = 140
_MOST_PASSAGES = 3

Step = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Samples:
    """Messages by row: hashes, views, labels, and what is left out together (`origins`, `folds` 0 to FOLDS - 1)."""

    parts: list[Parts]
    views: list[Views]
    is_bad: NDArray[np.bool_]
    origins: NDArray[np.str_]
    sources: NDArray[np.str_]
    is_train: NDArray[np.bool_]
    folds: NDArray[np.int64]

    @property
    def has_text(self) -> NDArray[np.bool_]:
        return np.array([view.has_text for view in self.views])


def sampled(examples: Sequence[Example], step: Step) -> Samples:
    """Read all messages as the relay does."""
    parts = []
    for at, example in enumerate(examples):
        content = example.raw if b"\r\n" in example.raw else example.raw.replace(b"\n", b"\r\n")
        parts.append(parts_of(read(content)))
        if at % 100 == 0:
            step("reading mail", at, len(examples))
    return Samples(
        parts,
        [views(part, BITS) for part in parts],
        np.array([example.is_bad for example in examples]),
        np.array([example.origin for example in examples]),
        np.array([example.source for example in examples]),
        np.array([example.split == "train" for example in examples]),
        np.array([crc32(example.group.encode()) % FOLDS for example in examples]),
    )


def stuffed(samples: Samples, bad: NDArray[np.int64], rows: NDArray[np.int64], seed: int) -> list[Views]:
    """Return each of `bad` once more, with one to three passages of good mail of `rows` below its text."""
    rng = np.random.default_rng(seed)
    good = [row for row in rows[~samples.is_bad[rows]].tolist() if len(_text(samples.parts[row])) > _PASSAGE_WORDS // 2]
    if not good:
        return []
    counts = rng.integers(1, _MOST_PASSAGES + 1, len(bad))
    return [
        views(_stuffed(samples.parts[row], [_passage(samples.parts[at], at) for at in rng.choice(good, count)]), BITS)
        for row, count in zip(bad.tolist(), counts.tolist(), strict=True)
    ]


def _stuffed(parts: Parts, passages: list[Hashes]) -> Parts:
    text = np.concatenate([_text(parts), *passages])
    second = parts.second if len(parts.text) else parts.second[:0]
    return Parts(text, second, parts.subject, parts.structure, lengthened(parts.numbers, sum(map(len, passages))))


def _passage(parts: Parts, seed: int) -> Hashes:
    text = _text(parts)
    start = seed * 37 % max(1, len(text) - _PASSAGE_WORDS)
    return text[start : start + _PASSAGE_WORDS]


def _text(parts: Parts) -> Hashes:
    return parts.text if len(parts.text) else parts.second
