"""A candidate model scores this installation's mail beside the one in use, from the words kept: no message is touched.

Says what promoting it would change, before it does; whether that is better, only labels tell. Reads words, else pure.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

import msgspec
import numpy as np

from analytics.learning.words import WordStore
from relay.content.model import Model
from relay.content.model_files import FEATURE_VERSION
from relay.content.tokens import Parts, views

_COLUMNS = ("shown", "other", "subject", "structure")


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages have p >= `p`: by both, and by one of them alone."""

    p: float
    both: int
    only_active: int
    only_candidate: int


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """One message and its two probabilities."""

    message_id: str
    received_at: datetime
    active: float
    candidate: float


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """`judged` of `kept` messages, evenly over the time; `unread` of those have words of another tokeniser.

    `moved`: those whose p differs by at least 0.001, the largest differences first.
    """

    candidate: str
    active: str
    since: date
    kept: int
    judged: int
    unread: int
    lines: list[Crossing]
    moved: list[Moved]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Mail since a day, at most `most` messages of it; of the differences `shown`; `lines` are values of p."""

    since: date
    most: int
    shown: int
    lines: tuple[float, ...]


def shadow(store: WordStore, candidate: Model, active: Model, span: Span) -> Shadow:
    """Score by both. About 0.3 ms a message."""
    kept = store.count(span.since)
    every = max(1, -(-kept // span.most))
    scored, unread = [], 0
    for row in _each(store, span.since, every):
        if row["version"] != FEATURE_VERSION:
            unread += 1
            continue
        parts = parts_of_row(row)
        both = {model.bits: views(parts, model.bits) for model in (candidate, active)}
        p = [model.probability(both[model.bits]) for model in (active, candidate)]
        scored.append((row["message_id"], row["received_at"], *p))
    return Shadow(
        candidate=candidate.id,
        active=active.id,
        since=span.since,
        kept=kept,
        judged=len(scored),
        unread=unread,
        lines=[_crossing(line, [(one[2], one[3]) for one in scored]) for line in span.lines],
        moved=_moved(scored)[: span.shown],
    )


def parts_of_row(row: Mapping[str, Any]) -> Parts:
    """Return a message of words.SCHEMA as the model takes it."""
    shown, other, subject, structure = (np.array(row[name], np.uint32) for name in _COLUMNS)
    return Parts(shown, other, subject, structure, np.array(row["numbers"], np.float32))


def _each(store: WordStore, since: date, every: int) -> Iterator[dict[str, Any]]:
    seen = 0
    for batch in store.batches(since):
        chosen = range(-seen % every, batch.num_rows, every)
        seen += batch.num_rows
        yield from batch.take(list(chosen)).to_pylist() if chosen else ()


def _crossing(line: float, pairs: list[tuple[float, float]]) -> Crossing:
    above = [(active >= line, candidate >= line) for active, candidate in pairs]
    return Crossing(
        p=line,
        both=above.count((True, True)),
        only_active=above.count((True, False)),
        only_candidate=above.count((False, True)),
    )


def _moved(scored: list[tuple[str, datetime, float, float]]) -> list[Moved]:
    found = [
        Moved(message_id=name, received_at=at, active=round(active, 6), candidate=round(candidate, 6))
        for name, at, active, candidate in scored
        if abs(candidate - active) >= 0.001
    ]
    return sorted(found, key=lambda one: (-abs(one.candidate - one.active), one.message_id))
