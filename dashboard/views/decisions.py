"""Decisions: who was stopped, why, how sure, and the two answers a person can give: not spam, or confirmed."""

import pandas as pd
import streamlit as st

from dashboard import actions, data
from dashboard.components import cards, notices, places
from dashboard.components.words import plain, sender_parts
from dashboard.data import Reading
from relay.control.views import DecisionView
from relay.policy.decision import Effect

_SHOWN = 25  # cards on one page; a desk with more open cases than that works from the table


@st.fragment(run_every=2)
def _live() -> None:
    actions.rerun_if_requested()
    now = data.now()
    if wanted := st.query_params.get("decision"):
        _one(wanted)
        return
    places.header("Decisions", now)
    every = data.decisions(limit=500)
    notices.troubles(now, analytics=[], relay=[every])
    about = [row for row in every.value if row.effect not in (Effect.RELEASE, Effect.CONFIRM)]
    groups = {
        "Open": [row for row in about if row.is_open],
        "Released": [row for row in about if row.released_by],
        "All": about,
    }
    shown = st.segmented_control(
        "Show",
        list(groups),
        default="Open",
        key="show",
        bind="query-params",
        required=True,
        label_visibility="collapsed",
        format_func=lambda name: f"{name} · {len(groups[name])}",
    )
    with notices.aged("decisions", every):
        if every.as_of is not None and not about:
            notices.empty(
                "Nobody was ever stopped. When a sender's mail turns to spam, its case opens here with the reason "
                "in words. To stop one by hand, open its page, or:",
                command="mailweir sender hold 'account|kind|value'",
                icon="verified_user",
            )
        elif shown == "Open":
            _open(groups["Open"], every)
        else:
            _table(groups[shown or "All"], key=f"table-{shown}")


def _open(rows: list[DecisionView], every: Reading[list[DecisionView]]) -> None:
    if not rows and every.as_of is not None:
        st.markdown(
            ":green-badge[:material/check_circle: No open decisions] "
            ":gray[Everybody may send. Past cases are under All.]"
        )
    for row in rows[:_SHOWN]:
        cards.card(row, is_stale=not every.is_fresh)
    if len(rows) > _SHOWN:
        _table(rows[_SHOWN:], key="table-more")


def _table(rows: list[DecisionView], *, key: str) -> None:
    """Cases as rows; a click opens the card."""
    if not rows:
        st.markdown(":gray-badge[:material/inbox: None yet] :gray[A released case stays here with who released it.]")
        return
    frame = pd.DataFrame(
        [
            {
                "since": row.starts_at,
                "state": cards.state_of(row).word,
                "sender": sender_parts(row.sender)[2],
                "account": row.account,
                "reason": row.reason,
                "answered": row.released_by or row.confirmed_by or "–",
                "id": row.id,
            }
            for row in rows
        ]
    )
    chosen = st.dataframe(
        frame,
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "since": st.column_config.DatetimeColumn("Since, UTC", format="D MMM HH:mm:ss", timezone="UTC"),
            "state": "State",
            "sender": st.column_config.TextColumn("Sender", width="medium"),
            "account": "Account",
            "reason": st.column_config.TextColumn("Because", width="large"),
            "answered": "Answered by",
            "id": "Decision",
        },
    )
    st.caption("Choose a row to open its case.")
    if found := places.picked(key, list(frame["id"]), chosen):
        st.session_state["open_decision"] = found
        st.rerun(scope="app")


def _one(decision_id: str) -> None:
    now = data.now()
    places.header(f"Decision {decision_id}", now)
    places.page_link(places.DECISIONS_PAGE, "All decisions", "arrow_back")
    reading = data.decision(decision_id)
    if reading.value is None:
        if reading.as_of is None and reading.trouble and data.relay_status().is_fresh:
            notices.empty(
                f"{plain(reading.trouble)}. It may belong to another node, or the link is cut off.", icon="search_off"
            )
        else:
            notices.troubles(now, analytics=[], relay=[reading])
        return
    notices.troubles(now, analytics=[], relay=[reading])
    with notices.aged("decision", reading):
        cards.card(reading.value, is_stale=not reading.is_fresh, place="alone")


if chosen_id := st.session_state.pop("open_decision", None):
    places.go_to_decision(chosen_id)
_live()
