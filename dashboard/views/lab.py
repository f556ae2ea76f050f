"""Model and policy lab: what scores and what judges, how good it is by what people said, and how to change it."""

import streamlit as st

from dashboard import data
from dashboard.components import notices, orders, places
from dashboard.lab import labels, models, policy

_PARTS = ["Model", "Labels", "Policy"]  # as they stand in the address


def _page() -> None:
    now = data.now()
    places.header("Model and policy", now, live=False)
    if not data.reader().sees_everything:
        notices.empty("One model and one policy judge all mail here; they are shown to those who see all of it.")
        return
    part = st.segmented_control(
        "Part",
        _PARTS,
        default="Model",
        required=True,
        key="part",
        bind="query-params",
        label_visibility="collapsed",
    )
    match part:
        case "Labels":
            labels.show(now)
        case "Policy":
            policy.show(now)
        case _:
            models.show(now)
    orders.open_dialog()


_page()
