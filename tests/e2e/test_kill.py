"""The small twins of bench/kill_rounds and kill_delivery: a few kill -9; the large ones are bench commands."""

from pathlib import Path

import pytest

from bench import kill_delivery
from bench.kill_rounds import play


@pytest.mark.parametrize("target", ["relay", "analytics"])
def test_kill_9_loses_nothing_and_the_warehouse_stays_exact(target: str, tmp_path: Path) -> None:
    report = play(tmp_path, target, rounds=2, seconds=1.0)

    assert report.ok, report
    assert report.told > 100


def test_kill_9_while_mail_is_delivered_loses_nothing(tmp_path: Path) -> None:
    report = kill_delivery.play(tmp_path, rounds=2, wave=120)

    assert report.ok, report
    assert (report.told, report.lost, report.kills_in_delivery) == (240, 0, 2), report
