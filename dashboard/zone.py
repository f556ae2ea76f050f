"""The reader's time zone: the browser's, or UTC for who compares a page with logs, command lines and queries.

Instants stay UTC everywhere; only what is written for the reader is in this zone, and names it. `data.now()` carries it
to the functions that write.
"""

from datetime import UTC, datetime, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from dashboard.components.words import zone_of

KEY = "times"
OURS, _THEIRS = "UTC", "local"
_UTC = ("UTC", "Etc/UTC", "Etc/GMT", "GMT", "Etc/UCT")


def zone() -> tzinfo:
    """The zone that times are written in."""
    return UTC if st.session_state.get(KEY) == OURS else _browsers()


def axis() -> Literal["utc", "time"]:
    """The scale of a chart's time axis: "time" is the browser's zone."""
    return "utc" if zone() is UTC else "time"


def name() -> str:
    """The zone as it is called now, for titles.

    >>> name()  # no browser
    'UTC'
    """
    return zone_of(datetime.now(zone()))


def choice() -> None:
    """Let the reader choose, in the address; there is no choice where the browser's zone is UTC itself."""
    theirs = _browsers()
    if theirs is UTC:
        st.caption("Times are UTC.")
        return
    st.segmented_control(
        "Times",
        [_THEIRS, OURS],
        default=_THEIRS,
        key=KEY,
        bind="query-params",
        required=True,
        width="stretch",
        format_func=lambda one: OURS if one == OURS else zone_of(datetime.now(theirs)),
        help="Command lines, queries, files and mail of the relay say UTC.",
    )


def _browsers() -> tzinfo:
    """UTC too where the browser names no zone, or one that this machine does not know."""
    name = st.context.timezone
    if not name or name in _UTC:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
