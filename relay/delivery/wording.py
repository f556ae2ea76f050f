"""What the words of a reply sound like, when no rule knows them: a linear text model, a plain table of weights.

Trained elsewhere (`mailweir reply train`); the table is rules/replies.json. Scored in plain Python: the relay loads no
numpy. A guess of this model must never suppress anybody.
"""

import importlib.resources
import math
import re
from functools import cache
from itertools import pairwise

import msgspec

from relay.reply import Reply

_MAX_TEXT, _MAX_WORDS = 400, 60
# Addresses, hosts and numbers would only teach the model whose replies it has seen.
_NAMES = re.compile(
    r"https?://\S+|www\.\S+|<?[^\s<>@]+@[^\s<>@]+>?|\[?\d{1,3}(?:\.\d{1,3}){3}\]?|\b(?:[\w-]+\.){1,8}[a-z]{2,12}\b(?!\.\w)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_WIDE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_STEM = 5  # "rejected", "rejection", "rejeté" begin alike


class Table(msgspec.Struct, frozen=True):
    """categories[i] has bias[i]; weights[token] = (i, weight, i, weight, ...). Numbers are whole
    hundredths: 1.0 MB, as floats 2.2."""

    categories: tuple[str, ...]
    bias: tuple[int, ...]
    weights: dict[str, tuple[int, ...]]


def guess(reply: Reply) -> tuple[str, float]:
    """Return the category that the words fit best, and its probability [0, 1]; ("", 0) when no word is known."""
    return score(table(), tokens(reply))


def score(weights: Table, found: list[str]) -> tuple[str, float]:
    """Return the best category for these tokens, and its probability."""
    sums = [0] * len(weights.categories)
    known = 0
    for token in found:
        row = weights.weights.get(token)
        if row is None:
            continue
        known += not token.startswith("=")
        for at in range(0, len(row), 2):
            sums[row[at]] += row[at + 1]
    if not known:
        return "", 0.0
    length = math.sqrt(len(found))
    logits = [(bias + total / length) / 100 for bias, total in zip(weights.bias, sums, strict=True)]
    top = max(logits)
    return weights.categories[logits.index(top)], 1 / sum(math.exp(logit - top) for logit in logits)


def tokens(reply: Reply) -> list[str]:
    """Return the distinct tokens of a reply: stems, words, pairs of stems, and its codes."""
    text = _NAMES.sub(" ", reply.text[:_MAX_TEXT]).lower()
    if _WIDE.search(text):
        text = _WIDE.sub(lambda sign: f" {sign[0]} ", text)
    words = _WORD.findall(text.replace("n't", " not").replace("\u2019", "'"))[:_MAX_WORDS]
    stems = [word[:_STEM] for word in words]
    pairs = [f"{one}_{other}" for one, other in pairwise(stems)]
    codes = [f"={str(reply.code)[:1]}", f"={reply.code}", *([f"={reply.enhanced[2:]}"] if reply.enhanced else [])]
    return list(dict.fromkeys([*stems, *(word for word in words if len(word) > _STEM), *pairs, *codes]))


@cache
def table() -> Table:
    """The table that is shipped. Raises ValueError when it is no such table."""
    source = importlib.resources.files("relay.rules").joinpath("replies.json").read_bytes()
    return msgspec.json.decode(source, type=Table)


def table_of(raw: dict[str, object]) -> Table:
    """Return a table from its JSON. Raises ValueError."""
    return msgspec.convert(raw, Table)
