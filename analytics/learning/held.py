"""What the trees learn from: the numbers, and logits of messages and origins that the linear stage has not seen."""

from dataclasses import dataclass, field
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from analytics.learning.crew import Arrays, Crew
from analytics.learning.linear import DRESSED_WEIGHT, Linear, fit_linear, weights_of
from analytics.learning.samples import FOLDS, Samples, stuffed
from relay.content.structure import HTML_LENGTH
from relay.content.tokens import Views

# Messages of a fold that are copied and what each copy counts, by whether they are bad. Good ones too: else a long mail
# of two subjects is bad by its mixture alone; as much as bad ones they cost recall below good words (.805 of 1,900
# instead of .816)
_STUFFED = {True: (4000, 1.0), False: (2600, 0.5)}
_COPIES = (
    2  # with one of twice the weight (1-ROCA)% was .072 instead of .065, and less of each origin left out was found
)
# What a row weighs whose linear stage has not seen its origin: with .3 the valid split was a little worse (.134, .118)
_OUTSIDE_WEIGHT = 0.9
# Ten times what it counts in the linear stage: of 109 unknown templates 11 instead of 21 lay above the 0.5 % line
_WEIGHTS = {"modern-html": 30.0}

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Held:
    """What the linear stage says of messages it has not seen: the trees' training rows, copies included.

    `outside` has the inputs of all messages of an origin, by a linear stage without that origin.
    """

    inputs: Matrix
    is_bad: NDArray[np.bool_]
    origins: NDArray[np.str_]
    weights: NDArray[np.float64]
    outside: dict[str, Matrix]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Training rows as they are gathered: what the trees see, the messages they are of, what each counts."""

    samples: Samples
    linear: Linear
    inputs: list[Matrix] = field(default_factory=list)
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    weights: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, views: list[Views], rows: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        if views:
            self.inputs.append(inputs_of(self.linear, views))
            self.rows.append(rows)
            self.weights.append(weights)

    def add_known(self, rows: NDArray[np.int64], share: float) -> None:
        """Add messages and their copies in other clothes."""
        self.add([self.samples.views[row] for row in rows], rows, share * weights_of(self.samples, rows, _WEIGHTS))
        dressed, donors = self.samples.dressed_of(rows)
        self.add(dressed, donors, np.full(len(donors), share * DRESSED_WEIGHT))

    def joined(self) -> Arrays:
        return {
            "inputs": np.vstack(self.inputs),
            "rows": np.concatenate(self.rows),
            "weights": np.concatenate(self.weights),
        }


def held_out(samples: Samples, rows: NDArray[np.int64], crew: Crew) -> Held:
    """Score each message of `rows` twice: by a linear stage that has not seen it or its near duplicates, and by one
    that has not seen its origin at all, so that the trees learn how far to trust a logit on mail unlike any known."""
    origins = sorted(set(samples.origins[rows].tolist()))
    jobs = [
        *(partial(_of_fold, samples, rows, fold) for fold in range(FOLDS)),
        *(partial(_of_origin, samples, rows, origin) for origin in origins),
    ]
    answers = crew.do("learning", jobs)
    found = [answer for answer in answers if answer]
    taken = np.concatenate([answer["rows"] for answer in found])
    return Held(
        np.vstack([answer["inputs"] for answer in found]),
        samples.is_bad[taken],
        samples.origins[taken],
        np.concatenate([answer["weights"] for answer in found]),
        {origin: answer["all"] for origin, answer in zip(origins, answers[FOLDS:], strict=True) if answer},
    )


def _of_fold(samples: Samples, rows: NDArray[np.int64], fold: int) -> Arrays:
    """Return training rows of a fold, by a linear stage that has not seen it; nothing where there can be none."""
    judged = rows[samples.folds[rows] == fold]
    linear = _fitted(samples, rows[samples.folds[rows] != fold])
    if linear is None or not len(judged):
        return {}
    gathered = _Rows(samples, linear)
    gathered.add_known(judged, 1.0)
    rng = np.random.default_rng(fold)
    for _, (is_bad, (most, weight)) in product(range(_COPIES), _STUFFED.items()):
        copied = rng.permutation(judged[samples.is_bad[judged] == is_bad])[:most]
        if copies := stuffed(samples, copied, judged, int(rng.integers(1 << 30))):
            gathered.add(copies, copied, np.full(len(copied), weight))
    return gathered.joined()


def _of_origin(samples: Samples, rows: NDArray[np.int64], origin: str) -> Arrays:
    """Return training rows of an origin, by a linear stage that has not seen it, and `all` its messages' inputs."""
    if (linear := _fitted(samples, rows[samples.origins[rows] != origin])) is None:
        return {}
    gathered = _Rows(samples, linear)
    gathered.add_known(rows[samples.origins[rows] == origin], _OUTSIDE_WEIGHT)
    everything = [samples.views[row] for row in np.flatnonzero(samples.origins == origin)]
    return gathered.joined() | {"all": inputs_of(linear, everything)}


def _fitted(samples: Samples, kept: NDArray[np.int64]) -> Linear | None:
    """None where only one kind of mail is left to learn from."""
    return fit_linear(samples, kept) if len(set(samples.is_bad[kept].tolist())) == 2 else None


def inputs_of(linear: Linear, views: list[Views]) -> Matrix:
    """Return what the trees see, (n, N_LOGITS + numbers).

    They are not told how long the HTML is: it says how new a page is, and new kinds of good mail paid for that (a third
    more false positives on modern HTML mail that no stage knew, and less phishing found; nothing gained elsewhere).
    """
    numbers = np.array([view.numbers for view in views], np.float64)
    numbers[:, HTML_LENGTH] = 0.0
    return np.hstack([linear.logits(views), numbers])
