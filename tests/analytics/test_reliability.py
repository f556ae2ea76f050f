"""Calibration, ROC and drift of a model on labelled mail."""

import numpy as np
import pytest

from analytics.learning.reliability import calibration, curve, moved, wilson


def test_a_perfect_ranking_has_area_one_and_a_useless_one_a_half() -> None:
    is_bad = np.array([True] * 50 + [False] * 50)

    perfect = curve(np.where(is_bad, 0.9, 0.1), is_bad)
    useless = curve(np.full(100, 0.5), is_bad)

    assert perfect is not None
    assert perfect.area == 1.0
    assert useless is not None
    assert useless.area == 0.5
    assert useless.area_low <= 0.5 <= useless.area_high


def test_the_interval_of_the_area_covers_the_truth_nineteen_times_of_twenty() -> None:
    rng, hits = np.random.default_rng(7), 0
    is_bad = np.array([True] * 80 + [False] * 120)
    for _ in range(200):
        found = curve(rng.normal(is_bad.astype(float), 1.0), is_bad)
        assert found is not None
        hits += found.area_low <= 0.7602 <= found.area_high  # of two normal curves one deviation apart: Phi(1/sqrt 2)

    assert 180 <= hits <= 198


def test_one_kind_of_mail_makes_no_curve() -> None:
    assert curve(np.array([0.1, 0.9]), np.array([True, True])) is None


def test_recall_and_false_positives_rise_together_from_nothing_to_all() -> None:
    found = curve(np.array([0.9, 0.8, 0.3, 0.2]), np.array([True, False, True, False]))

    assert found is not None
    assert found.recall.tolist() == [0, 0.5, 0.5, 1, 1]
    assert found.false_positive_rate.tolist() == [0, 0, 0.5, 0.5, 1]


def test_every_message_is_in_one_bin_and_its_interval_holds_the_rate() -> None:
    scores = np.array([0.0, 0.05, 0.5, 0.95, 0.99, 1.0])

    bins = calibration(scores, scores > 0.4)

    assert sum(one.messages for one in bins) == len(scores)
    assert all(one.low <= one.rate <= one.high for one in bins)
    assert (bins[-1].from_score, bins[-1].messages) == (0.99, 2)


def test_the_same_distribution_has_not_moved_and_another_one_has() -> None:
    before = np.array([700.0, 200.0, 100.0])

    assert moved(before / 10, before) == pytest.approx(0, abs=0.01)
    assert (moved(before[::-1], before) or 0) > 0.25
    assert moved(np.zeros(3), before) is None


def test_of_nothing_the_interval_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
