"""Train the text model of replies (relay/delivery/wording.py): a logistic regression, exported as a table of weights.

From reply_examples.toml, written for it, and from lines given in files (labelled, of a licence that allows it). Each is
learnt twice, with its codes and without, since codes lie: the words must do.
"""

import importlib.resources
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analytics.reports.verdict import coarse, judge, reply_in
from relay.delivery.replies import Category
from relay.delivery.wording import Table, table_of, tokens
from relay.reply import Reply

_C = 30.0  # of 1, 10, 30, 100: best over examples left out by fives
_LEAST = 0.2  # smaller weights change nothing, and are most of the table
# Lines labelled with the ten words of reports: the commonest category of each
_OF_COARSE = {
    "invalid-recipient": Category.INVALID_RECIPIENT,
    "mailbox-full": Category.QUOTA_ISSUES,
    "blocked": Category.REPUTATION_BLOCK,
    "spam-content": Category.CONTENT_BLOCK,
    "policy-auth": Category.POLICY_RELATED,
    "rate-limit": Category.RATE_LIMITED,
    "network": Category.TRANSIENT_FAILURE,
    "too-big": Category.TOO_BIG,
    "relay-denied": Category.ROUTING_ERRORS,
    "other": Category.PROTOCOL_ERRORS,
}
_FREE = ("BSD", "MIT", "Apache")


@dataclass(frozen=True, slots=True)
class Example:
    reply: Reply
    category: str


def examples() -> list[Example]:
    """The examples that were written for this."""
    source = importlib.resources.files("analytics.reports").joinpath("reply_examples.toml").read_text("utf-8")
    return [
        Example(reply_in(line), Category(category))
        for category, lines in tomllib.loads(source).items()
        for line in lines
    ]


def lines_of(path: Path) -> list[Example]:
    """The lines of a JSON Lines file (text, category, licence) whose licence lets their weights be shipped."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    free = [row for row in rows if row["licence"].startswith(_FREE) and row["category"] in _OF_COARSE]
    return [Example(reply_in(row["text"]), _finer(row["text"], row["category"])) for row in free]


def _finer(text: str, label: str) -> Category:
    """The category within a label: of the sure rule that agrees with it, else the label's commonest."""
    outcome = judge(text)
    return outcome.category if outcome.confidence == 1 and coarse(outcome) == label else _OF_COARSE[label]


def train(learnt: Iterable[Example]) -> dict[str, Any]:
    """Return the table, as its JSON: categories, bias, weights (hundredths)."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import normalize

    rows = list(learnt)
    rows += [Example(replace(row.reply, code=0, enhanced=""), row.category) for row in rows]
    vectorizer = CountVectorizer(analyzer=tokens, binary=True)
    # the length of a row of ones is the root of their number, by which `score` divides
    counts = normalize(vectorizer.fit_transform([row.reply for row in rows]))
    model = LogisticRegression(C=_C, max_iter=2_000).fit(counts, [row.category for row in rows])
    weights: dict[str, list[int]] = {}
    for token, column in sorted(vectorizer.vocabulary_.items()):
        pairs = [(at, float(row[column])) for at, row in enumerate(model.coef_) if abs(row[column]) >= _LEAST]
        if pairs:
            weights[token] = [number for at, weight in pairs for number in (at, round(100 * weight))]
    return {
        "categories": [str(name) for name in model.classes_],
        "bias": [round(100 * float(value)) for value in model.intercept_],
        "weights": weights,
    }


def trained(learnt: Iterable[Example]) -> Table:
    """Train, and return the table as it is scored."""
    return table_of(train(learnt))
