"""Complaints and reports: what receivers say of our mail, and when each of them last said anything."""

from datetime import datetime

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.components import notices, outside, places
from dashboard.components.words import ago, plain, when
from dashboard.data import Reading

_PARTS = ["Complaints", "DMARC", "TLS", "Microsoft", "Google", "Yahoo"]
_SOURCES = {
    "arf": "Complaints (ARF)",
    "dmarc": "DMARC reports",
    "tlsrpt": "TLS reports",
    "snds": "Microsoft SNDS",
    "gpt": "Google Postmaster",
    "yahoo": "Yahoo Sender Hub",
}


@st.fragment(run_every=30)
def _live() -> None:
    now = data.now()
    places.header("Complaints and reports", now)
    feeds = data.query("feeds", fresh_seconds=data.SLOW_FRESH_SECONDS) if data.reader().sees_everything else None
    notices.troubles(now, analytics=[feeds or data.query("complaint_days", fresh_seconds=30.0)], relay=[])
    if feeds is not None:
        with notices.aged("feeds", feeds):
            _sources(feeds, now)
    part = st.segmented_control(
        "View",
        _PARTS if feeds is not None else [name for name in _PARTS if name != "Microsoft"],
        default="Complaints",
        key="view",
        bind="query-params",
        required=True,
        label_visibility="collapsed",
    )
    match part:
        case "DMARC":
            outside.dmarc(now)
        case "TLS":
            outside.tls(now)
        case "Microsoft":
            outside.snds(now)
        case "Google":
            outside.figures("postmaster", now)
        case "Yahoo":
            outside.figures("yahoo", now)
        case _:
            outside.complaints(now)


def _sources(feeds: Reading[pd.DataFrame], now: datetime) -> None:
    """Of each source when something new came last: an expired link that answers with an old file looks well else."""
    with st.container(horizontal=True, gap="small"):
        for kind, name in _SOURCES.items():
            mine = feeds.value[feeds.value["kind"] == kind]
            st.markdown(f":gray[:small[{name}\u2003]]  \n{_state(mine, feeds, now)}", width="content")
    stale = feeds.value[feeds.value["is_stale"].eq(True)]
    for row in stale.itertuples():
        name = _SOURCES.get(str(row.kind), str(row.kind))
        since = when(data.instant(row.fresh_at), now)
        st.warning(
            f"**{plain(name)} {plain(str(row.source))} brings nothing new since {since}.** "
            "Look whether its link or access has expired.",
            icon=":material/event_busy:",
        )


def _state(mine: pd.DataFrame, feeds: Reading[pd.DataFrame], now: datetime) -> str:
    if feeds.as_of is None:
        return ":gray-badge[:material/help: Unknown]"
    if mine.empty:
        return ":gray-badge[:material/help: never came]"
    last = data.instant(mine["fresh_at"].max())
    if mine["is_stale"].eq(True).any():
        return f":orange-badge[:material/event_busy: stale] {ago(last, now)}"
    until = when(data.instant(mine["data_at"].max()), now)
    return f":green-badge[:material/check_circle: {ago(last, now)}] :gray[data until {until}]"


_live()
