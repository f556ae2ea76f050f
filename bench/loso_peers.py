"""The two peers that the model is compared with: logistic regression on TF-IDF words, and Debian's bogofilter."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from analytics.learning.corpus import Example
from relay.content.message import read

Rows = NDArray[np.int64]
Scores = NDArray[np.float64]
Scorer = Callable[[Rows, Rows], Scores]  # rows to learn from, rows to score
_COLUMNS, _RAREST = 200_000, 2


def plain(examples: list[Example]) -> Scorer:
    """What TfidfVectorizer(sublinear_tf=True, min_df=2, max_features=200_000) makes of the rows; words counted once."""
    counts = CountVectorizer(min_df=_RAREST).fit_transform([_text(example.raw) for example in examples]).tocsr()
    is_bad = np.array([example.is_bad for example in examples])

    def scored(rows: Rows, judged: Rows) -> Scores:
        learnt = counts[rows]
        kept = np.flatnonzero(np.bincount(learnt.indices, minlength=counts.shape[1]) >= _RAREST)
        totals = np.asarray(learnt.sum(axis=0)).ravel()[kept]
        kept = np.sort(kept[np.argsort(-totals, kind="stable")[:_COLUMNS]])
        weighing = TfidfTransformer(sublinear_tf=True).fit(learnt[:, kept])
        fitted = LogisticRegression(C=20, solver="liblinear").fit(weighing.transform(learnt[:, kept]), is_bad[rows])
        return np.asarray(fitted.decision_function(weighing.transform(counts[judged][:, kept])))

    return scored


def bogofilter(examples: list[Example], folder: Path) -> Scorer:
    """Log odds of the spamicity. Writes all messages below `folder` once; each training has a new word list."""
    paths = [folder / f"{place:06d}.eml" for place in range(len(examples))]
    for path, example in zip(paths, examples, strict=True):
        path.write_bytes(example.raw)
    is_bad = np.array([example.is_bad for example in examples])

    def scored(rows: Rows, judged: Rows) -> Scores:
        with tempfile.TemporaryDirectory(dir=folder) as words:
            _asked(words, "-s", [paths[row] for row in rows[is_bad[rows]]])
            _asked(words, "-n", [paths[row] for row in rows[~is_bad[rows]]])
            answers = _asked(words, "-TT", [paths[row] for row in judged]).splitlines()
        if len(answers) != len(judged):
            raise RuntimeError(f"bogofilter gave {len(answers)} answers for {len(judged)} messages")
        spamicity = np.clip([float(answer.split()[-1]) for answer in answers], 1e-16, 1 - 1e-16)
        return np.asarray(np.log(spamicity) - np.log1p(-spamicity))

    return scored


def has_bogofilter() -> bool:
    return shutil.which("bogofilter") is not None


def _asked(words: str, flag: str, paths: list[Path]) -> bytes:
    command = ["bogofilter", "-d", words, "-C", flag, "-b"]  # -C: nobody's own configuration
    run = subprocess.run(command, input="\n".join(map(str, paths)).encode(), stdout=subprocess.PIPE, check=False)
    if run.returncode not in (0, 1, 2):  # spam, ham, unsure
        raise RuntimeError(f"bogofilter ended with {run.returncode}")
    return run.stdout


def _text(raw: bytes) -> str:
    reading = read(raw if b"\r\n" in raw else raw.replace(b"\n", b"\r\n"))
    return f"{reading.subject}\n{reading.text}"
