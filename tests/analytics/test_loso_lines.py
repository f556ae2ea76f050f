"""Lines for mail of strangers, as bench.model_loso draws them."""

import numpy as np
import pytest

from bench.loso_lines import Found, above, cell, means, quantile


def found(**other: object) -> Found:
    """Known mail told apart at 0; the origin left out has 10 bad ones at 3.5 and 10 good ones at 2.5."""
    scores = np.concatenate([np.full(10, 3.5), np.full(10, 2.5)])
    values = {
        "known": np.concatenate([np.linspace(0.5, 4, 200), np.linspace(-4, -0.5, 200)]),
        "known_is_bad": np.repeat([True, False], 200),
        "judged": scores,
        "is_bad": np.repeat([True, False], 10),
        "strange": {"a": np.linspace(-4, 3, 1000), "b": np.linspace(-4, 1, 100)},
        "most": np.ones(20),
    }
    return Found(**(values | other))  # type: ignore[arg-type]


def rates(of: Found, line: str) -> tuple[float, float]:
    hits = above(of)[line]
    return float(hits[of.is_bad].mean()), float(hits[~of.is_bad].mean())


@pytest.mark.parametrize("share", [0.0, 0.005, 0.3, 1.0])
def test_the_line_is_the_lowest_that_keeps_to_the_share(share: float) -> None:
    origins = [np.random.default_rng(seed).normal(seed, 1, 30 * seed) for seed in (1, 2, 3)]
    line = quantile(origins, share)
    below = max((score for one in origins for score in one if score < line), default=-np.inf)

    def mean_above(at: float) -> float:
        return float(np.mean([(one > at).mean() for one in origins]))

    assert mean_above(line) <= share + 1e-9
    assert below == -np.inf or mean_above(below) > share


def test_an_origin_of_few_messages_counts_as_much_as_a_large_one() -> None:
    large, small = np.linspace(0, 1, 10_000), np.linspace(10, 11, 10)

    assert quantile([large, small], 0.1) > 10
    assert quantile([np.concatenate([large, small])], 0.1) < 1


def test_equal_scores_stay_on_one_side_of_the_line() -> None:
    assert quantile([np.array([1.0, 1.0, 1.0, 0.0])], 0.5) == 1.0


def test_good_mail_of_strangers_draws_a_line_that_known_mail_does_not() -> None:
    assert rates(found(), "known") == (1.0, 1.0)
    assert rates(found(), "strange") == (1.0, 0.0)
    assert rates(found(strange={"a": np.linspace(-4, 5, 1000)}), "strange") == (0.0, 0.0)


def test_the_strictest_origin_draws_its_own_line() -> None:
    loose = {name: np.linspace(-4, 0, 1000) for name in "abcdefghij"}
    one_high = found(strange=loose | {"k": np.append(np.linspace(-4, 0, 19), 3.0)})

    assert rates(one_high, "strange") == (1.0, 1.0)
    assert rates(one_high, "strictest") == (1.0, 0.0)


def test_modern_html_draws_one_line_and_not_the_other() -> None:
    html = found(strange={"a": np.linspace(-4, 3, 1000), "modern-html": np.linspace(-4, 5, 1000)})

    assert rates(html, "strange") == (0.0, 0.0)
    assert rates(html, "HTML known") == (1.0, 0.0)


def test_mail_without_a_word_reaches_no_line_that_holds() -> None:
    sure = np.full(20, 40.0)

    assert rates(found(judged=sure), "p >= 0.9")[0] == 1.0
    assert rates(found(judged=sure, most=np.full(20, 0.85)), "p >= 0.9")[0] == 0.0
    assert rates(found(judged=sure, most=np.full(20, 0.85)), "p >= 0.5")[0] == 1.0


def test_a_cell_has_what_there_is() -> None:
    hits = np.array([True, True, False, False])

    assert cell(hits, np.ones(4, bool)) == "0.500"
    assert cell(hits, np.array([True, False, False, False])) == "1.000 / 33.33% (6.15-79.23)"
    assert means([hits, hits], [np.ones(4, bool), np.zeros(4, bool)]) == "0.500 / 50.00%, 50.00%"
