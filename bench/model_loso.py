"""Each origin of a corpus left out of training, four scorers on the same folds: how far a score holds elsewhere.

python -m bench.model_loso --corpus dev.parquet [--shipped]     prints Markdown tables

Scorers: TF-IDF words with logistic regression ("plain"), the linear stage's mean, ours; bogofilter, where Debian's is
installed. Lines, each drawn without any mail of the origin left out, the same way for each scorer:
known      0.5 % false positives on validation ham of the origins trained on
strange    0.5 % on ham of each other origin by the same scorer trained without that one too; each counts the same;
           our own texts, written to fill gaps, train but draw no line
HTML known the same, but modern HTML ham draws no line: every training in use has some, so it is nobody's stranger
strictest  as strange, of the origin that needs the highest line
p >= ...   the action lines, by Platt's calibration on validation mail of the origins trained on, at a prior of 2 %
"""

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analytics.learning.boosting import fit_trees
from analytics.learning.corpus import OWN, Example, read_corpus
from analytics.learning.crew import Arrays, Crew
from analytics.learning.held import Held, Matrix, held_out, inputs_of
from analytics.learning.linear import fit_linear
from analytics.learning.reading import sampled
from analytics.learning.samples import Samples
from bench.loso_lines import LINES, Found, above, area, cell, means
from bench.loso_peers import Rows, Scorer, Scores, bogofilter, has_bogofilter, plain
from relay.content.model import WORDLESS

Judge = Callable[[str], Iterator[tuple[str, Found]]]  # by the origin left out, each scorer and what it found


def thinned(examples: list[Example], most: int | None) -> list[Example]:
    """Keep at most so many training messages of each origin."""
    if most is None:
        return examples
    counts, kept = Counter[str](), set()
    for row in np.random.default_rng(2).permutation(len(examples)).tolist():
        counts[examples[row].origin] += examples[row].split == "train"
        if examples[row].split != "train" or counts[examples[row].origin] <= most:
            kept.add(row)
    return [example for row, example in enumerate(examples) if row in kept]


def ours(samples: Samples, crew: Crew) -> Judge:
    """The linear stage's mean and the whole model. The strange scores are those that training makes for the card."""

    def judged(origin: str) -> Iterator[tuple[str, Found]]:
        rows, known, rest = split(samples, origin)
        held, linear = held_out(samples, rows, crew), fit_linear(samples, rows)
        inputs = inputs_of(linear, [samples.views[row] for row in np.concatenate([known, rest])])
        ham = {one: held.outside[one][~samples.is_bad[samples.origins == one]] for one in strangers(samples, origin)}
        means = {one: kept[:, :2].mean(axis=1) for one, kept in ham.items()}
        yield "linear mean", found_of(samples, origin, inputs[:, :2].mean(axis=1), means)
        jobs = [partial(_margins, held, one, kept) for one, kept in ham.items()]
        answers = crew.do("judging", jobs)
        strange = {one: answer["margins"] for one, answer in zip(ham, answers, strict=True)}
        most = np.where(samples.has_text[rest], 1.0, WORDLESS)
        yield "**ours**", found_of(samples, origin, fit_trees(held).margins(inputs), strange, most)

    return judged


def _margins(held: Held, without: str, inputs: Matrix) -> Arrays:
    return {"margins": fit_trees(held, without).margins(inputs)}


def peer(name: str, samples: Samples, scorer: Scorer) -> Judge:
    """A scorer that learns anew for each pair of origins left out."""
    pairs: dict[frozenset[str], dict[str, Scores]] = {}

    def strange(origin: str, other: str) -> Scores:
        pair = frozenset((origin, other))
        if pair not in pairs:
            rows = np.flatnonzero(samples.is_train & ~np.isin(samples.origins, [*pair]))
            ham = {one: np.flatnonzero((samples.origins == one) & ~samples.is_bad) for one in pair}
            scores = scorer(rows, np.concatenate([*ham.values()]))
            pairs[pair] = dict(zip(ham, np.split(scores, [len(next(iter(ham.values())))]), strict=True))
        return pairs[pair][other]

    def judged(origin: str) -> Iterator[tuple[str, Found]]:
        rows, known, rest = split(samples, origin)
        scores = scorer(rows, np.concatenate([known, rest]))
        others = {other: strange(origin, other) for other in strangers(samples, origin)}
        yield name, found_of(samples, origin, scores, others)

    return judged


def split(samples: Samples, origin: str) -> tuple[Rows, Rows, Rows]:
    """Return the rows to learn from, the valid ones of the same origins, and those of the origin left out."""
    is_out = samples.origins == origin
    parts = (samples.is_train & ~is_out, ~samples.is_train & ~is_out, is_out)
    return (np.flatnonzero(parts[0]), np.flatnonzero(parts[1]), np.flatnonzero(parts[2]))


def strangers(samples: Samples, origin: str) -> list[str]:
    """Return the other origins that have ham, our own texts aside."""
    return sorted(set(samples.origins[~samples.is_bad & (samples.sources != OWN)].tolist()) - {origin})


def found_of(
    samples: Samples, origin: str, scores: Scores, strange: dict[str, Scores], most: Scores | None = None
) -> Found:
    """`scores`: of the valid rows, then of the origin's."""
    _, known, rest = split(samples, origin)
    return Found(
        scores[: len(known)],
        samples.is_bad[known],
        scores[len(known) :],
        samples.is_bad[rest],
        strange,
        np.ones(len(rest)) if most is None else most,
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--shipped", action="store_true", help="only sources that may train a shipped model")
    parser.add_argument("--origins", nargs="*", help="only these")
    parser.add_argument("--scorers", nargs="*", default=["bogofilter", "plain", "ours"], help="only these")
    parser.add_argument("--most", type=int, help="training messages of an origin, at most; drawn at random")
    chosen = parser.parse_args()
    crew = Crew(len(os.sched_getaffinity(0)))
    examples = thinned(read_corpus(chosen.corpus, crew, everything=not chosen.shipped), chosen.most)
    samples = sampled(examples, crew)
    origins = chosen.origins or sorted(set(samples.origins[samples.sources != OWN].tolist()))
    with tempfile.TemporaryDirectory() as folder:
        judges = []
        if "bogofilter" in chosen.scorers and has_bogofilter():
            judges.append(peer("bogofilter", samples, bogofilter(examples, Path(folder))))
        if "plain" in chosen.scorers:
            judges.append(peer("plain", samples, plain(examples)))
        if "ours" in chosen.scorers:
            judges.append(ours(samples, crew))
        print_tables(origins, judges)


def print_tables(origins: list[str], judges: list[Judge]) -> None:
    """Recall / false positives of each scorer, origin and line, as they come; then the means over origins."""
    head = ["left out", "scorer", "(1-ROCA)%", *LINES]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    hits: dict[str, dict[str, list[NDArray[np.bool_]]]] = {}
    labels: dict[str, list[NDArray[np.bool_]]] = {}
    for origin in origins:
        for judge in judges:
            for name, found in judge(origin):
                flags = above(found)
                cells = [origin, name, area(found), *(cell(flags[line], found.is_bad) for line in LINES)]
                print(f"| {' | '.join(cells)} |", flush=True)
                labels.setdefault(name, []).append(found.is_bad)
                for line in LINES:
                    hits.setdefault(name, {}).setdefault(line, []).append(flags[line])
    for name, of_line in hits.items():
        print(f"| mean (worst) | {name} |  | {' | '.join(means(of_line[line], labels[name]) for line in LINES)} |")


if __name__ == "__main__":
    main()
