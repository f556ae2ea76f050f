"""The messages of a sender as a table, and one message in full: why, its deliveries, its features."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.components import notices
from dashboard.components.table import instants
from dashboard.components.words import clock, code, label_of, plain, zone_of
from dashboard.data import Reading
from dashboard.theme import look

_TOLD = frozenset({"trace", "reasons", "recipients", "tries", "held_events", "complaints"})  # on tabs of their own
_COLUMNS = ["received_at", "verdict", "subject", "mail_from", "recipients", "score", "outcome"]


def table(reading: Reading[pd.DataFrame], *, key: str) -> dict[str, Any]:
    """Show the messages; return the chosen row, or {}."""
    frame = reading.value
    shown = pd.DataFrame(
        {
            "received_at": pd.to_datetime(frame["received_at"], utc=True),
            "verdict": [look(action).word for action in frame["action"]],
            "subject": [
                _text(subject) or ("(before its content)" if action in ("defer", "reject") else "(no subject)")
                for subject, action in zip(frame["subject"], frame["action"], strict=True)
            ],
            "mail_from": frame["mail_from"].fillna("").replace("", "<>"),
            "recipients": frame["recipients"],
            "score": frame["score"].astype("float64"),
            "outcome": [
                _outcome(_text(outcome), _text(rule))
                for outcome, rule in zip(frame["outcome"], frame["rule"], strict=True)
            ],
        }
    )
    chosen = st.dataframe(
        shown,
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        column_order=_COLUMNS,
        column_config={
            "received_at": instants("Received"),
            "verdict": st.column_config.TextColumn("Verdict", width="small"),
            "subject": st.column_config.TextColumn("Subject", width="medium"),
            "mail_from": "From",
            "recipients": st.column_config.NumberColumn("Recipients", width="small"),
            "score": st.column_config.ProgressColumn(
                "Spam score", min_value=0, max_value=1, format="%.2f", width="small"
            ),
            "outcome": st.column_config.TextColumn("Outcome", width="small"),
        },
    )
    rows = chosen.selection.rows
    return {str(key): value for key, value in frame.iloc[rows[0]].items()} if rows and rows[0] < len(frame) else {}


def panel(chosen: dict[str, Any]) -> None:
    """One message: why it got its verdict, what became of it, what was measured."""
    message_id = _text(chosen.get("message_id"))
    if not message_id:
        _refused_early(chosen)
        return
    reading = data.query("message", message_id=message_id)
    found = data.row(reading)
    if not found:
        notices.empty(
            "Nothing is known of this message (any more): messages are kept for the retention time.", icon="search_off"
        )
        return
    with st.container(border=True):
        st.markdown(
            f"{look(found.get('action')).badge} **{plain(_text(found.get('subject')) or '(no subject)')}** "
            f":gray[{plain(message_id)}]"
        )
        why, deliveries, features, fields = st.tabs(["Why", "Deliveries", "Features", "All fields"])
        with why:
            trace(found)
        with deliveries:
            _deliveries(found)
        with features:
            pairs(
                {key[2:]: value for key, value in found.items() if key.startswith("f_")},
                "It was not scored, so nothing was measured.",
            )
        with fields:
            pairs({key: value for key, value in found.items() if not key.startswith("f_") and key not in _TOLD}, "")


def _refused_early(chosen: dict[str, Any]) -> None:
    """A recipient was refused before DATA, so there is no message: only the rule and the reply that was given."""
    with st.container(border=True):
        st.markdown(
            f"{look(chosen.get('action')).badge} **before its content**, rule {plain(_text(chosen.get('rule')))} "
            f":gray[{_clock(chosen.get('received_at'))}]"
        )
        st.code(_text(chosen.get("text")) or "no reply was kept", language=None, wrap_lines=True)


def listed(value: Any) -> list[Any]:
    """A list that came as JSON, as an array, or as itself; [] for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    if hasattr(value, "tolist"):
        value = value.tolist()
    return value if isinstance(value, list) else []


def trace(found: dict[str, Any]) -> None:
    """Why a message got its verdict: what its content said, and the steps that were asked."""
    reasons = [str(reason) for reason in listed(found.get("reasons"))]
    if reasons:
        st.markdown("Content: " + " ".join(f":gray-badge[{plain(reason)}]" for reason in reasons))
    steps = [step for step in listed(found.get("trace")) if isinstance(step, (list, tuple)) and len(step) >= 3]
    if not steps:
        st.caption("No trace was kept of this verdict.")
        return
    lines = [
        f"| {':material/flag:' if decided else ':gray[:material/check:]'} | {plain(label_of(str(rule)))} | "
        f"{'**' if decided else ''}{plain(str(detail))}{'**' if decided else ''} |"
        for rule, decided, detail, *_ in steps
    ]
    st.markdown("\n".join(["| | Step | What it saw |", "|---|---|---|", *lines]))
    st.caption("Steps are asked from the top; the flagged one decided.")


def _deliveries(found: dict[str, Any]) -> None:
    """Each recipient's end, then every try in order with the next hop's own words."""
    for rcpt in _rows(found.get("recipients")):
        at = data.instant(rcpt.get("finished_at"))
        outcome = "held" if rcpt.get("outcome") == "waiting" and found.get("status") == "held" else rcpt.get("outcome")
        st.markdown(
            f"{look(outcome).badge} {code(_text(rcpt.get('address')))} "
            f":gray[{clock(at, data.now()) + ' · ' if at else ''}{plain(_text(rcpt.get('destination')))}]"
        )
    for event in _rows(found.get("held_events")):
        author = _text(event.get("author")) or _text(event.get("decision_id"))
        st.markdown(
            f"{look(event.get('event')).badge} {_clock(event.get('logged_at'))} by {plain(author)} "
            f":gray[{plain(_text(event.get('reason')))}]"
        )
    tries = _rows(found.get("tries"))
    if not tries:
        st.caption("No delivery was tried yet.")
    for attempt in tries:
        reply = " ".join(_text(attempt.get(part)) for part in ("code", "enhanced", "text") if attempt.get(part))
        st.caption(
            f"{_clock(attempt.get('tried_at'))} · {plain(_text(attempt.get('destination')))} · try "
            f"{_text(attempt.get('attempt'))} · {look(attempt.get('outcome')).word.lower()}"
        )
        if reply:
            st.code(reply, language=None, wrap_lines=True)


def pairs(values: dict[str, Any], when_empty: str) -> None:
    """Named values as a table, without those that say nothing."""
    known = {key: value for key, value in values.items() if not _is_nothing(value)}
    if not known:
        st.caption(when_empty or "Nothing.")
        return
    frame = pd.DataFrame(
        {"name": [label_of(key) for key in known], "value": [_shown(value) for value in known.values()]}
    )
    st.dataframe(
        frame,
        hide_index=True,
        column_config={"name": "Name", "value": st.column_config.TextColumn("Value", width="large")},
    )


def _clock(value: Any) -> str:
    return clock(data.instant(value), data.now())


def _rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in listed(value) if isinstance(row, dict)]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, pd.Timestamp):
        here = value.tz_convert(data.now().tzinfo) if value.tzinfo else value.tz_localize("UTC")
        return f"{here:%Y-%m-%d %H:%M:%S} {zone_of(here)}"
    found = listed(value)
    return ", ".join(str(item) for item in found) if found else str(value)


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value) or (hasattr(value, "__len__") and len(value) == 0)


def _outcome(outcome: str, rule: str) -> str:
    """Say of mail that waits for room under a limit that it does: it is not lost."""
    if outcome == "accepted" and rule == "rate_delay":
        return "Delayed"
    return look(outcome).word if outcome else "–"


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)
