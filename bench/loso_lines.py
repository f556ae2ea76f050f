"""Where to draw the line for mail of an origin that nobody has seen, and what it does there. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from analytics.learning.figures import ACTION_LINES
from analytics.learning.platt import platt, probability
from analytics.learning.reliability import wilson

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]
FALSE_POSITIVES = 0.005
_RARE = "modern-html"  # ham of a kind that no other origin has, and that every training in use has
LINES = ("known", "strange", "HTML known", "strictest", *(f"p >= {line}" for line in ACTION_LINES))


@dataclass(frozen=True, slots=True)
class Found:
    """One scorer's scores where an origin is left out.

    `known`: of the valid split of the other origins; `judged`: of the origin; `strange`: of ham of each other origin,
    by the same scorer when it had learnt from neither that one nor the one left out. `most`: the highest p of each
    message judged.
    """

    known: Scores
    known_is_bad: Flags
    judged: Scores
    is_bad: Flags
    strange: Mapping[str, Scores]
    most: Scores


def above(found: Found) -> dict[str, Flags]:
    """Return which of the messages judged lie above each of LINES."""
    usual = [scores for origin, scores in found.strange.items() if origin != _RARE]
    lines = {
        "known": quantile([found.known[~found.known_is_bad]]),
        "strange": quantile(list(found.strange.values())),
        "HTML known": quantile(usual),
        "strictest": max(quantile([scores]) for scores in found.strange.values()),
    }
    p = np.minimum(found.most, probability(found.judged, *platt(found.known, found.known_is_bad)))
    return {name: found.judged > line for name, line in lines.items()} | {
        f"p >= {line}": p >= line for line in ACTION_LINES
    }


def quantile(origins: Sequence[Scores], share: float = FALSE_POSITIVES) -> float:
    """Return the lowest score with at most `share` of the ham above it, each origin counting the same.

    >>> quantile([np.arange(10.0), np.array([99.0])], 0.5), quantile([np.arange(10.0), np.array([99.0])], 0.49)
    (9.0, 99.0)
    """
    scores = np.concatenate(origins)
    weights = np.concatenate([np.full(len(one), 1 / len(one) / len(origins)) for one in origins])
    order = np.argsort(-scores, kind="stable")
    places, weights = scores[order], np.cumsum(weights[order])
    # above the score at a place are those of the places before it, of equal scores the first of them
    higher = np.concatenate([[0.0], weights])[np.searchsorted(-places, -places, "left")]
    return float(places[higher <= share + 1e-12][-1])


def cell(hits: Flags, is_bad: Flags) -> str:
    """Recall, and false positives with their interval of 95 % (Wilson); nothing where there is no such mail."""
    bad, ham = hits[is_bad], hits[~is_bad]
    recall = f"{bad.mean():.3f}" if len(bad) else ""
    low, high = wilson(float(ham.sum()), len(ham))
    wrong = f"{ham.mean():.2%} ({100 * low:.2f}-{100 * high:.2f})" if len(ham) else ""
    return " / ".join(part for part in (recall, wrong) if part)


def area(found: Found) -> str:
    """(1-ROCA)%, where both labels are there."""
    both = 0 < found.is_bad.sum() < len(found.is_bad)
    return f"{100 * (1 - roc_auc_score(found.is_bad, found.judged)):.2f}" if both else ""


def means(hits: Sequence[Flags], labels: Sequence[Flags]) -> str:
    """Over origins: mean recall / mean false positives, worst false positives."""
    bad = [one[is_bad].mean() for one, is_bad in zip(hits, labels, strict=True) if is_bad.any()]
    ham = [one[~is_bad].mean() for one, is_bad in zip(hits, labels, strict=True) if not is_bad.all()]
    recall = f"{np.mean(bad):.3f}" if bad else ""
    return f"{recall} / {np.mean(ham):.2%}, {max(ham):.2%}" if ham else recall
