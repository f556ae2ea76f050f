"""Each origin of a corpus left out of training, four scorers on the same folds: how far a score holds elsewhere.

python -m bench.model_loso --corpus dev.parquet [--shipped]     prints a Markdown table

The threshold is the one with 0.5 % false positives on the validation ham of the origins trained on, carried over. Rows:
TF-IDF words with logistic regression ("plain"), the linear stage's mean, ours; bogofilter, where Debian's is installed.
Intervals are of 95 %, by 300 bootstrap samples of the origin's messages.
"""

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from analytics.learning.boosting import fit_trees, held_out, inputs_of, margins_of
from analytics.learning.corpus import OWN, Example, read_corpus
from analytics.learning.linear import fit_linear
from analytics.learning.samples import Samples, sampled
from relay.content.message import read

Rows = NDArray[np.int64]
Scores = NDArray[np.float64]
Scorer = Callable[[Rows, Rows], Scores]  # rows to learn from, rows to score
_FALSE_POSITIVES = 0.005


def ours(samples: Samples, rows: Rows, judged: Rows) -> tuple[Scores, Scores]:
    """Return margins of the linear mean and of the whole model; no stage has seen the origin left out."""
    held, linear = held_out(samples, rows, lambda *_: None), fit_linear(samples, rows)
    inputs = inputs_of(linear, [samples.views[row] for row in judged])
    return inputs[:, :2].mean(axis=1), margins_of(fit_trees(held), inputs)


def plain(texts: list[str], is_bad: NDArray[np.bool_], rows: Rows, judged: Rows) -> Scores:
    vectors = TfidfVectorizer(sublinear_tf=True, min_df=2, max_features=200_000)
    matrix = vectors.fit_transform([texts[row] for row in rows])
    fitted = LogisticRegression(C=20, solver="liblinear").fit(matrix, is_bad[rows])
    return np.asarray(fitted.decision_function(vectors.transform([texts[row] for row in judged])))


def bogofilter(examples: list[Example], rows: Rows, judged: Rows) -> Scores:
    """Train and ask Debian's bogofilter in a folder of its own: three processes, file names on their input."""
    with tempfile.TemporaryDirectory() as folder:
        for label, flag in ((True, "-s"), (False, "-n")):
            _bogofilter(folder, examples, rows[[examples[row].is_bad == label for row in rows]], flag)
        answers = _bogofilter(folder, examples, judged, "-TT").splitlines()
    found = np.array([float(answer.split()[-1]) for answer in answers])
    if len(found) != len(judged):
        raise RuntimeError(f"bogofilter gave {len(found)} answers for {len(judged)} messages")
    return found


def _bogofilter(folder: str, examples: list[Example], rows: Rows, flag: str) -> bytes:
    paths = [Path(folder, f"{place:06d}.eml") for place in range(len(rows))]
    for path, row in zip(paths, rows, strict=True):
        path.write_bytes(examples[row].raw)
    command = ["bogofilter", "-d", folder, "-C", flag, "-b"]  # -C: nobody's own configuration
    run = subprocess.run(command, input="\n".join(map(str, paths)).encode(), stdout=subprocess.PIPE, check=False)
    if run.returncode not in (0, 1, 2):  # spam, ham, unsure
        raise RuntimeError(f"bogofilter ended with {run.returncode}")
    for path in paths:
        path.unlink()
    return run.stdout


def row_of(scores: Scores, threshold: float, is_bad: NDArray[np.bool_]) -> str:
    """Recall and false positives at the carried threshold, with intervals; area where both labels are there."""
    cells = []
    for wanted in (True, False):
        hits = scores[is_bad == wanted] > threshold
        if len(hits):
            drawn = np.random.default_rng(1).choice(hits, (300, len(hits))).mean(axis=1)
            low, high = np.percentile(drawn, [2.5, 97.5])
            cells.append(f"{hits.mean():.3f} [{low:.3f}-{high:.3f}]")
        else:
            cells.append("")
    area = f"{100 * (1 - roc_auc_score(is_bad, scores)):.2f}" if len(set(is_bad.tolist())) == 2 else ""
    return " | ".join([*cells, area])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--shipped", action="store_true", help="only sources that may train a shipped model")
    parser.add_argument("--origins", nargs="*", help="only these")
    chosen = parser.parse_args()
    examples = read_corpus(chosen.corpus, everything=not chosen.shipped)
    samples = sampled(examples, lambda *_: None)
    texts = [_text(example.raw) for example in examples]
    print("| left out | scorer | recall | false positives | (1-ROCA)% |\n|---|---|---|---|---|")
    for origin in chosen.origins or sorted(set(samples.origins[samples.sources != OWN].tolist())):
        rows = np.flatnonzero(samples.is_train & (samples.origins != origin))
        known = np.flatnonzero(~samples.is_train & (samples.origins != origin) & ~samples.is_bad)
        judged = np.flatnonzero(samples.origins == origin)
        both = np.concatenate([known, judged])
        linear, whole = ours(samples, rows, both)
        found = {"plain": plain(texts, samples.is_bad, rows, both), "linear mean": linear, "**ours**": whole}
        if shutil.which("bogofilter"):
            found = {"bogofilter": bogofilter(examples, rows, both)} | found
        for name, scores in found.items():
            threshold = float(np.quantile(scores[: len(known)], 1 - _FALSE_POSITIVES, method="higher"))
            print(
                f"| {origin} | {name} | {row_of(scores[len(known) :], threshold, samples.is_bad[judged])} |", flush=True
            )


def _text(raw: bytes) -> str:
    reading = read(raw if b"\r\n" in raw else raw.replace(b"\n", b"\r\n"))
    return f"{reading.subject}\n{reading.text}"


if __name__ == "__main__":
    main()
