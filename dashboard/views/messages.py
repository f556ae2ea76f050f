"""Messages: find any message by a query, read its whole story, act on it, take the result away."""

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.components import notices, orders, places
from dashboard.components.table import Column, Kind, csv_of, table
from dashboard.components.words import clock, count, plain, sender_parts, when
from dashboard.data import Reading
from dashboard.searching import asking, box, detail, running
from dashboard.theme import look

_COLUMNS = [
    Column("received_at", "Received", Kind.INSTANT),
    Column("sender_name", "Sender"),
    Column("mail_from", "From"),
    Column("recipient", "To"),
    Column("subject", "Subject", width="medium"),
    Column("verdict", "Verdict", width="small"),
    Column("became", "Outcome", width="small"),
    Column("class", "Class", help="Of the reply that refused or deferred it", width="small"),
    Column("reply", "Reply", width="medium"),
    Column("client_ip", "Address", help="It came from there"),
    Column("score", "Spam score", Kind.SCORE, width="small"),
]


def _page() -> None:
    places.header("Messages", data.now(), live=False, span="the last 7 days, unless the query says")
    query = box.ask()
    if query is not None:
        _result(query)
    orders.open_dialog()


def _result(query: str) -> None:
    one = running.search(query)
    if one.is_given_up or (one.over.is_set() and one.found is None):
        _given_up()
    elif one.found is None:
        _waiting()
    else:
        _found(query, one.found)


@st.fragment(run_every=0.5)
def _waiting() -> None:
    one = running.current()
    if one is None or one.over.is_set():
        st.rerun(scope="app")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(":material/hourglass_empty: Searching")
        if st.button("Cancel", key="search_cancel", icon=":material/stop:"):
            running.give_up(one)
            st.rerun(scope="app")


def _given_up() -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("The search was given up. Name a sender, a recipient or a shorter time, or")
        st.button("Search again", key="search_again", icon=":material/refresh:", on_click=running.forget)


def _found(query: str, found: Reading[pd.DataFrame]) -> None:
    notices.troubles(data.now(), analytics=[found], relay=[])
    if found.as_of is None:
        return
    frame = found.value
    if frame.empty:
        _nothing(query, found)
        return
    with notices.aged("found", found):
        _said(found)
        chosen = table(_shown(frame), _COLUMNS, key="found", ids="id", name="messages", height=_height(frame))
        _files(query)
    _remember(chosen)
    if message := st.query_params.get("message"):
        if message.startswith("refused "):
            _refused(frame, message)
        else:
            detail.show(message)
    else:
        st.caption("Choose a row to see what happened to the message.")


def _height(frame: pd.DataFrame) -> int | None:
    """A long result scrolls, so that the chosen message stays in sight; a short one has no empty rows."""
    return 420 if len(frame) > 10 else None


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    is_early = frame["message_id"] == ""  # a recipient was refused before there was a message
    return frame.assign(
        id=frame["message_id"].where(~is_early, "refused " + frame["received_at"].astype(str)),
        sender_name=[sender_parts(str(key))[2] for key in frame["sender"]],
        mail_from=frame["mail_from"].fillna("").replace("", "<>"),
        verdict=[look(action).word for action in frame["action"]],
        became=[look(outcome).word for outcome in frame["outcome"]],
    )


def _said(found: Reading[pd.DataFrame]) -> None:
    """How far the answer goes: nobody must take a part for the whole."""
    frame, now = found.value, data.now()
    told, since = frame.attrs, frame.attrs.get("since")
    if told.get("is_complete"):
        st.markdown(
            f"**{count(len(frame))}** found since {when(since, now)}. :gray[Read at {clock(found.as_of, now)}.]"
        )
        return
    back = when(told.get("searched_from"), now)
    if len(frame) >= asking.SHOWN:
        st.markdown(f"The newest **{count(len(frame))}**; there are more. :gray[Narrow the query, or take a file.]")
    else:
        st.warning(
            f"**{count(len(frame))}** found back to {back}; older mail was not searched, as it took too long. "
            "Name a sender, a recipient or a shorter time.",
            icon=":material/timer_off:",
        )


def _remember(chosen: str) -> None:
    """The chosen row stands in the address; closing it keeps it closed until another row is chosen."""
    if st.session_state.pop("message_closed", False):
        st.session_state["message_seen"] = chosen
    if chosen and chosen != st.session_state.get("message_seen"):
        st.session_state["message_seen"] = chosen
        st.query_params["message"] = chosen


def _refused(frame: pd.DataFrame, chosen: str) -> None:
    rows = frame[("refused " + frame["received_at"].astype(str)) == chosen]
    if rows.empty:
        return
    row = rows.iloc[0]
    with st.container(border=True):
        st.markdown(f"{look(row['action']).badge} **before its content**, rule {plain(str(row['rule']))}")
        st.code(str(row["reply"]) or "no reply was kept", language=None, wrap_lines=True)


def _files(query: str) -> None:
    """All that the query finds, not only what is shown."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"All that it finds, up to {count(asking.MAX_EXPORT_ROWS)} rows:", width="content")
        st.download_button(
            "CSV",
            data=lambda: csv_of(asking.everything(query)),
            file_name="messages-all.csv",
            mime="text/csv",
            key="all_csv",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )
        st.download_button(
            "Parquet",
            data=lambda: asking.parquet(query),
            file_name="messages-all.parquet",
            mime="application/vnd.apache.parquet",
            key="all_parquet",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )


def _nothing(query: str, found: Reading[pd.DataFrame]) -> None:
    if not query:
        notices.empty(
            "No mail came in the last 7 days. Send one through the relay and it stands here a second later:",
            command="mailweir send-test you@example.org",
        )
        return
    since = when(found.value.attrs.get("since"), data.now())
    notices.empty(
        f"Nothing matches since {since}. Name an earlier time, as in `time:30d..`, or a wildcard, as in "
        "`to:*@post.example`.",
        icon="search_off",
    )


_page()
