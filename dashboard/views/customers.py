"""Customers and setup: accounts, domains, what to paste on their servers, webhooks, users, brands, usage."""

import streamlit as st

from dashboard import data
from dashboard.components import orders, places
from dashboard.setup import accounts, brands, domains, panels, usage, users, webhooks

_PARTS = ["Accounts", "Domains", "Servers", "Webhooks", "Users", "Brand", "Usage"]  # as they stand in the address


def _page() -> None:
    now = data.now()
    places.header("Customers and setup", now, live=False)
    part = st.segmented_control(
        "Part",
        _PARTS,
        default="Accounts",
        required=True,
        key="part",
        bind="query-params",
        label_visibility="collapsed",
    )
    match part:
        case "Domains":
            domains.show(now)
        case "Servers":
            panels.show()
        case "Webhooks":
            webhooks.show(now)
        case "Users":
            users.show(now)
        case "Brand":
            brands.show(now)
        case "Usage":
            usage.show(now)
        case _:
            accounts.show(now)
    orders.open_dialog()


_page()
