"""Text to hashed tokens: words, neighbouring words, subject and structure. Version: model_files.FEATURE_VERSION."""

import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_WORDS = 1000  # of the text; what follows is hardly ever read either
HEAD_WORDS = 80  # the second view: good words appended below do not reach it
_CACHED_WORDS = 60_000  # about 7 MB per worker
_IDEOGRAPH = re.compile("([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")  # written without spaces: each is a word
_BETWEEN = "".join(
    chr(code) for code in range(33, 127) if not chr(code).isalnum() and chr(code) not in "$%'"
)  # $500, 50%
_WIDE_BETWEEN = "\u00a0¡§«¬°±·»¿×–—―‘“”„‚‹›•…‥、。〈〉《》「」『』【】〔〕・，．：；！？（）|\u2028\u2029\u200a\u2009"
# Translate or replace, then split: 0.05 instead of 0.27 ms a message by a regular expression. `translate` is fast for
# ASCII only, and only while each target is one ASCII character or nothing; on other text it takes five times as long
# as one `replace` for each sign.
_TABLE = (
    dict.fromkeys(range(33), " ")
    | {ord(sign): " " for sign in _BETWEEN}
    | {ord(digit): "0" for digit in "123456789"}
    | {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    | {ord("'"): None}
)
# "pr1c3", not "b2b" nor "12b": a digit that stands for a letter has one before it and one after it, or ends a word
_SPELT_WITH_DIGITS = re.compile(r"\b[A-Za-z]{1,20}[013457]{1,2}[A-Za-z][A-Za-z013457]{0,20}\b")
_LETTERS = str.maketrans("013457", "oieast")
# Odd constants of Knuth and of xxHash; any odd ones would do.
_LEFT, _RIGHT, _SUBJECT, _STRUCTURE = (np.uint32(number) for number in (2654435761, 2246822519, 3266489917, 668265263))

Hashes = NDArray[np.uint32]


class _Words(dict[str, int]):
    """Hash by word, computed once; forgets all when full."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _CACHED_WORDS:
            self.clear()
        value = self[word] = zlib.crc32(word.encode("utf-8", "replace"))
        return value


_hashes = _Words()


def words_of(text: str, limit: int = MAX_WORDS) -> list[str]:
    """Cut `text` into lower-case words; digits become 0, addresses one word each.

    >>> words_of("Pay $500 NOW!! at http://x.example/y, don't wait")
    ['pay', '$000', 'now', 'at', 'urlx', 'dont', 'wait']
    >>> words_of("V14gr4 pr1c3s, room 12b, b2b")
    ['viagra', 'prices', 'room', '00b', 'b0b']
    """
    text = text[: limit * 24]
    if _has_digit_between(text):
        text = _SPELT_WITH_DIGITS.sub(_spelt_out, text)
    if "@" in text or "://" in text or "www." in text:
        text = " ".join([_without_address(chunk) for chunk in text.split()])
    return (text.translate(_TABLE) if text.isascii() else _lowered(text)).split()[:limit]


def hash_words(words: Sequence[str]) -> Hashes:
    """One number for each word."""
    return np.fromiter(map(_hashes.__getitem__, words), np.uint32, len(words))


def pairs(hashes: Hashes) -> Hashes:
    """One number for each two neighbours. Mixed, not hashed as text: 0.33 instead of 0.47 ms a message."""
    mixed = hashes[:-1] * _LEFT + hashes[1:] * _RIGHT
    return np.asarray(mixed ^ (mixed >> np.uint32(15)), np.uint32)


class Parts(NamedTuple):
    """A message as hashes, in order: text shown, other text (plain beside HTML), subject, structure; numbers."""

    text: Hashes
    second: Hashes
    subject: Hashes
    structure: Hashes
    numbers: NDArray[np.float32]


class Views(NamedTuple):
    """A message as the model takes it: distinct columns of the whole, and of subject, structure and first words.

    `words` and `words_head` are the same without pairs of text and without structure, which mislead on today's
    transactional HTML. `has_text` is False for mail that shows no word: a picture, a lone attachment.
    """

    whole: Hashes
    head: Hashes
    words: Hashes
    words_head: Hashes
    numbers: NDArray[np.float32]
    has_text: bool


def views(parts: Parts, bits: int) -> Views:
    """Return all views of a message."""
    text, second, subject = parts.text, parts.second, parts.subject
    title = subject * _SUBJECT
    titles = [title, pairs(title), subject]
    shared = [*titles, parts.structure * _STRUCTURE]
    start = text[:HEAD_WORDS] if len(text) else second[:HEAD_WORDS]
    return Views(
        columns([*shared, text, pairs(text), second, pairs(second)], bits),
        columns([*shared, start, pairs(start)], bits),
        columns([*titles, text, second], bits),
        columns([*titles, start], bits),
        parts.numbers,
        bool(len(text) or len(second)),
    )


def columns(hashes: Sequence[Hashes], bits: int) -> Hashes:
    """Fold hashes to `bits` and keep each column once, ascending."""
    joined = np.concatenate(hashes)
    folded = (joined ^ (joined >> np.uint32(bits))) & np.uint32((1 << bits) - 1)
    folded.sort()
    return folded[np.concatenate(([True], folded[1:] != folded[:-1]))] if len(folded) else folded


def _has_digit_between(text: str) -> bool:
    """Tell whether a word may be spelt with digits: most mail has none, and looking at each word costs 0.15 ms."""
    for digit in "013457":
        at = text.find(digit, 1)
        while at > 0:
            if text[at - 1].isalpha() and text[at + 1 : at + 3].lstrip("013457")[:1].isalpha():
                return True
            at = text.find(digit, at + 1)
    return False


def _spelt_out(match: re.Match[str]) -> str:
    return match[0].translate(_LETTERS)


def _without_address(chunk: str) -> str:
    if "://" in chunk or "www." in chunk:
        return "urlx"
    return "mailx" if "@" in chunk[1:-1] else chunk


def _lowered(text: str) -> str:
    text = text.lower().replace("'", "").replace("’", "")
    for digit in "123456789":
        text = text.replace(digit, "0")
    for sign in _BETWEEN + _WIDE_BETWEEN:
        text = text.replace(sign, " ")
    return _IDEOGRAPH.sub(r" \1 ", text) if _IDEOGRAPH.search(text) else text
