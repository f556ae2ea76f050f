"""The fingerprint of a text: equal for equal texts, and equal in a part for nearly equal ones. For campaigns.

"EXACT-BANDS": 16 hexadecimal digits of a digest of the text shown, and four bands of 8. Two texts that share most runs
of three words share a band: MinHash by one permutation (Li, Owen, Zhang 2012) over 16 bins, four bins to a band. Of
texts that share 90 % of their runs 99 % meet in a band, at 80 % 88 %, at 50 % 23 %, at 20 % under 1 %.
"""

import hashlib

import numpy as np

from relay.content.tokens import Hashes

LEAST_WORDS = 8  # "Hello, see attachment" is nobody's campaign
_BINS, _BANDS = 16, 4
_MIX = (np.uint32(2654435761), np.uint32(2246822519), np.uint32(3266489917))
_STARTS = np.arange(_BINS, dtype=np.uint32) << np.uint32(28)  # the upper four bits choose one of 16 bins
_PLACES = np.array([1, 668265263, 374761393, 2246822519], np.uint32)  # odd: each bin of a band counts by its place


def fingerprint(text: str, words: Hashes) -> str:
    """Return the fingerprint of a text and the hashes of its words, in order; "" below LEAST_WORDS."""
    if len(words) < LEAST_WORDS:
        return ""
    exact = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{exact}-{_bands(words).hex()}"


def _bands(words: Hashes) -> bytes:
    runs = words[:-2] * _MIX[0] + words[1:-1] * _MIX[1] + words[2:] * _MIX[2]
    runs ^= runs >> np.uint32(15)
    runs *= _MIX[1]
    runs ^= runs >> np.uint32(13)
    runs.sort()
    # sorted, the first run of each bin is its least; an empty bin borrows the next one's, in like texts the same
    starts = np.searchsorted(runs, _STARTS)
    least = runs[starts % len(runs)]
    mixed = least.reshape(_BANDS, -1) * _PLACES
    bands = np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint32(16)), axis=1)
    return bytes(bands.astype(">u4").tobytes())
