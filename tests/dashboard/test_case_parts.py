"""The pure parts of the desk's pages: posteriors, hours against the usual, the strip of standings, the letter."""

import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from dashboard.actions.of_senders import letter
from dashboard.charts import of_senders
from dashboard.components import case, history
from dashboard.theme import LIGHT
from relay.cases.views import RateView
from relay.control.views import DecisionView
from relay.holds.views import HeldView
from relay.policy.decisions.decision import Effect

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
SENDER = "acme|mailfrom|web@acme.example"


def rate(bad: float, seen: float) -> RateView:
    return RateView(
        signal="spam",
        bad=bad,
        seen=seen,
        window_seconds=3600,
        prior_bad=0.2,
        prior_good=3.8,
        line=0.2,
        certainty=0.5,
        needed=0.99,
    )


def decision(number: int, effect: Effect, hours_ago: float, **more: object) -> DecisionView:
    known: dict[str, object] = {
        "id": f"mw1-d{number}",
        "author": "relay",
        "account": "acme",
        "reseller": "",
        "sender": SENDER,
        "effect": effect,
        "rule": "spam_rate",
        "reason": "5 of 9",
        "sentence": "s",
        "evidence": {},
        "certainty": 0.99,
        "value": None,
        "starts_at": NOW - timedelta(hours=hours_ago),
        "ends_at": None,
        "supersedes": "",
        "is_open": False,
        "held": 0,
        "released_by": "",
        "confirmed_by": "",
        "policy_version": "",
        "model": "",
        "undo": "",
    }
    return DecisionView(**(known | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(("bad", "seen"), [(0, 0), (0, 4000), (5, 9), (300, 300), (1, 20_000)])
def test_a_posterior_peaks_where_the_mail_was_and_reaches_past_the_line(bad: float, seen: float) -> None:
    frame = of_senders.density(rate(bad, seen))

    assert frame["density"].between(0, 1).all()
    assert frame["rate"].max() > 0.2
    if bad > 1:
        peak = frame.loc[frame["density"].idxmax(), "rate"]
        assert peak == pytest.approx((bad - 0.8) / (seen + 2), abs=0.02)


def test_an_hour_above_the_usual_is_another_colour_and_one_without_a_usual_is_not() -> None:
    hours = pd.DataFrame(
        {
            "bucket_at": pd.date_range("2026-11-26 10:00", periods=3, freq="h", tz="UTC"),
            "recipients": [5, 50, 900],
            "low": [1.0, 1.0, None],
            "usual": [3.0, 3.0, None],
            "high": [9.0, 9.0, None],
        }
    )

    drawn = json.loads(of_senders.volume(hours, NOW, LIGHT, NOW).to_json())
    rows = [row for rows in drawn["datasets"].values() for row in rows if "recipients" in row and "kind" in row]
    kinds = {row["recipients"]: row["kind"] for row in rows}

    assert kinds == {5: "recipients", 50: "more than usual", 900: "recipients"}
    assert {row["usual_words"] for row in rows} == {"1 to 9", "not known yet"}


def test_the_strip_ends_a_stop_where_time_or_a_person_ended_it() -> None:
    rows = [
        decision(1, Effect.HOLD, 30, ends_at=NOW - timedelta(hours=6)),
        decision(2, Effect.BLOCK, 5, ends_at=NOW + timedelta(hours=3)),
        decision(3, Effect.RELEASE, 4, supersedes="mw1-d2", author="dana"),
        decision(4, Effect.HOLD, 1, is_open=True),
        decision(5, Effect.MULTIPLY, 2, is_open=True, value=0.5),
        decision(6, Effect.HOLD, 24 * 40, ends_at=NOW - timedelta(days=39)),
    ]

    frame = history.spans(rows, NOW)

    assert list(frame["state"]) == ["Held", "Blocked", "Held"]
    assert [NOW - one for one in frame["ends"].dt.to_pydatetime()] == [
        timedelta(hours=6),
        timedelta(hours=4),
        timedelta(0),
    ]
    assert "ended by itself" in frame["words"][0]
    assert "released by dana" in frame["words"][1]
    assert "in force" in frame["words"][2]


def test_of_states_that_begin_together_the_strip_names_the_gravest_and_each_that_stands_alone() -> None:
    rows = [
        decision(1, Effect.HOLD, 10, ends_at=NOW - timedelta(hours=5)),
        decision(2, Effect.WATCH, 10.1, ends_at=NOW - timedelta(hours=5)),
        decision(3, Effect.WATCH, 4, is_open=True),
    ]

    drawn = history.strip(history.spans(rows, NOW), NOW, LIGHT).to_dict()

    (named,) = [layer for layer in drawn["layer"] if layer["mark"]["type"] == "text"]
    assert [row["state"] for row in drawn["datasets"][named["data"]["name"]]] == ["Held", "Watched"]


def test_samples_differ_before_they_are_new() -> None:
    parked = [
        HeldView(
            message_id=f"m{number}",
            account="acme",
            reseller="",
            sender=SENDER,
            mail_from="a@acme.example",
            subject="s",
            score=0.9,
            rule="r",
            received_at=NOW,
            recipients=["b@b.example"],
            size_bytes=1,
            cluster="c1" if number < 8 else "c2",
        )
        for number in range(10)
    ]

    assert [one.message_id for one in case.spread(parked)] == ["m0", "m8", "m1", "m2", "m3"]
    assert case.spread(parked[:2]) == parked[:2]


def test_the_customers_text_has_the_reason_and_only_a_link_that_there_is() -> None:
    with_link = letter("web@acme.example", "It is held.", "https://r.example/release/x")
    without = letter("web@acme.example", "It is held.", "")

    assert "It is held." in with_link
    assert "https://r.example/release/x" in with_link
    assert "release them here" not in without
