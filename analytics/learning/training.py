"""From labelled mail to a model folder: linear stage, trees, calibration, figures, card. Runs in a process of its own.

Judged by leaving whole origins out: on mail of a known origin every model looks perfect.
"""

import hashlib
import io
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from analytics.learning.boosting import LINEAR_SHARE, fit_trees
from analytics.learning.corpus import OWN, terms_of
from analytics.learning.crew import Arrays, Crew, Job
from analytics.learning.figures import figures_of, lines_of
from analytics.learning.held import Held, held_out, inputs_of
from analytics.learning.linear import Linear, fit_linear
from analytics.learning.platt import platt, probability
from analytics.learning.samples import BITS, Samples
from relay.content.model import ARRAYS, NODES, ROOTS, WEIGHTS, WORDLESS, WORDS, Model
from relay.content.model_files import CARD, FEATURE_VERSION, REFERENCE_PRIOR, ArrayFile, Card, Source

_NOTES = (
    "Thresholds are of mail whose origin was left out of training, even whole decades: a lower bound. "
    "Calibrated on the valid split of known origins (without one: on our own texts, left out by quarters). "
    "Weights are sums over hashed words: no text can be read back."
)

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model and what it was judged by."""

    card: Card
    arrays: dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Judged:
    """Margins of all messages: by a model without their origin (nan where there is none), and by the model itself."""

    outside: Scores
    inside: Scores


def train(samples: Samples, name: str, made_at: datetime, crew: Crew) -> Trained:
    """Fit on the train split, judge on the valid split and by leaving out each origin, and calibrate on both."""
    rows = np.flatnonzero(samples.is_train)
    held = held_out(samples, rows, crew)
    linear, outside = _fitted(samples, rows, held, crew)
    trees = fit_trees(held)
    judged = Judged(outside, trees.margins(inputs_of(linear, samples.views)))
    nodes, roots = trees.flattened()
    arrays: dict[str, NDArray[np.generic]] = {
        WEIGHTS: linear.tokens.astype(np.float16),
        WORDS: linear.words.astype(np.float16),
        NODES: nodes,
        ROOTS: roots,
    }
    return Trained(_card(samples, judged, arrays, name, made_at), arrays)


def save(trained: Trained, folder: Path) -> Card:
    """Write the model's folder: arrays first, the card, which proves them, last. Returns the card as written."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    entries = {}
    for name, array in trained.arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        (folder / name).write_bytes(buffer.getvalue())
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        entries[name] = ArrayFile(sha256=digest, dtype=str(array.dtype), shape=[*array.shape])
    card = msgspec.structs.replace(trained.card, arrays=entries)
    (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n")
    return card


def probabilities(model: Model, samples: Samples) -> Scores:
    """Return what the relay would give each message, (len(samples.views),)."""
    return np.array([model.probability(views) for views in samples.views])


def _fitted(samples: Samples, rows: NDArray[np.int64], held: Held, crew: Crew) -> tuple[Linear, Scores]:
    """Return the linear stage of all rows, and the margin of each message by a model that has not seen its origin; not
    a number where that cannot be.

    The trees' inputs come from linear stages that have seen it: those cost most of the time, and the trees learn how
    far to trust a logit, not words.
    """
    jobs: list[Job] = [lambda: fit_linear(samples, rows)._asdict()]
    jobs += [partial(_left_out, held, origin) for origin in held.outside]
    linear, *margins = crew.do("judging", jobs)
    left_out = np.full(len(samples.views), np.nan)
    for origin, answer in zip(held.outside, margins, strict=True):
        left_out[samples.origins == origin] = answer["margins"]
    return Linear(**linear), left_out


def _left_out(held: Held, origin: str) -> Arrays:
    return {"margins": fit_trees(held, without=origin).margins(held.outside[origin])}


def _card(
    samples: Samples, judged: Judged, arrays: dict[str, NDArray[np.generic]], name: str, made_at: datetime
) -> Card:
    has_text, valid, outside = samples.has_text, ~samples.is_train, ~np.isnan(judged.outside)
    own = outside & (samples.sources == OWN)
    # Left-out quarters of our own texts would flatten the curve (ECE .007 for .005, and hardly a p above .99)
    shown, scores = (valid, judged.inside) if valid.any() else (own, judged.outside)
    slope, intercept = platt(scores[shown & has_text], samples.is_bad[shown & has_text])
    cap = np.where(has_text, 1, WORDLESS)
    outside_p, inside_p = (cap * probability(scores, slope, intercept) for scores in (judged.outside, judged.inside))
    sets = [("each origin left out", outside_p, outside)]
    if valid.any():  # our own texts alone have no such split
        sets.append(("valid split (known origins)", inside_p, valid))
    return Card(
        name=name,
        made_at=made_at.isoformat(timespec="seconds"),
        feature_version=FEATURE_VERSION,
        bits=BITS,
        numbers=len(samples.views[0].numbers),
        linear=LINEAR_SHARE,
        slope=slope,
        intercept=intercept,
        reference_prior=REFERENCE_PRIOR,
        arrays={
            key: ArrayFile(sha256="", dtype=str(np.dtype(ARRAYS[key])), shape=[*arrays[key].shape]) for key in arrays
        },
        sources=_sources(samples),
        thresholds=lines_of(outside_p[outside], samples.is_bad[outside]),
        figures=[
            figures_of(what, p[chosen], samples.is_bad[chosen], samples.sources[chosen]) for what, p, chosen in sets
        ],
        notes=_NOTES,
    )


def _sources(samples: Samples) -> list[Source]:
    names = sorted(set(samples.sources.tolist()))
    trained = {name: samples.is_bad[(samples.sources == name) & samples.is_train] for name in names}
    return [
        Source(name=name, terms=terms_of(name), bad=int(bad.sum()), ham=int((~bad).sum()))
        for name, bad in trained.items()
    ]
