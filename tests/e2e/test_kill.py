"""The small twin of bench/kill_rounds: a few kill -9 under load; the large one is a bench command."""

from pathlib import Path

import pytest

from bench.kill_rounds import play


@pytest.mark.parametrize("target", ["relay", "analytics"])
def test_kill_9_loses_nothing_and_the_warehouse_stays_exact(target: str, tmp_path: Path) -> None:
    report = play(tmp_path, target, rounds=2, seconds=1.0)

    assert report.ok, report
    assert report.told > 100
