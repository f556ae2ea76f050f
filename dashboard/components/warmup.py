"""Warm-up plans as the pages show them: today's, and what the next day's cap is as things stand. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pandas as pd

from relay.control.egress.views import PlanView
from relay.delivery.egress.plan import load_plan
from relay.delivery.egress.progress import Progress, judge


def tomorrow(plan: PlanView) -> tuple[int, str]:
    """The cap of the next day of sending if this one ended now, and why: what the relay itself would do at midnight."""
    if plan.is_warm:
        return plan.quota, "warm: no cap"
    day = Progress(
        stage=plan.stage,
        sent=plan.sent,
        deferred=plan.deferred,
        blocked=plan.blocked,
        complaints=plan.complaints,
        bad_days=plan.bad_days,
        last=plan.last,
    )
    after = judge(day, plan.quota)
    why = "nothing sent yet: as today" if not plan.sent else after.last
    return load_plan().quota(after.stage, plan.provider), why


def today(plans: Sequence[PlanView]) -> pd.DataFrame:
    """One row a provider that is not warm: provider, stage, sent, quota, tomorrow, why, last, per_hour, bad counts."""
    rows = []
    for plan in plans:
        cap, why = tomorrow(plan)
        rows.append(
            {
                "provider": plan.provider,
                "stage": "warm" if plan.is_warm else f"{plan.stage} of {plan.stages}",
                "sent": plan.sent,
                "quota": plan.quota,
                "per_hour": plan.per_hour,
                "deferred": plan.deferred,
                "blocked": plan.blocked,
                "complaints": plan.complaints,
                "tomorrow": cap,
                "why": why,
                "last": plan.last or "–",
                "is_warm": plan.is_warm,
            }
        )
    return pd.DataFrame(rows)


def against_plan(sent: pd.DataFrame, begun_at: datetime, now: datetime, providers: Sequence[str]) -> pd.DataFrame:
    """What left by day beside the plan of an address that had advanced a stage each day since `begun_at`.

    sent: destination str, day_at instant, sent int64. Returns day_at, sent float64, plan float64, a row a day.
    """
    plan = load_plan()
    first = pd.Timestamp(begun_at).tz_convert("UTC").normalize()
    last = pd.Timestamp(now).tz_convert("UTC").normalize()
    index = pd.date_range(max(first, last - timedelta(days=29)), last, freq="D", name="day_at")
    # a mask of its own type: an empty list would choose no columns instead of no rows
    is_ours = pd.Series([plan.provider_of(str(name)) in providers for name in sent["destination"]], sent.index, bool)
    ours = sent[is_ours]
    at = pd.to_datetime(ours["day_at"], utc=True).dt.normalize()
    by_day = ours["sent"].astype("float64").groupby(at).sum().reindex(index, fill_value=0.0)
    caps = [sum(plan.quota((day - first).days + 1, name) for name in providers) for day in index]
    return pd.DataFrame({"day_at": index, "sent": by_day.to_numpy(), "plan": [float(cap) for cap in caps]})
