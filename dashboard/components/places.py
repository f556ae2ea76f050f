"""Where the reader is and where a name leads: the window in the address, and links to a sender or a decision.

What is bound to the address (window, times) goes along by itself: to name it too would be an error, or twice there.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st

from dashboard.components.words import clock, plain, sender_parts, short
from dashboard.data import DEFAULT_WINDOW, WINDOWS, Window, relay_status, settings

SENDER_PAGE = "views/sender.py"
DECISIONS_PAGE = "views/decisions.py"
MESSAGES_PAGE = "views/messages.py"
SYSTEM_PAGE = "views/system.py"


def window() -> Window:
    """The span of time that the reader chose in the sidebar."""
    return WINDOWS.get(st.session_state.get("window") or DEFAULT_WINDOW, WINDOWS[DEFAULT_WINDOW])


def header(title: str, now: datetime, *, live: bool = True, span: str = "") -> None:
    """The first line of a page: what it is, which window it shows (`span`: not that of all), and when it was read."""
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        with st.container(horizontal=True, vertical_alignment="bottom", width="content"):
            st.header(title, anchor=False, width="content")
            if settings().demo or relay_status().value.get("demo"):
                st.badge(
                    "Demo data", icon=":material/science:", color="orange", help="Made up; no mail leaves this machine."
                )
        st.caption(
            f"{span or window().words} · {':material/sync: live, ' if live else ''}{clock(now, now)}",
            width="content",
            text_alignment="right",
        )


def chart_title(title: str, units: str) -> None:
    """What a chart shows, with the units of its axes: they would cost the chart its room."""
    st.markdown(f"**{title}** :gray[:small[{units}]]")


def sender_link(sender: str, *, label: str = "", icon: str | None = ":material/person_search:") -> None:
    """A link to the sender's page; `label` is Markdown."""
    _link(SENDER_PAGE, label or plain(short(sender_parts(sender)[2], 56)), icon, {"sender": sender})


def decision_link(decision_id: str, *, label: str = "", icon: str | None = ":material/gavel:") -> None:
    """A link to the decision's card."""
    _link(DECISIONS_PAGE, label or plain(decision_id), icon, {"decision": decision_id})


def page_link(page: str, label: str, icon: str, **chosen: str) -> None:
    """A link to a page; `chosen` is what is chosen on it."""
    _link(page, label, f":material/{icon}:", chosen)


def back(label: str, param: str) -> None:
    """Leave one thing for the list of all, on the same page: a link to the page one is on would change nothing."""
    if st.button(label, key=f"back-{param}", icon=":material/arrow_back:", type="tertiary"):
        st.query_params.pop(param, None)
        st.rerun(scope="app")


def search_link(label: str, query: str, icon: str = "search") -> None:
    """A link to the messages that a query finds: the rows behind a number."""
    page_link(MESSAGES_PAGE, label, icon, q=query)


def go_to_sender(sender: str) -> None:
    """Leave for the sender's page."""
    st.switch_page(SENDER_PAGE, query_params={"sender": sender})


def _link(page: str, label: str, icon: str | None, chosen: Mapping[str, str]) -> None:
    if not _is_here(page):
        st.page_link(page, label=label, icon=icon, query_params=dict(chosen))
    elif st.button(label, key=f"go-{label}-{'-'.join(chosen.values())}", icon=icon, type="tertiary"):
        for name, value in chosen.items():
            st.query_params[name] = value
        st.rerun(scope="app")


def _is_here(page: str) -> bool:
    """Tell whether the reader is on this page: Streamlit's links to the page one is on do nothing."""
    return urlsplit(st.context.url or "").path.rpartition("/")[2] == Path(page).stem
