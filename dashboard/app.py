"""The dashboard's frame: pages, the window all of them look at, and who answers. One page runs inside it."""

from pathlib import Path

import streamlit as st

from dashboard import actions, data, zone
from dashboard.brand import show_brand
from dashboard.components.words import plain
from dashboard.entry.reader import ask_to_sign_in, reader, sign_out_control
from dashboard.theme import look
from relay.settings import SettingsError

_HERE = Path(__file__).parent
# Streamlit shows the focus of buttons, but not of links: who walks by the keyboard must see where he is.
# The teal stands out (over 4 to 1) on white and on both dark grounds.
_FOCUS = "<style>a:focus-visible{outline:2px solid #14877c !important;outline-offset:-2px !important}</style>"
_SIDEBAR_PIXELS = 262  # less than Streamlit's: it holds four names and the window


def main() -> None:
    st.set_page_config(
        page_title="Mailweir",
        page_icon=str(_HERE / "assets/mark.svg"),
        layout="wide",
        initial_sidebar_state=_SIDEBAR_PIXELS,
    )
    st.logo(str(_HERE / "assets/logo.svg"), icon_image=str(_HERE / "assets/mark.svg"), size="large")
    st.html(_FOCUS)
    page = st.navigation(
        {
            "Watch": [
                _page("now", "Now", "monitoring", is_default=True),
                _page("decisions", "Decisions", "gavel"),
            ],
            "Understand": [
                _page("sender", "Sender", "person_search"),
                _page("messages", "Messages", "mail"),
                _page("destinations", "Destinations", "outgoing_mail"),
                _page("ips", "IPs and pools", "lan"),
                _page("bounces", "Bounces and suppression", "undo"),
                _page("complaints", "Complaints and reports", "thumb_down"),
            ],
            "Operate": [
                _page("lab", "Model and policy", "science"),
                _page("customers", "Customers and setup", "apartment"),
                _page("data_room", "Data", "database"),
                _page("system", "System", "dns"),
            ],
        }
    )
    try:
        data.settings()
    except SettingsError as error:
        st.error(
            "**The settings cannot be read.** Correct them and start the dashboard again.", icon=":material/error:"
        )
        st.code(str(error), language=None)
        return
    whose = reader(data.settings())
    if whose is None:
        ask_to_sign_in(data.settings())
        return
    st.session_state[data.READER] = whose
    show_brand(data.own_brand())
    _sidebar()
    actions.take_request()
    page.run()
    actions.open_dialog()


def _page(name: str, title: str, icon: str, *, is_default: bool = False) -> st.Page:
    return st.Page(
        _HERE / f"views/{name}.py", title=title, icon=f":material/{icon}:", url_path=name, default=is_default
    )


def _sidebar() -> None:
    with st.sidebar:
        st.segmented_control(
            "Window",
            list(data.WINDOWS),
            default=data.DEFAULT_WINDOW,
            key="window",
            bind="query-params",
            required=True,
            width="stretch",
            help="What all pages look at. It stands in the address: copy the link and others see the same.",
        )
        zone.choice()
        _services()
        _who()


def _who() -> None:
    whose = data.reader()
    if whose.token:
        scope = whose.principal.scope
        part = scope.account or scope.reseller or "everything"
        st.caption(f"{plain(whose.principal.id)}, {whose.principal.role.value} of {plain(part)}")
        sign_out_control(data.settings(), whose)


@st.fragment(run_every=5)
def _services() -> None:
    """Who answers, on every page."""
    status, ingest = data.relay_status(), data.query("ingest")
    behind = data.row(ingest).get("behind_files") or 0
    is_refused = ingest.trouble and data.reader().sees_everything  # who sees a part is refused, which is no trouble
    analytics = "down" if ingest.is_down else "error" if is_refused else "behind" if behind > 5 else "up"
    relay = "down" if status.is_down else "error" if status.trouble else "up"
    st.markdown(
        f"{look(relay).badge} relay  \n{look(analytics).badge} analytics",
    )


main()
