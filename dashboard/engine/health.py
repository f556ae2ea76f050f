"""What the doctor says of this installation, on demand: it asks DNS and looks at files, which takes seconds."""

import os
from pathlib import Path

import streamlit as st

from analytics.doctor import Level, examine
from dashboard import data
from dashboard.components.words import plain
from dashboard.theme import Look

_ASKED = "doctor_asked"
_LOOKS = {
    Level.OK: Look("OK", "check_circle", "green"),
    Level.WARN: Look("Look at it", "warning", "orange"),
    Level.FAIL: Look("Wrong", "error", "red"),
}


def show() -> None:
    """A button, and what is found; only for readers of the whole installation."""
    if not data.reader().sees_everything:
        return
    st.subheader("Doctor", anchor=False)
    st.button("Examine this installation", key="doctor", icon=":material/stethoscope:", on_click=_ask)
    if not st.session_state.pop(_ASKED, False):
        return
    config = os.environ.get("MAILWEIR_CONFIG", "")
    with st.spinner("Looking"):
        found = sorted(examine(Path(config) if config else None), key=lambda one: -one.level)
    for one in found:
        fix = f"  \n:material/build: {plain(one.fix)}" if one.fix else ""
        st.markdown(f"{_LOOKS[one.level].badge} {plain(one.text)}{fix}")


def _ask() -> None:
    st.session_state[_ASKED] = True
