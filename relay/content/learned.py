"""What a model can learn from one message after its text is gone: hashes of its words, in order; never the text.

Layout, little-endian: version of the tokeniser (model_files.FEATURE_VERSION), four counts, then uint32: words of the
text shown, of the other text, of the subject, structure tokens. At most MOST_WORDS of both texts together: 4 KB.
"""

import struct
from dataclasses import dataclass

import numpy as np

from relay.content.model_files import FEATURE_VERSION
from relay.content.tokens import Hashes

MOST_WORDS = 1000
_HEAD = struct.Struct("<BHHBB")
_MOST_SMALL = 255


@dataclass(frozen=True, slots=True)
class Learned:
    """Hashes of one message; `version` says by which tokeniser."""

    version: int
    shown: Hashes
    other: Hashes
    subject: Hashes
    structure: Hashes


def pack(shown: Hashes, other: Hashes, subject: Hashes, structure: Hashes) -> bytes:
    """Return them as bytes, the texts cut."""
    shown = shown[:MOST_WORDS]
    other, subject, structure = other[: MOST_WORDS - len(shown)], subject[:_MOST_SMALL], structure[:_MOST_SMALL]
    head = _HEAD.pack(FEATURE_VERSION, len(shown), len(other), len(subject), len(structure))
    return head + np.concatenate([shown, other, subject, structure]).astype("<u4", copy=False).tobytes()


def unpack(data: bytes) -> Learned:
    """Read them back. Raises ValueError for what is no such record."""
    if len(data) < _HEAD.size:
        raise ValueError(f"{len(data)} bytes are too few")
    version, *counts = _HEAD.unpack_from(data)
    if len(data) != _HEAD.size + 4 * sum(counts):
        raise ValueError(f"{len(data)} bytes do not hold {sum(counts)} hashes")
    hashes = np.frombuffer(data, "<u4", offset=_HEAD.size).astype(np.uint32, copy=False)
    first, second, third = (sum(counts[:end]) for end in (1, 2, 3))
    return Learned(version, hashes[:first], hashes[first:second], hashes[second:third], hashes[third:])
