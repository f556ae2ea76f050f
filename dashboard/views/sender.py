"""Sender: how one end sender behaves, where it stands, and stop or release it."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from analytics.search.fields import FIELDS
from dashboard import actions, charts, data, zone
from dashboard.components import buttons, cards, messages, notices, places, reputation, sender_parts
from dashboard.components.table import Column, Kind, table
from dashboard.components.tiles import facts
from dashboard.components.words import clock, code, count, plain, share, short, when
from dashboard.components.words import sender_parts as parts_of
from dashboard.data import Reading, Window
from dashboard.searching.box import written
from dashboard.setup import asked
from dashboard.theme import look, palette
from relay.control.views import SenderView

_FLOW = ["accepted", "held", "refused", "delivered"]
_MESSAGES = 500
_SENDERS = [
    Column("shown", "Sender", width="large"),
    Column("account", "Account"),
    Column("messages", "Messages", Kind.COUNT),
    Column("stopped", "Held or refused", Kind.COUNT),
    Column("bounced", "Bounced", Kind.COUNT),
    Column("score", "Reputation", Kind.NUMBER, format="%.0f", help="0 to 100; empty: not computed yet"),
    Column("standing", "Band"),
]


def _search() -> str:
    """The search box; what it holds stands in the address, so the options are the senders' keys as they are."""
    known = data.query("senders", data.WINDOWS["7d"], limit=500, search="", fresh_seconds=data.SLOW_FRESH_SECONDS)
    options = [str(key) for key in known.value["sender"].dropna()]
    wanted = st.query_params.get("sender")
    if wanted and wanted not in options:
        options = [wanted, *options]
    chosen = st.selectbox(
        "Sender",
        options,
        index=None,
        key="sender",
        bind="query-params",
        accept_new_options=True,
        placeholder="Search a sender: an address, a vhost, a Unix user, an account",
        label_visibility="collapsed",
    )
    return chosen or ""


@st.fragment(run_every=2)
def _live(key: str) -> None:
    actions.rerun_if_requested()
    window, now = places.window(), data.now()
    standing = data.sender(key)
    summary = data.query("sender_summary", sender=key)
    flow = data.query("sender_flow", window, sender=key, bucket_seconds=window.bucket_seconds)
    recent = data.query("sender_messages", sender=key, limit=_MESSAGES)
    notices.troubles(now, analytics=[summary, flow, recent], relay=[standing] if data.relay_status().trouble else [])
    if standing.value is None and summary.is_fresh and not data.row(summary).get("messages"):
        notices.empty(f"No mail of {code(key)} is known. A sender is written account|kind|value.", icon="search_off")
        return
    with notices.aged("who", standing, summary):
        _who(key, standing, data.row(summary))
    if standing.value and standing.value.decision:
        with notices.aged("case", standing):
            cards.card(standing.value.decision, is_stale=not standing.is_fresh, place="sender")
    if standing.value:
        sender_parts.standing_strip(standing.value)
    reputation.waterfall("sender", key)
    sender_parts.hours(key)
    sender_parts.beliefs(data.signals(key))
    with notices.aged("charts", flow, recent):
        _charts(flow, recent, standing.value, window)


def _who(key: str, standing: Reading[SenderView | None], summary: dict[str, Any]) -> None:
    account, kind, value = parts_of(key)
    view, now = standing.value, data.now()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        band = look(summary.get("band")).badge if summary.get("score") is not None else ""
        st.markdown(
            f"### {plain(short(value, 70))}\n{look(view.standing if view else None).badge} {band} "
            f":gray[{plain(account)} · {plain(kind)}]"
        )
    is_stopped = bool(view and view.standing in ("held", "blocked", "suspended"))
    buttons.measures(key, is_stale=not standing.is_fresh or view is None, is_stopped=is_stopped)
    total = summary.get("messages") or 0
    known = [
        ("Reputation", _reputation(summary)),
        ("Limit now", _limit(account, view)),
        ("Messages", count(total)),
        ("Held or refused", share((summary.get("held") or 0) + (summary.get("refused") or 0), total)),
        (
            "Bounced",
            share(summary.get("bounced") or 0, (summary.get("delivered") or 0) + (summary.get("bounced") or 0)),
        ),
        ("Complaints", count(summary.get("complaints") or 0)),
        ("First seen", when(data.instant(summary.get("first_at")), now)),
    ]
    facts(known)
    places.search_link("Search its messages", written(FIELDS["sender"], "is", key))


def _reputation(summary: dict[str, Any]) -> str:
    score = summary.get("score")
    if score is None:
        return "not computed yet"
    interval = f"{summary.get('low') or 0:.0f}–{summary.get('high') or 0:.0f}"
    return f"**{score:.0f}** of 100 ({interval}, n = {count(summary.get('n'))})"


def _limit(account: str, view: SenderView | None) -> str:
    known = data.account(account).value
    own = asked.own_limit(view.sender) if view else None
    if own is None:
        own = known.sender_limits.rcpts_per_hour if known else None
    if own == 0:
        return "no limit"
    base = own or data.settings().limits.rcpts_per_hour
    if view is None or view.multiplier == 1:
        return f"{count(base)} recipients/h"
    return f"{count(base * view.multiplier)} recipients/h ({count(base)} × {view.multiplier:g})"


def _charts(
    flow: Reading[pd.DataFrame], recent: Reading[pd.DataFrame], view: SenderView | None, window: Window
) -> None:
    now, colours = data.now(), palette()
    events = [
        charts.Event(row.starts_at, f"{look(row.effect).word}: {row.reason}")
        for row in (view.decisions if view else [])
        if row.starts_at >= window.since(now)
    ]
    left, right = st.columns(2)
    with left:
        places.chart_title("Volume by verdict", f"messages {window.bucket_words}, {zone.name()}")
        drawn = charts.filled(flow.value, window, now, _FLOW)
        volume = charts.flow(drawn, window, colours, events, legend_columns=2)
        st.altair_chart(volume, key="sender-flow", alt="Messages by verdict")
    with right:
        places.chart_title("Spam score of each message", f"0 is clean, {zone.name()}")
        scored = _scored(recent.value, window)
        line = data.policy().hold_score
        st.altair_chart(
            charts.scores(scored, window, now, line, colours), key="sender-scores", alt="Spam scores and the hold line"
        )


def _scored(frame: pd.DataFrame, window: Window) -> pd.DataFrame:
    received = pd.to_datetime(frame["received_at"], utc=True)
    shown = frame[frame["score"].notna() & (received >= pd.Timestamp(window.since(data.now())))]
    at = pd.to_datetime(shown["received_at"], utc=True)
    return pd.DataFrame(
        {
            "received_at": at,
            "when": [clock(one, data.now()) for one in at],
            "score": shown["score"].astype("float64"),
            "verdict": [look(action).word for action in shown["action"]],
            "subject": [short(str(subject or ""), 50) for subject in shown["subject"]],
        }
    )


@st.fragment
def _recent(key: str) -> None:
    """The messages stay as they are while one is read: new ones come on demand, not every two seconds."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Recent messages", anchor=False, width="content")
        wants_new = st.button("Refresh", key="messages-refresh", icon=":material/refresh:", type="tertiary")
    shown: _Shown | None = st.session_state.get("messages_shown")
    if wants_new or shown is None or shown.sender != key or not _is_reading(shown):
        number = shown.number + 1 if shown else 0
        shown = _Shown(key, number, data.query("sender_messages", sender=key, limit=_MESSAGES))
        st.session_state["messages_shown"] = shown
    if shown.reading.value.empty:
        st.caption("No message of this sender is known." if shown.reading.as_of else "Analytics does not answer.")
        return
    with notices.aged("messages", shown.reading):
        if chosen := messages.table(shown.reading, key=shown.table_key):
            messages.panel(chosen)
        else:
            st.caption("Choose a row to see why it got its verdict and what became of it.")


@dataclass(frozen=True, slots=True)
class _Shown:
    """The messages on the page. A new reading gets a new table, so that a chosen row number never means another one."""

    sender: str
    number: int
    reading: Reading[pd.DataFrame]

    @property
    def table_key(self) -> str:
        return f"messages-{self.number}"


def _is_reading(shown: _Shown) -> bool:
    """Tell whether the reader has chosen a message of this table."""
    state = st.session_state.get(shown.table_key)
    return bool(state and state.selection.rows)


@st.fragment
def _sends(key: str) -> None:
    st.subheader("What it sends", anchor=False)
    sender_parts.what_it_sends(key)


def _nobody() -> None:
    """The empty page: the busiest senders, each a click away."""
    known = data.query("senders", places.window(), limit=100, search="", fresh_seconds=data.SLOW_FRESH_SECONDS)
    notices.troubles(data.now(), analytics=[known], relay=[])
    if known.value.empty:
        if known.as_of is not None:
            notices.empty(
                f"Nobody sent mail in {places.window().words}. Choose a longer window, or add an account:",
                command="mailweir account add NAME",
            )
        return
    frame = known.value
    shown = frame.assign(
        shown=[parts_of(str(key))[2] for key in frame["sender"]],
        stopped=frame["held"].fillna(0) + frame["refused"].fillna(0),
        standing=[look(band).word if isinstance(band, str) and band else "–" for band in frame["band"]],
    )
    st.subheader("Who sent mail", anchor=False)
    with notices.aged("senders", known):
        found = table(shown, _SENDERS, key="senders", ids="sender", name="senders")
        st.caption("Choose a row to open its page.")
    if found:
        st.session_state["chosen_sender"] = found
        st.rerun()


if chosen_sender := st.session_state.pop("chosen_sender", None):
    st.session_state["sender"] = chosen_sender  # the search box writes it into the address: nobody else may
places.header("Sender", data.now())
if sender_key := _search():
    _live(sender_key)
    _recent(sender_key)
    _sends(sender_key)
else:
    _nobody()
