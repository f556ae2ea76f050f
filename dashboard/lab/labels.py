"""What people said of mail, beside what the model had said: calibration, ROC, slices, mistakes, and how scores move."""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from analytics.learning.reliability import calibration, curve, moved
from dashboard import data
from dashboard.charts import of_models as charts
from dashboard.components import notices, places
from dashboard.components.table import Column, Kind, table
from dashboard.components.words import FEW, count, plain
from dashboard.theme import palette

_MISTAKES = [
    Column("said_at", "Said", Kind.INSTANT),
    Column("origin", "By"),
    Column("score", "Score", Kind.SCORE),
    Column("action", "It was"),
    Column("subject", "Subject", width="large"),
    Column("sender", "Sender", width="medium"),
    Column("reasons", "Because", width="large"),
    Column("message_id", "Message"),
]
_SLICES = [
    Column("name", "On", width="medium"),
    Column("area", "Ranks right", width="medium", help="area under the ROC curve, 95 % interval (DeLong)"),
    Column("spam", "Spam", Kind.COUNT),
    Column("ham", "Good", Kind.COUNT),
    Column("held", "Good mail at or above the hold line", width="medium"),
]
_MOST_SLICES = 8
_DRIFT_DAYS = 7  # the days before it that a day is compared with


def show(now: datetime) -> None:
    """Figures on labelled mail, then mistakes one by one, then the labels themselves, then drift."""
    labelled = data.query("labelled", fresh_seconds=data.SLOW_FRESH_SECONDS)
    days = data.query("score_days", fresh_seconds=data.SLOW_FRESH_SECONDS)
    notices.troubles(now, analytics=[labelled, days], relay=[])
    with notices.aged("labelled", labelled):
        frame = labelled.value
        if frame.empty and labelled.as_of is not None:
            notices.empty(
                "Nobody has said what a message is, these 90 days. Release a decision as not spam, or confirm one: "
                "both are labels; one message by hand:",
                command="mailweir label MESSAGE spam",
                icon="label",
            )
        elif not frame.empty:
            _figures(frame)
            _mistakes(frame)
            _origins(frame)
    with notices.aged("score_days", days):
        _drift(days.value)


def _figures(frame: pd.DataFrame) -> None:
    scored = frame[frame["score"].notna()]
    scores, is_bad = _arrays(scored)
    found = curve(scores, is_bad)
    spam = int(is_bad.sum())
    st.markdown(
        f"**{count(spam)} spam and {count(len(scored) - spam)} good messages, labelled in 90 days and scored** "
        ":gray[:small[what people look at is no random sample: much of it was held already]]"
    )
    if found is None:
        st.caption("A curve needs both: mail that was spam, and mail that was not.")
        return
    left, right = st.columns(2)
    with left:
        places.chart_title("Calibration", "score against the share that was spam; on the dashed line it is right")
        st.altair_chart(charts.calibration(calibration(scores, is_bad), palette()), key="calibration")
    with right:
        area = f"area {found.area:.3f}, 95 % from {found.area_low:.3f} to {found.area_high:.3f}"
        places.chart_title("ROC", area)
        st.altair_chart(charts.roc(found, palette()), key="roc")
    st.markdown("**Slices** :gray[:small[by origin of the label, and the accounts with most labels]]")
    table(pd.DataFrame([_slice_row(name, part) for name, part in _slices(scored)]), _SLICES, key="label_slices")


def _slices(scored: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    origins = [(f"labels by {name}", part) for name, part in scored.groupby("origin")]
    busiest = scored["account"].value_counts().head(_MOST_SLICES).index
    return [*origins, *((f"account {name}", scored[scored["account"] == name]) for name in busiest if name)]


def _slice_row(name: str, part: pd.DataFrame) -> dict[str, Any]:
    scores, is_bad = _arrays(part)
    found, line = curve(scores, is_bad), data.policy().hold_score
    ham = int((~is_bad).sum())
    few = f"one kind only, or fewer than {FEW} of one"
    is_enough = found is not None and min(ham, int(is_bad.sum())) >= FEW
    return {
        "name": name,
        "area": f"{found.area:.3f} ({found.area_low:.3f}–{found.area_high:.3f})" if found and is_enough else few,
        "spam": int(is_bad.sum()),
        "ham": ham,
        "held": f"{int((scores[~is_bad] >= line).sum())} of {ham}",
    }


def _mistakes(frame: pd.DataFrame) -> None:
    line = data.policy().hold_score
    wrong = frame[(frame["label"] == "ham") & ((frame["score"] >= line) | frame["action"].isin(["hold", "reject"]))]
    st.subheader("Good mail that was stopped", anchor=False)
    st.caption(
        f"Labelled good, by release or by hand, though it was held or refused, or scored at or above {line:g}. "
        "Choose one to see its sender."
    )
    if wrong.empty:
        st.caption("None of the labelled messages.")
        return
    chosen = table(wrong, _MISTAKES, key="mistakes", ids="message_id", name="false-positives")
    row = wrong[wrong["message_id"] == chosen]
    if not row.empty:
        places.sender_link(str(row.iloc[0]["sender"]))


def _origins(frame: pd.DataFrame) -> None:
    st.subheader("Labels by day and origin", anchor=False)
    days = pd.to_datetime(frame["said_at"], utc=True).dt.strftime("%Y-%m-%d").rename("day")
    counted = frame.groupby([days, "origin", "label"]).size().unstack(fill_value=0).reset_index()
    for name in ("spam", "ham"):
        if name not in counted:
            counted[name] = 0
    columns = [Column("day", "Day"), Column("origin", "By")]
    columns += [Column("spam", "Spam", Kind.COUNT), Column("ham", "Good", Kind.COUNT)]
    table(counted.sort_values("day", ascending=False), columns, key="label_days", name="labels-by-day", height=240)


def _drift(days: pd.DataFrame) -> None:
    st.subheader("How scores move", anchor=False)
    if days.empty:
        st.caption("No scored mail these 14 days.")
        return
    grid = days.pivot_table(index="day_at", columns="bin", values="messages", aggfunc="sum", fill_value=0)
    grid = grid.reindex(columns=range(10), fill_value=0).sort_index()
    st.markdown(_moved(grid))
    long = grid.stack().rename("messages").reset_index()
    long["share"] = long["messages"] / long.groupby("day_at")["messages"].transform("sum")
    long["day"] = pd.to_datetime(long["day_at"], utc=True).dt.strftime("%-d %b")
    long["bin"] = [f"{one / 10:.1f}–{(one + 1) / 10:.1f}" for one in long["bin"]]
    st.altair_chart(charts.score_days(long.drop(columns="day_at"), palette()), key="score_days")


def _moved(grid: pd.DataFrame) -> str:
    """Say how far the last day's scores are from those of the days before."""
    counts = grid.to_numpy(dtype=float)
    index = moved(counts[-1], counts[-1 - _DRIFT_DAYS : -1].sum(axis=0)) if len(counts) > 1 else None
    if index is None:
        return ":gray[One day only: nothing to compare it with.]"
    word = "as before" if index < 0.1 else "somewhat different" if index < 0.25 else "other mail than before"
    return (
        f"The last day against the {min(_DRIFT_DAYS, len(counts) - 1)} before: **{plain(word)}** "
        f":gray[stability index {index:.2f}; below 0.1 as before, above 0.25 another distribution]"
    )


def _arrays(frame: pd.DataFrame) -> tuple[Any, Any]:
    return frame["score"].to_numpy(dtype=np.float64), (frame["label"] == "spam").to_numpy(dtype=bool)
