"""Jobs on several cores: the same answers in the same order, and a job that fails is said, not waited for."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest

from analytics.learning.corpus import Example
from analytics.learning.crew import Arrays, Crew
from analytics.learning.reading import sampled
from analytics.learning.training import Trained, train
from tests.analytics.test_clothes import TEXT, plain

# Python 3.12 and later warn of any fork beside threads, and what runs the tests has some
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def _squares(number: int, seconds: float = 0.0) -> Arrays:
    time.sleep(seconds)
    return {"squares": np.arange(number) ** 2, "pid": np.array([os.getpid()])}


@pytest.mark.parametrize("cores", [1, 3])
def test_answers_come_in_the_order_of_the_jobs(cores: int) -> None:
    steps: list[tuple[str, int, int]] = []
    jobs = [partial(_squares, number, 0.2 if number == 0 else 0.0) for number in range(5)]

    answers = Crew(cores, lambda *step: steps.append(step)).do("squaring", jobs)

    assert [answer["squares"].tolist() for answer in answers] == [[n * n for n in range(number)] for number in range(5)]
    assert steps == [("squaring", done, 5) for done in range(6)]
    pids = {int(answer["pid"][0]) for answer in answers}
    assert pids == {os.getpid()} if cores == 1 else len(pids - {os.getpid()}) == 5


def test_an_answer_of_many_megabytes_is_whole() -> None:
    large = np.random.default_rng(1).random(3_000_000)

    answers = Crew(2).do("copying", [lambda: {"copy": large}, lambda: {"copy": large[::-1]}])

    assert (answers[0]["copy"] == large).all()
    assert (answers[1]["copy"] == large[::-1]).all()


def test_a_job_that_raises_is_an_error_that_says_why_and_leaves_no_process(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = tmp_path / "pid"

    def fails() -> Arrays:
        while not other.exists():
            time.sleep(0.01)
        raise ValueError("no mail of that name")

    def sleeps() -> Arrays:
        (tmp_path / "draft").write_text(str(os.getpid()))
        (tmp_path / "draft").rename(other)
        return _squares(3, 60.0)

    with pytest.raises(ChildProcessError, match="ended with 1"):
        Crew(2).do("failing", [fails, sleeps])

    assert "no mail of that name" in capfd.readouterr().err
    with pytest.raises(ProcessLookupError):
        os.kill(int(other.read_text()), 0)


def test_a_job_that_is_killed_is_an_error_that_says_so() -> None:
    def dies() -> Arrays:
        os.kill(os.getpid(), 9)
        return {}

    with pytest.raises(ChildProcessError, match="ended with -9"):
        Crew(2).do("dying", [dies])


def test_an_interrupt_ends_every_process() -> None:
    code = (
        "import time; from analytics.learning.crew import Crew; print('ready', flush=True);"
        "Crew(3).do('sleeping', [lambda: time.sleep(0.01) or {}] * 40 + [lambda: time.sleep(300) or {}] * 3)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.3)

        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)  # a fork that went on would keep its errors' pipe open

    assert b"KeyboardInterrupt" in errors


def test_more_cores_give_the_same_model_to_the_byte() -> None:
    examples = [
        Example(
            plain(f"Roof {n}", TEXT if n % 3 else f"{TEXT} free pills {n}"), n % 3 == 0, source, source, split, f"{n}"
        )
        for n in range(240)
        for source, split in [(("rlist", "trec07p")[n % 2], "valid" if n % 5 == 0 else "train")]
    ]

    def trained(cores: int) -> Trained:
        return train(sampled(examples, Crew(cores)), "small", datetime(2026, 11, 27, tzinfo=UTC), Crew(cores))

    one, two = trained(1), trained(2)

    assert one.card == two.card
    assert {name: array.tobytes() for name, array in one.arrays.items()} == {
        name: array.tobytes() for name, array in two.arrays.items()
    }
