"""Labelled mail read as the relay reads it, and some of it once more in other clothes."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate, pairwise
from zlib import crc32

import numpy as np

from analytics.learning.clothes import dressed
from analytics.learning.corpus import OWN, Example
from analytics.learning.crew import Arrays, Crew, sliced
from analytics.learning.samples import BITS, FOLDS, Samples
from relay.content.assess import parts_of
from relay.content.message import read
from relay.content.tokens import Hashes, Parts, views

_DRESSED, _OWN_DRESSED = 1000, 120  # messages of an origin and a label that are copied in other clothes, at most
_RAGGED = ("text", "second", "subject", "structure")


def sampled(examples: Sequence[Example], crew: Crew) -> Samples:
    """Read all messages as the relay does, and copies of some in other clothes."""
    donors, count = _donors(examples), len(examples)
    jobs = sliced(_read, examples) + sliced(partial(_read_dressed, examples), donors)
    parts = [part for answer in crew.do("reading mail", jobs) for part in _unpacked(answer)]
    shown = [views(part, BITS) for part in parts]
    return Samples(
        parts[:count],
        shown[:count],
        np.array([example.is_bad for example in examples]),
        np.array([example.origin for example in examples]),
        np.array([example.source for example in examples]),
        np.array([example.split == "train" for example in examples]),
        np.array([crc32(example.group.encode()) % FOLDS for example in examples]),
        shown[count:],
        np.array(donors, np.int64),
    )


def _donors(examples: Sequence[Example]) -> list[int]:
    """The messages to copy: some of each origin and label, as they come at random."""
    found, counts = [], Counter[tuple[str, bool]]()
    for row in np.random.default_rng(1).permutation(len(examples)).tolist():
        example = examples[row]
        kind = (example.origin, example.is_bad)
        if example.split == "train" and counts[kind] < (_OWN_DRESSED if example.source == OWN else _DRESSED):
            counts[kind] += 1
            found.append(row)
    return found


def _read(examples: Sequence[Example]) -> Arrays:
    return _packed(parts_of(read(_with_crlf(example.raw))) for example in examples)


def _read_dressed(examples: Sequence[Example], donors: Sequence[int]) -> Arrays:
    return _packed(
        parts_of(read(dressed(_with_crlf(examples[row].raw), random.Random(f"dressed/{row}"))))  # noqa: S311 - no secrets
        for row in donors
    )


def _with_crlf(raw: bytes) -> bytes:
    return raw if b"\r\n" in raw else raw.replace(b"\n", b"\r\n")


def _packed(parts: Iterable[Parts]) -> Arrays:
    """Return messages as few arrays: each field's hashes one behind the other, and how many each has."""
    rows = [*parts]
    packed = {"numbers": np.array([row.numbers for row in rows])}
    for name in _RAGGED:
        fields = [getattr(row, name) for row in rows]
        packed |= {name: np.concatenate(fields), f"{name}_lengths": np.array([len(one) for one in fields])}
    return packed


def _unpacked(packed: Arrays) -> Iterable[Parts]:
    ragged = (_split(packed[name], packed[f"{name}_lengths"].tolist()) for name in _RAGGED)
    for text, second, subject, structure, numbers in zip(*ragged, packed["numbers"], strict=True):
        yield Parts(text, second, subject, structure, numbers)


def _split(joined: Hashes, lengths: Iterable[int]) -> list[Hashes]:
    return [joined[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]
