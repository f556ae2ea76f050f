"""From labelled mail to a model folder: tokens, weights, calibration, figures, card. Runs in a process of its own.

Judged by leaving whole origins out: on mail of a known origin every model looks perfect.
"""

import hashlib
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from analytics.learning.corpus import OWN, Example, terms_of
from analytics.learning.figures import figures_of, lines_of
from relay.content.assess import views_of
from relay.content.message import read
from relay.content.model import WEIGHTS, WORDLESS, Model
from relay.content.model_files import CARD, FEATURE_VERSION, REFERENCE_PRIOR, ArrayFile, Card, Source
from relay.content.tokens import Views, columns, hash_words, pairs, words_of

BITS = 20
_INVERSE_REGULARISATION = 100.0  # of 1, 10, 100, 1000 the best on origins left out
_PASSAGE_WORDS = 140
_HEAD_WEIGHT = 0.5  # the first words of a message are a second, weaker example of it
_STUFFED_WEIGHT = 0.5
_TOLERANCE = 1e-5  # at scikit-learn's 1e-4 lbfgs stops far too early: recall .916 instead of .964 on the valid split
_ROUNDS = 300
# Where the lines of action lie. The line is fitted there: a few margins far out would make it too flat.
_DECIDING = (2.0, 9.0)
_WEIGHTS = {"modern-html": 3.0}  # modern HTML ham is scarce; 2002 and 2007 must not outvote it

Step = Callable[[str, int, int], None]
Columns = list[NDArray[np.uint32]]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Examples as the model takes them, and a passage of each text to stuff bad mail with."""

    views: list[Views]
    passages: Columns
    is_bad: NDArray[np.bool_]
    origins: NDArray[np.str_]
    sources: NDArray[np.str_]
    is_train: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model and what it was judged by."""

    card: Card
    weights: NDArray[np.float16]


def tokenise(examples: Sequence[Example], step: Step) -> Tokens:
    """Read all messages as the relay does."""
    views, passages = [], []
    for at, example in enumerate(examples):
        content = example.raw if b"\r\n" in example.raw else example.raw.replace(b"\n", b"\r\n")
        reading = read(content)
        view = views_of(reading, BITS)
        views.append(view)
        passages.append(_passage(reading.text, at))
        if at % 100 == 0:
            step("reading mail", at, len(examples))
    return Tokens(
        views,
        passages,
        np.array([example.is_bad for example in examples]),
        np.array([example.origin for example in examples]),
        np.array([example.source for example in examples]),
        np.array([example.split == "train" for example in examples]),
    )


def train(tokens: Tokens, name: str, made_at: datetime, step: Step) -> Trained:
    """Fit on the train split, judge on the valid split and by leaving out each origin, and calibrate on both."""
    left_out = _left_out(tokens, step)
    # Half precision is exact enough (2 MB); whole numbers of 8 bits lost a tenth of the recall: few words weigh much.
    weights = _fit(tokens, np.flatnonzero(tokens.is_train)).astype(np.float16)
    inside = margins(weights.astype(np.float64), tokens, np.arange(len(tokens.views)))
    valid, judged = ~tokens.is_train, ~np.isnan(left_out)
    new = judged & (tokens.sources == OWN)
    has_text = np.array([view.has_text for view in tokens.views])
    slope, intercept = _calibrate(
        np.concatenate([inside[valid & has_text], left_out[new & has_text]]),
        np.concatenate([tokens.is_bad[valid & has_text], tokens.is_bad[new & has_text]]),
    )
    cap = np.where(has_text, 1, WORDLESS)
    outside_p, inside_p = (cap * _probability(margin, slope, intercept) for margin in (left_out, inside))
    figures = [figures_of("each origin left out", outside_p[judged], tokens.is_bad[judged], tokens.sources[judged])]
    if valid.any():  # our own texts alone have no such split
        figures.append(
            figures_of("valid split (known origins)", inside_p[valid], tokens.is_bad[valid], tokens.sources[valid])
        )
    card = Card(
        name=name,
        made_at=made_at.isoformat(timespec="seconds"),
        feature_version=FEATURE_VERSION,
        bits=BITS,
        slope=slope,
        intercept=intercept,
        reference_prior=REFERENCE_PRIOR,
        arrays={WEIGHTS: ArrayFile(sha256="", dtype="float16", shape=[1 << BITS])},
        sources=_sources(tokens),
        thresholds=lines_of(outside_p[judged], tokens.is_bad[judged]),
        figures=figures,
        notes="Thresholds are of mail whose origin was left out of training, even whole decades: a lower bound. "
        "Calibrated on the valid split of known origins, and on our own texts, left out by quarters. "
        "Weights are sums over hashed words: no text can be read back.",
    )
    return Trained(card, weights)


def save(trained: Trained, folder: Path) -> Card:
    """Write the model's folder: arrays first, the card, which proves them, last. Returns the card as written."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.save(buffer, trained.weights, allow_pickle=False)
    entry = msgspec.structs.replace(trained.card.arrays[WEIGHTS], sha256=hashlib.sha256(buffer.getvalue()).hexdigest())
    card = msgspec.structs.replace(trained.card, arrays={WEIGHTS: entry})
    (folder / CARD).unlink(missing_ok=True)
    (folder / WEIGHTS).write_bytes(buffer.getvalue())
    (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n")
    return card


def margins(weights: NDArray[np.float64], tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean margin of both views, (len(rows),), as Model computes it."""
    whole = _matrix([tokens.views[row].whole for row in rows]) @ weights
    head = _matrix([tokens.views[row].head for row in rows]) @ weights
    return np.asarray(0.5 * (whole + head))


def probabilities(model: Model, tokens: Tokens) -> NDArray[np.float64]:
    """Return what the relay would give each message, (len(tokens),)."""
    return np.array([model.probability(views) for views in tokens.views])


def _left_out(tokens: Tokens, step: Step) -> NDArray[np.float64]:
    """The margin of each message by a model that has not seen its origin; not a number where that cannot be."""
    origins = sorted(set(tokens.origins.tolist()))
    left_out = np.full(len(tokens.views), np.nan)
    for at, origin in enumerate(origins):
        step(f"without {origin}", at, len(origins) + 1)
        rows = np.flatnonzero(tokens.is_train & (tokens.origins != origin))
        if len(set(tokens.is_bad[rows].tolist())) == 2:
            judged = np.flatnonzero(tokens.origins == origin)
            left_out[judged] = margins(_fit(tokens, rows), tokens, judged)
    step("with all", len(origins), len(origins) + 1)
    return left_out


def _fit(tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights of a logistic regression over whole messages, their heads, and bad mail stuffed with good words."""
    bad, rng = rows[tokens.is_bad[rows]], np.random.default_rng(1)
    good = [row for row in rows[~tokens.is_bad[rows]] if len(tokens.passages[row])]
    stuffed = [
        np.unique(np.concatenate([tokens.views[row].whole, *(tokens.passages[at] for at in rng.choice(good, count))]))
        for row, count in zip(bad, rng.integers(1, 4, len(bad)), strict=True)
    ] if good else []  # fmt: skip
    weight = np.array([_WEIGHTS.get(origin, 1.0) for origin in tokens.origins[rows].tolist()])
    matrix = vstack(
        [
            _matrix([tokens.views[row].whole for row in rows]),
            _matrix([tokens.views[row].head for row in rows]),
            *([_matrix(stuffed)] if stuffed else []),
        ]
    ).tocsr()
    labels = np.concatenate([tokens.is_bad[rows], tokens.is_bad[rows], np.ones(len(stuffed), bool)])
    weights = np.concatenate([weight, weight * _HEAD_WEIGHT, np.full(len(stuffed), _STUFFED_WEIGHT)])
    # No intercept: calibration has one.
    classifier = LogisticRegression(C=_INVERSE_REGULARISATION, tol=_TOLERANCE, max_iter=_ROUNDS, fit_intercept=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # after so many rounds it is good enough
        return np.asarray(classifier.fit(matrix, labels, sample_weight=weights).coef_[0])


def _matrix(rows: Columns) -> csr_matrix:
    lengths = np.array([len(row) for row in rows], np.int64)
    values = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    places = np.concatenate(rows).astype(np.int32) if rows else np.zeros(0, np.int32)
    return csr_matrix((values, places, starts), shape=(len(rows), 1 << BITS))


def _calibrate(margin: NDArray[np.float64], is_bad: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of log odds at the reference prior (Platt's scaling; each class weighted to its share)."""
    bad = int(is_bad.sum())
    weights = np.where(is_bad, REFERENCE_PRIOR / bad, (1 - REFERENCE_PRIOR) / (len(is_bad) - bad)) * len(is_bad)
    clipped = np.clip(margin, *_DECIDING)[:, None]
    fitted = LogisticRegression(C=1e6).fit(clipped, is_bad, sample_weight=weights)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def _probability(margin: NDArray[np.float64], slope: float, intercept: float) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(slope * margin + intercept, -50, 50))))


def _passage(text: str, seed: int) -> NDArray[np.uint32]:
    hashes = hash_words(words_of(text))
    if len(hashes) < _PASSAGE_WORDS // 2:
        return np.zeros(0, np.uint32)
    start = seed * 37 % max(1, len(hashes) - _PASSAGE_WORDS)
    passage = hashes[start : start + _PASSAGE_WORDS]
    return columns(np.concatenate([passage, pairs(passage)]), BITS)


def _sources(tokens: Tokens) -> list[Source]:
    names = sorted(set(tokens.sources.tolist()))
    trained = {name: tokens.is_bad[(tokens.sources == name) & tokens.is_train] for name in names}
    return [
        Source(name=name, terms=terms_of(name), bad=int(bad.sum()), ham=int((~bad).sum()))
        for name, bad in trained.items()
    ]
