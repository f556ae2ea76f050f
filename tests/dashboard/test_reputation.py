"""The waterfall of a reputation: what each signal took adds up to what is left, and nobody's rate is made up."""

import math

import pandas as pd

from dashboard.charts.of_reputation import RESULT, fall, steps
from dashboard.theme import LIGHT

NOW = {"score": 10.0, "low": 4.0, "high": 18.0}
SIGNALS = pd.DataFrame(
    {
        "signal": ["spam", "listing", "hard_bounce"],
        "score_before": [100.0, 20.0, 10.0],
        "score_after": [20.0, 10.0, 10.0],
        "bad": [59.9, 0.0, 3.0],
        "seen": [60.0, 0.0, 59.1],
        "low": [0.88, 0.0, 0.01],
        "high": [0.98, 0.0, 0.09],
        "half_life_seconds": [604_800, 0, 86_400],
    }
)


def test_each_step_begins_where_the_one_before_ended_and_the_last_is_the_score() -> None:
    frame = steps(SIGNALS, NOW)

    losses = frame[frame["kind"] == "took"]
    assert losses["from_score"].tolist()[0] == 100
    assert losses["from_score"].tolist()[1:] == losses["to_score"].tolist()[:-1]
    assert losses["to_score"].iloc[-1] == frame["to_score"].iloc[-1] == NOW["score"]
    assert frame["name"].iloc[-1] == RESULT


def test_a_step_says_what_was_counted_and_a_listing_has_no_rate() -> None:
    spam, listing, bounces, score = steps(SIGNALS, NOW)["shown"]

    assert spam == "−80 · 59.9 of 60.0 messages (88.0–98.0 %), half-life 7 days"
    assert listing == "−10"
    assert bounces.startswith("costs nothing · 3.0 of 59.1 recipients")
    assert score == "10 · 90 % interval 4–18"


def test_the_interval_is_that_of_the_score_alone() -> None:
    frame = steps(SIGNALS, NOW)

    assert [math.isnan(one) for one in frame["low"]] == [True, True, True, False]


def test_a_reputation_that_nothing_was_counted_for_is_drawn_as_its_score() -> None:
    drawn = fall(steps(SIGNALS.iloc[:0], {"score": 100.0, "low": 60.0, "high": 100.0}), LIGHT).to_dict()

    assert [row["name"] for row in next(iter(drawn["datasets"].values()))] == [RESULT]
