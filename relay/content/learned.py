"""What a model can learn from one message after its text is gone: hashes of its words, in order; never the text.

Layout, little-endian: version of the tokeniser (model_files.FEATURE_VERSION), five counts, then uint32: words of the
text shown, of the other text, of the subject, structure tokens; then the model's numbers, float32. Of both texts
together at most MOST_WORDS: 4 KB.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relay.content.model_files import FEATURE_VERSION
from relay.content.tokens import Hashes

Numbers = NDArray[np.float32]

MOST_WORDS = 1000
_HEAD = struct.Struct("<BHHBBB")
_NO_NUMBERS = np.zeros(0, np.float32)
_MOST_SMALL = 255


@dataclass(frozen=True, slots=True)
class Learned:
    """Hashes of one message; `version` says by which tokeniser."""

    version: int
    shown: Hashes
    other: Hashes
    subject: Hashes
    structure: Hashes
    numbers: Numbers


def pack(shown: Hashes, other: Hashes, subject: Hashes, structure: Hashes, numbers: Numbers = _NO_NUMBERS) -> bytes:
    """Return them as bytes, the texts cut."""
    shown = shown[:MOST_WORDS]
    other, subject, structure = other[: MOST_WORDS - len(shown)], subject[:_MOST_SMALL], structure[:_MOST_SMALL]
    head = _HEAD.pack(FEATURE_VERSION, len(shown), len(other), len(subject), len(structure), len(numbers))
    hashes = np.concatenate([shown, other, subject, structure]).astype("<u4", copy=False).tobytes()
    return head + hashes + numbers.astype("<f4", copy=False).tobytes()


def unpack(data: bytes) -> Learned:
    """Read them back. Raises ValueError for what is no such record."""
    if len(data) < _HEAD.size:
        raise ValueError(f"{len(data)} bytes are too few")
    version, *counts = _HEAD.unpack_from(data)
    if len(data) != _HEAD.size + 4 * sum(counts):
        raise ValueError(f"{len(data)} bytes do not hold {sum(counts)} hashes")
    first, second, third, fourth = (sum(counts[:end]) for end in (1, 2, 3, 4))
    hashes = np.frombuffer(data, "<u4", fourth, _HEAD.size).astype(np.uint32, copy=False)
    numbers = np.frombuffer(data, "<f4", offset=_HEAD.size + 4 * fourth).astype(np.float32, copy=False)
    return Learned(version, hashes[:first], hashes[first:second], hashes[second:third], hashes[third:], numbers)
