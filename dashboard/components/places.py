"""Where the reader is and where a name leads: the window in the address, and links to a sender or a decision."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import streamlit as st
from streamlit.elements.arrow import DataframeState

from dashboard.components.words import clock, plain, sender_parts, short
from dashboard.data import DEFAULT_WINDOW, WINDOWS, Window, relay_status, settings

_VIEWS = Path(__file__).parent.parent / "views"
SENDER_PAGE = "views/sender.py"
DECISIONS_PAGE = "views/decisions.py"
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
            f"{span or window().words} · {':material/sync: live, ' if live else ''}{clock(now)}",
            width="content",
            text_alignment="right",
        )


def chart_title(title: str, units: str) -> None:
    """What a chart shows, with the units of its axes: they would cost the chart its room."""
    st.markdown(f"**{title}** :gray[:small[{units}]]")


def sender_link(sender: str, *, label: str = "", icon: str | None = ":material/person_search:") -> None:
    """A link to the sender's page; `label` is Markdown."""
    st.page_link(
        SENDER_PAGE,
        label=label or plain(short(sender_parts(sender)[2], 56)),
        icon=icon,
        query_params=_params(sender=sender),
    )


def decision_link(decision_id: str, *, label: str = "", icon: str | None = ":material/gavel:") -> None:
    """A link to the decision's card."""
    st.page_link(
        DECISIONS_PAGE, label=label or plain(decision_id), icon=icon, query_params=_params(decision=decision_id)
    )


def existing(name: str) -> str:
    """The page of this name, or System where there is none."""
    return f"views/{name}.py" if (_VIEWS / f"{name}.py").exists() else SYSTEM_PAGE


def page_link(page: str, label: str, icon: str) -> None:
    st.page_link(page, label=label, icon=f":material/{icon}:", query_params=_params())


def go_to_sender(sender: str) -> None:
    """Leave for the sender's page."""
    st.switch_page(SENDER_PAGE, query_params=_params(sender=sender))


def go_to_decision(decision_id: str) -> None:
    """Leave for the decision's card."""
    st.switch_page(DECISIONS_PAGE, query_params=_params(decision=decision_id))


def picked(key: str, ids: Sequence[str], chosen: DataframeState) -> str:
    """The id of the row a reader chose in the table `key`, or "".

    A click tells a row's number, and rows may have moved since the table was shown: its ids are remembered for that.
    """
    shown = st.session_state.get(f"{key}-ids", ids)
    st.session_state[f"{key}-ids"] = list(ids)
    rows = chosen.selection.rows
    return str(shown[rows[0]]) if rows and rows[0] < len(shown) else ""


def _params(**more: str) -> dict[str, str]:
    name = window().name
    return more if name == DEFAULT_WINDOW else {"window": name, **more}
