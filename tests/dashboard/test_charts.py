from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from dashboard import charts
from dashboard.data import WINDOWS
from dashboard.theme import LIGHT

NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
COLUMNS = ["accepted", "held", "refused", "delivered"]


def flow_of(*minutes_ago: int) -> pd.DataFrame:
    at = [NOW.replace(second=0) - timedelta(minutes=minutes) for minutes in minutes_ago]
    return pd.DataFrame({"bucket_at": at, "accepted": 5, "held": 2, "refused": 1, "delivered": 4})


@pytest.mark.parametrize("name", list(WINDOWS))
def test_a_quiet_window_is_drawn_from_end_to_end(name: str) -> None:
    window = WINDOWS[name]

    filled = charts.filled(pd.DataFrame(columns=["bucket_at", *COLUMNS]), window, NOW, COLUMNS)

    assert window.since(NOW) == filled["bucket_at"].iloc[0]
    assert filled["bucket_end"].iloc[-1] > pd.Timestamp(NOW)
    assert (filled[COLUMNS] == 0).all(axis=None)


def test_gaps_stay_gaps_when_nothing_was_measured() -> None:
    frame = pd.DataFrame({"bucket_at": [NOW - timedelta(minutes=3)], "p95_seconds": [1.5]})

    filled = charts.filled(frame, WINDOWS["15m"], NOW, ["p95_seconds"], gap=None)

    assert filled["p95_seconds"].notna().sum() == 1


def test_only_the_bucket_that_is_not_over_is_open() -> None:
    filled = charts.filled(flow_of(0, 1), WINDOWS["15m"], NOW, COLUMNS)

    assert filled["is_open"].iloc[-1:].tolist() == [True]
    assert not filled["is_open"].iloc[:-1].any()


def test_blocks_of_a_bucket_stand_on_each_other() -> None:
    filled = charts.filled(flow_of(2), WINDOWS["15m"], NOW, COLUMNS)

    blocks = charts._stacked(filled).groupby("bucket_at")

    for _, bucket in blocks:
        assert bucket["high"].iloc[:-1].tolist() == bucket["low"].iloc[1:].tolist()
    assert blocks["high"].max().max() == 8


def test_an_event_adds_data_but_does_not_redraw_the_chart() -> None:
    filled = charts.filled(flow_of(2), WINDOWS["15m"], NOW, COLUMNS)
    event = charts.Event(NOW - timedelta(minutes=2), "shop held")

    without, with_one = (
        _shape(charts.flow(filled, WINDOWS["15m"], LIGHT, events).to_dict()) for events in ([], [event])
    )

    assert without == with_one


def test_time_is_utc_on_every_chart() -> None:
    window = WINDOWS["15m"]
    filled = charts.filled(flow_of(2), window, NOW, COLUMNS)
    pace = filled.assign(p50_seconds=1.0, p95_seconds=2.0)
    messages = pd.DataFrame(
        {"received_at": [pd.Timestamp(NOW)], "when": "x", "score": [0.5], "verdict": "Held", "subject": "x"}
    )

    for chart in (
        charts.flow(filled, window, LIGHT),
        charts.delay(pace, window, LIGHT),
        charts.scores(messages, window, NOW, 0.9, LIGHT),
    ):
        kinds = {
            layer["encoding"]["x"]["scale"]["type"]
            for layer in chart.to_dict()["layer"]
            if "scale" in layer["encoding"].get("x", {})
        }
        assert {"utc"} == kinds


def _shape(spec: dict[str, Any]) -> Any:
    """The specification without its data."""
    return [{key: value for key, value in layer.items() if key != "data"} for layer in spec["layer"]]
