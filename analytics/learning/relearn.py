"""Trains a candidate from our own texts and this installation's labelled mail, and has the gate judge it by later mail.

Run by retraining.py as a niced process: `python -m analytics.learning.relearn ORDER.json`, with OPENBLAS_NUM_THREADS=1.
Writes the candidate's folder and the order's report; the relay hears nothing of it here.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from analytics.learning.corpus import read_corpus
from analytics.learning.crew import Crew
from analytics.learning.gate import Ruling, Trial, rule
from analytics.learning.reading import sampled
from analytics.learning.samples import BITS, FOLDS, Samples
from analytics.learning.shadow import parts_of_row
from analytics.learning.training import probabilities, save, train
from analytics.learning.words import WordStore
from relay.content.model import load
from relay.content.model_files import FEATURE_VERSION
from relay.content.tokens import views

NICE = 10
_LATER = 0.3  # of the labelled mail, the latest, judges; the rest is learnt from
_MOST_SLICES = 8  # accounts with most labels


class KnownLabel(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one message."""

    is_bad: bool
    weight: float
    origin: str
    account: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to train: labels by message id, words in `words`, against the model in `active`; the answer to `report`.

    `texts`: about so many of our own texts, for a quick trial; 0: all of them.
    """

    name: str
    folder: str
    words: str
    active: str
    report: str
    labels: dict[str, KnownLabel]
    texts: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `learnt` and `judged` count labelled messages; empty `ruling.slices` where none was trained."""

    name: str
    active: str
    learnt: int
    judged: int
    made_at: datetime
    ruling: Ruling


def relearn(order: Order, now: datetime) -> Report:
    """Train, judge, save. Raises ModelError when the model in use cannot be loaded."""
    table = WordStore(Path(order.words)).labelled(order.labels, datetime(2020, 1, 1, tzinfo=UTC).date())
    rows = [row for row in table.sort_by("received_at").to_pylist() if row["version"] == FEATURE_VERSION]
    split = int(len(rows) * (1 - _LATER))
    learnt, later = rows[:split], rows[split:]
    if not _has_both(order, learnt) or not _has_both(order, later):
        why = (
            f"{len(rows)} labelled messages with words: too few, or of one kind only, on one side of the split in time"
        )
        return Report(name=order.name, active=order.active, learnt=0, judged=0, made_at=now, ruling=_refusal(why))
    alone = Crew()  # the other cores are for the mail
    base = sampled(read_corpus(None, alone, everything=False, own=order.texts), alone)
    trained = train(_joined(base, _samples(order, learnt)), order.name, now, alone)
    save(trained, Path(order.folder))
    judged = _samples(order, later)
    trial = Trial(
        candidate=probabilities(load(Path(order.folder)), judged),
        active=probabilities(load(Path(order.active)), judged),
        is_bad=judged.is_bad,
        weights=np.array([order.labels[row["message_id"]].weight for row in later]),
        slices=_slices(order, later),
    )
    return Report(
        name=order.name,
        active=order.active,
        learnt=len(learnt),
        judged=len(later),
        made_at=now,
        ruling=rule(trial),
    )


def _samples(order: Order, rows: list[dict[str, Any]]) -> Samples:
    """Labelled messages as training takes them, one origin together."""
    parts = [parts_of_row(row) for row in rows]
    labels = [order.labels[row["message_id"]] for row in rows]
    return Samples(
        parts,
        [views(part, BITS) for part in parts],
        np.array([label.is_bad for label in labels]),
        np.array(["labelled"] * len(rows)),
        np.array(["labelled here"] * len(rows)),
        np.ones(len(rows), bool),
        np.arange(len(rows)) * FOLDS // max(1, len(rows)),  # in time: near duplicates lie together
    )


def _joined(one: Samples, other: Samples) -> Samples:
    """Rows of `other` after those of `one`. Only `one` has copies in other clothes: of the other the text is gone."""

    def both(name: str) -> Any:
        return np.concatenate([getattr(one, name), getattr(other, name)])

    return Samples(
        parts=[*one.parts, *other.parts],
        views=[*one.views, *other.views],
        is_bad=both("is_bad"),
        origins=both("origins"),
        sources=both("sources"),
        is_train=both("is_train"),
        folds=both("folds"),
        dressed=one.dressed,
        donors=one.donors,
    )


def _slices(order: Order, rows: list[dict[str, Any]]) -> dict[str, Any]:
    labels = [order.labels[row["message_id"]] for row in rows]
    origins, accounts = np.array([one.origin for one in labels]), np.array([one.account for one in labels])
    names, counts = np.unique(accounts, return_counts=True)
    biggest = [str(name) for name in names[np.argsort(-counts)] if name][:_MOST_SLICES]
    return {f"labels by {origin}": origins == origin for origin in sorted(set(origins.tolist()))} | {
        f"account {name}": accounts == name for name in biggest
    }


def _has_both(order: Order, rows: list[dict[str, Any]]) -> bool:
    return len({order.labels[row["message_id"]].is_bad for row in rows}) == 2


def _refusal(why: str) -> Ruling:
    return Ruling(passes=False, why=why, slices=[])


def main(path: str) -> int:
    os.nice(NICE)
    order = msgspec.json.decode(Path(path).read_bytes(), type=Order)
    report = relearn(order, datetime.now(UTC))
    Path(order.report).write_bytes(msgspec.json.encode(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
