"""The model in use, the others there are with their cards, and what the gate said of each training."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from analytics.learning.reliability import wilson
from dashboard import data
from dashboard.components import notices
from dashboard.components.orders import Order, Reach, attempt, do_it, finish, offer
from dashboard.components.table import Column, Kind, table
from dashboard.components.tiles import facts
from dashboard.components.words import code, count, plain, when
from dashboard.theme import Look
from relay.content.model_files import Figures
from relay.control.labels.views import ModelCard, ModelOrder, ModelView

_MODELS = [
    Column("name", "Model", width="medium"),
    Column("state", "State"),
    Column("made_at", "Made", Kind.INSTANT),
    Column("mail", "Learnt from", Kind.COUNT, help="messages"),
    Column("recall", "Spam held", width="medium", help="share of bad mail at p ≥ 0.9, of mail left out of training"),
    Column("wrong", "Good mail held", width="medium", help="share of good mail at p ≥ 0.9"),
]
_RUNS = [
    Column("logged_at", "At", Kind.INSTANT),
    Column("model", "Candidate", width="medium"),
    Column("active", "Against"),
    Column("ruling", "Gate"),
    Column("learnt", "Learnt", Kind.COUNT, help="labelled messages of the time before"),
    Column("judged", "Judged by", Kind.COUNT, help="labelled messages of the time after, which neither has learnt"),
    Column("why", "Because", width="large"),
]
_SLICES = [
    Column("name", "On", width="medium"),
    Column("gain", "Ranks better by", width="medium", help="area under the ROC curve, 95 % interval by resampling"),
    Column("verdict", "Surely"),
    Column("recall", "Spam held, before → after", width="medium"),
    Column("wrong", "Good mail held, before → after", width="medium"),
    Column("n", "Spam / good"),
]
_LINE = 0.9  # settings.Policy.hold_score, and what the cards' by_source is of


def show(now: datetime) -> None:
    """The model in use first, then all cards, then the gate's reports."""
    none: ModelView | None = None
    cards: list[ModelCard] = []
    used = data.ask_relay("model", lambda relay: relay.model(), none)
    known = data.ask_relay("models", lambda relay: relay.models(), cards)
    runs = data.query("model_runs", fresh_seconds=data.SLOW_FRESH_SECONDS)
    notices.troubles(now, analytics=[runs], relay=[used, known])
    with notices.aged("model", used):
        _used(used.value, known.value, now)
    with notices.aged("models", known):
        _cards(known.value)
    with notices.aged("runs", runs):
        _runs(runs.value, is_known=runs.as_of is not None)


def _used(view: ModelView | None, cards: list[ModelCard], now: datetime) -> None:
    if view is None:
        return
    with st.container(border=True):
        name = Path(view.model).name
        badge = Look("Scores nothing", "help", "gray") if name == "none" else Look("In use", "check_circle", "green")
        st.markdown(f"**{plain(name)}** {badge.badge}")
        facts(
            [
                ("Since", when(view.since_at, now) if view.since_at else "the settings name it"),
                ("By", plain(view.author or "the settings")),
                ("Because", plain(view.why or "–")),
                ("Before it", plain(", ".join(Path(one).name for one in reversed(view.before)) or "–")),
            ]
        )
        with st.container(horizontal=True):
            if any(not one.in_use and not one.trouble for one in cards):
                offer("Promote another", _PROMOTE, key="model_promote", reach=Reach.WHOLE)
            if view.before:
                offer("Roll back", _ROLLBACK.about(view.before[-1]), key="model_rollback", reach=Reach.WHOLE)


def _cards(cards: list[ModelCard]) -> None:
    if not cards:
        return
    st.subheader("Models", anchor=False)
    frame = pd.DataFrame([_card_row(one) for one in cards])
    chosen = table(frame, _MODELS, key="models", ids="name") or next((one.name for one in cards if one.in_use), "")
    card = next((one for one in cards if one.name == chosen), None)
    if card is None:
        return
    with st.expander(f"Card of {plain(card.name)}", icon=":material/badge:", expanded=True):
        if card.trouble:
            st.error(plain(card.trouble), icon=":material/error:")
            return
        st.caption(plain(card.notes))
        left, right = st.columns(2)
        with left:
            st.markdown("**Learnt from**")
            rows = [{"source": one.name, "bad": one.bad, "ham": one.ham, "terms": one.terms} for one in card.sources]
            columns = [Column("source", "Source"), Column("bad", "Spam", Kind.COUNT), Column("ham", "Good", Kind.COUNT)]
            table(pd.DataFrame(rows), [*columns, Column("terms", "Terms", width="large")], key="sources")
        with right:
            for number, figures in enumerate(card.figures):
                _figures(figures, number)


def _card_row(card: ModelCard) -> dict[str, Any]:
    first = card.figures[0] if card.figures else None
    line = next((one for one in first.lines if one.p == _LINE), None) if first else None
    return {
        "name": card.name,
        "state": _state(card),
        "made_at": pd.Timestamp(card.made_at) if card.made_at else pd.NaT,
        "mail": sum(one.bad + one.ham for one in card.sources),
        "recall": _rate(line.recall, first.bad) if line and first else "",
        "wrong": _rate(line.false_positive_rate, first.ham) if line and first else "",
    }


def _state(card: ModelCard) -> str:
    if card.trouble:
        return "Cannot be used"
    return "In use" if card.in_use else "Candidate" if card.is_own else "Other"


def _figures(figures: Figures, number: int) -> None:
    st.markdown(f"**{plain(figures.name)}** :gray[:small[{count(figures.bad)} spam, {count(figures.ham)} good]]")
    rows = [
        {
            "line": f"p ≥ {line.p:g}",
            "recall": _rate(line.recall, figures.bad),
            "wrong": _rate(line.false_positive_rate, figures.ham),
        }
        for line in figures.lines
    ]
    columns = [Column("line", "Line"), Column("recall", "Spam found"), Column("wrong", "Good mail above")]
    table(pd.DataFrame(rows, columns=["line", "recall", "wrong"]), columns, key=f"lines_{number}")
    st.caption(
        f"Spam found at 0.5 % of good mail above: {figures.recall_at_fpr_0_5_percent:.1%}, "
        f"at 1 %: {figures.recall_at_fpr_1_percent:.1%}; area missed (1−ROCA) {figures.one_minus_roca_percent:.2f} %"
    )


def _runs(runs: pd.DataFrame, *, is_known: bool) -> None:
    st.subheader("Trainings and the gate", anchor=False)
    if runs.empty:
        wanted = data.settings().analytics.retrain_labels
        if is_known:
            notices.empty(
                f"No training yet. One begins by itself when {wanted} new labels have come "
                "(analytics.retrain_labels); releases and confirmations are labels.",
                icon="model_training",
            )
        return
    shown = runs.assign(ruling=["Passed" if one else "Refused" for one in runs["passes"]])
    chosen = table(shown, _RUNS, key="runs", ids="model") or str(runs.iloc[0]["model"])
    slices = [json.loads(text or "[]") for text in runs[runs["model"] == chosen]["slices"]]
    if not slices or not slices[0]:
        st.caption(f"{code(chosen)} was not judged slice by slice.")
        return
    st.markdown(f"**{plain(chosen)}, on later mail** :gray[:small[95 % intervals; shares at p ≥ {_LINE:g}]]")
    table(pd.DataFrame([_slice_row(one) for one in slices[0]]), _SLICES, key="slices")


def _slice_row(one: dict[str, Any]) -> dict[str, str]:
    verdict = "better" if one["low"] > 0 else "worse" if one["high"] < 0 else "neither"
    return {
        "name": one["name"],
        "gain": f"{one['gain']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})",
        "verdict": verdict,
        "recall": " → ".join(_rate(share, one["bad"]) for share in one["recall"]),
        "wrong": " → ".join(_rate(share, one["ham"]) for share in one["false_positive_rate"]),
        "n": f"{count(one['bad'])} / {count(one['ham'])}",
    }


def _rate(share: float, n: int) -> str:
    low, high = wilson(round(share * n), n)
    digits = 2 if share < 0.01 else 1  # a few good messages of ten thousand are not none
    return f"{share:.{digits}%} ({low:.{digits}%}–{high:.{digits}%})" if n else "–"


def _promote(_target: str) -> None:
    cards = attempt(lambda relay: relay.models())
    if cards is None:
        return
    usable = [one.name for one in cards if not one.in_use and not one.trouble]
    name = st.selectbox("Model", usable, key="promote_name")
    why = st.text_input("Because", placeholder="What do its figures say?", key="promote_why")
    st.markdown("- It scores from the next message on; nothing waits. Lines and rules stay as they are.")
    if name and attempt(lambda relay: relay.promote_model(ModelOrder(model=name, dry_run=True))) is None:
        return
    if do_it("Promote", "upgrade", is_ready=bool(name and why.strip())):
        order = ModelOrder(model=str(name), why=why.strip())
        finish(attempt(lambda relay: relay.promote_model(order)), f"{name} scores from now on.")


def _rollback(before: str) -> None:
    st.markdown(f"{code(Path(before).name)} scores again, from the next message on. That in use stays in its folder.")
    why = st.text_input("Because", key="rollback_why")
    if do_it("Roll back", "undo"):
        order = ModelOrder(why=why.strip())
        finish(attempt(lambda relay: relay.rollback_model(order)), f"{Path(before).name} scores again.")


_PROMOTE = Order("Promote a model", "upgrade", _promote)
_ROLLBACK = Order("Back to the model before", "undo", _rollback)
