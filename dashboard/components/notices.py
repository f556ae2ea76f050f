"""What a page says when there is nothing to show, or when somebody does not answer. Never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import streamlit as st

from dashboard.components.words import ago, clock, plain
from dashboard.data import Reading, relay_status

# The one style of our own: Streamlit has no way to grey a block whose numbers are old. A container's key becomes a
# class name, so this reaches only what `aged` encloses.
_GREY = "<style>[class*='st-key-aged-']{opacity:.5;filter:grayscale(1)}</style>"

_CONSEQUENCE = {
    "analytics": "Mail still flows and is still judged: the relay decides by itself. "
    "What happens meanwhile is counted later.",
    "relay": "No mail is accepted while it is down; senders' servers keep theirs and try again. "
    "Nothing accepted is lost.",
}
_REFUSED = ":material/report:"
_CURE = {"analytics": "mailweir analytics", "relay": "mailweir relay"}


def trouble(service: str, reading: Reading[Any], now: datetime, consequence: str) -> None:
    """Say who does not answer, since when the figures are old, what that means for the mail, and what to do."""
    since = (
        f"Figures are those of **{clock(reading.as_of, now)}** ({ago(reading.as_of, now)}), in grey."
        if reading.as_of
        else "There are no figures yet."
    )
    if not reading.is_down:
        st.warning(f"**{service.capitalize()} refused to answer:** {plain(reading.trouble)}. {since}", icon=_REFUSED)
        return
    st.error(
        f"**{service.capitalize()} does not answer.** {since} {consequence} "
        f"Start it with `{_CURE[service]}`, or everything with `mailweir up`; `mailweir doctor` says what is wrong.",
        icon=":material/cloud_off:",
    )


def troubles(now: datetime, *, analytics: list[Reading[Any]], relay: list[Reading[Any]]) -> None:
    """Show one notice for each service that left one of these readings stale."""
    worst = {
        service: min(stale, key=lambda one: (not one.is_down, one.as_of or now))
        for service, readings in (("relay", relay), ("analytics", analytics))
        if (stale := [reading for reading in readings if not reading.is_fresh])
    }
    is_relay_down = relay_status().is_down  # also on a page that asks it nothing
    for service, reading in worst.items():
        # "mail still flows" is no comfort, and not true, while the relay is down as well
        is_true = service == "relay" or not is_relay_down
        trouble(service, reading, now, _CONSEQUENCE[service] if is_true else "")


@contextmanager
def aged(name: str, *readings: Reading[Any]) -> Iterator[None]:
    """Enclose what these readings tell; it turns grey while one of them is stale. `name` is unique on the page."""
    stale = any(not reading.is_fresh for reading in readings)
    with st.container(key=f"{'aged' if stale else 'fresh'}-{name}"):
        if stale:
            st.html(_GREY)
        yield


def empty(words: str, *, command: str = "", icon: str = "inbox") -> None:
    """An empty state: what would be here, and what to do to get it."""
    with st.container(border=True):
        st.markdown(f":gray[:material/{icon}:] {words}")
        if command:
            st.code(command, language="sh")
