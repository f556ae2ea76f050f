"""Warm-up plans as the page shows them."""

from datetime import UTC, datetime, timedelta

import pandas as pd

from dashboard.components.warmup import against_plan, today, tomorrow
from relay.control.egress.views import PlanView
from relay.delivery.egress.plan import load_plan

NOW = datetime(2026, 11, 26, 18, 0, tzinfo=UTC)


def plan(sent: int, *, deferred: int = 0, bad_days: int = 0, stage: int = 5) -> PlanView:
    quota = load_plan().quota(stage, "google")
    return PlanView(
        provider="google",
        stage=stage,
        stages=29,
        quota=quota,
        per_hour=1,
        sent=sent,
        deferred=deferred,
        blocked=0,
        complaints=0,
        bad_days=bad_days,
        wait_seconds=0.0,
        is_warm=stage > 29,
    )


def test_the_next_cap_is_what_the_relay_would_decide_at_midnight() -> None:
    assert tomorrow(plan(1_950)) == (4_000, "advanced")
    assert tomorrow(plan(300)) == (2_000, "stayed: 300 of 2000 used")
    assert tomorrow(plan(1_950, deferred=400))[0] == 2_000
    assert tomorrow(plan(1_950, deferred=400, bad_days=1))[0] == load_plan().quota(3, "google")
    assert tomorrow(plan(0)) == (2_000, "nothing sent yet: as today")
    assert tomorrow(plan(5, stage=30))[1] == "warm: no cap"


def test_a_warm_provider_is_told_apart_from_those_that_warm_up() -> None:
    frame = today([plan(10), plan(10, stage=30)])

    assert frame["is_warm"].tolist() == [False, True]
    assert frame["stage"].tolist() == ["5 of 29", "warm"]


def test_days_without_mail_are_zeros_beside_a_plan_that_goes_on() -> None:
    sent = pd.DataFrame(
        {
            "destination": ["google", "google", "yahoo"],
            "day_at": pd.to_datetime(["2026-11-24", "2026-11-26", "2026-11-26"], utc=True),
            "sent": [70, 30, 999],
        }
    )

    days = against_plan(sent, NOW - timedelta(days=2), NOW, ["google"])

    assert days["sent"].tolist() == [70.0, 0.0, 30.0]
    assert days["plan"].tolist() == [float(load_plan().quota(stage, "google")) for stage in (1, 2, 3)]
