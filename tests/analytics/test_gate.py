"""The gate: only a model that is surely better passes, and the ruling names the slices."""

import numpy as np

from analytics.learning.gate import Trial, rule


def trial(better: float, count: int = 400, seed: int = 1, **slices: np.ndarray) -> Trial:  # type: ignore[type-arg]
    """Half bad, half good mail; the candidate's log odds are `better` nearer to the truth."""
    rng = np.random.default_rng(seed)
    is_bad = np.arange(count) % 2 == 0
    odds = rng.normal(np.where(is_bad, 2.0, -3.0), 1.5)
    candidate = odds + rng.normal(np.where(is_bad, better, -better), 0.5)
    p = [1 / (1 + np.exp(-one)) for one in (candidate, odds)]
    return Trial(p[0], p[1], is_bad, np.ones(count), slices)


def test_a_model_that_is_surely_better_passes() -> None:
    ruling = rule(trial(1.0))

    assert ruling.passes
    assert ruling.why == "surely better on all; surely worse on none"
    [whole] = ruling.slices
    assert 0 < whole.low < whole.gain < whole.high
    assert whole.recall[1] > whole.recall[0]


def test_a_model_that_is_the_same_or_worse_is_refused() -> None:
    assert not rule(trial(0.0)).passes
    assert rule(trial(-1.0)).why.startswith("not surely better: gain -")


def test_a_model_that_is_only_less_sure_gains_nothing() -> None:
    one = trial(0.0)

    ruling = rule(Trial(np.full(400, 0.3), one.active, one.is_bad, one.weights, {}))

    assert not ruling.passes
    assert ruling.slices[0].verdict == "worse"


def test_a_little_mail_proves_nothing() -> None:
    ruling = rule(trial(1.0, count=30))

    assert not ruling.passes
    assert ruling.why == "only 15 bad and 15 good messages to judge by"


def test_a_model_that_is_surely_worse_on_a_slice_is_refused_and_the_slice_named() -> None:
    one = trial(1.5)
    shop = np.arange(400) < 60
    candidate = np.where(shop, 1 - one.candidate, one.candidate)
    few = np.arange(400) < 10

    ruling = rule(Trial(candidate, one.active, one.is_bad, one.weights, {"account shop": shop, "few": few}))

    assert not ruling.passes
    assert "account shop" in ruling.why or ruling.why.startswith("not surely better")
    assert {found.name: found.verdict for found in ruling.slices}["account shop"] == "worse"
    assert "few" not in [found.name for found in ruling.slices]


def test_a_model_that_would_hold_more_good_mail_is_refused() -> None:
    one = trial(2.0, count=2000)
    candidate = one.candidate.copy()
    candidate[np.flatnonzero(~one.is_bad)[:5]] = 0.95

    ruling = rule(Trial(candidate, one.active, one.is_bad, one.weights, {}))

    assert not ruling.passes
    assert "more of the good mail" in ruling.why
