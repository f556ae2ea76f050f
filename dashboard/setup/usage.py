"""Usage: what a month's mail came to, by reseller and account, to look at and to take along."""

from datetime import UTC, datetime
from typing import cast

import pandas as pd
import streamlit as st

from analytics.serving.ask import MAX_ROWS
from analytics.usage.months import months_until
from analytics.usage.query import COUNTS
from analytics.usage.sheet import csv_of
from dashboard import data
from dashboard.components import notices
from dashboard.components.table import Column, Kind, table
from dashboard.components.words import count
from dashboard.setup import asked

_MONTHS = 12
_TITLES = {"throttled": "Put off", "rejected": "Refused"}
_COUNTS = [Column(name, _TITLES.get(name, name.capitalize()), Kind.COUNT) for name in COUNTS]
_COLUMNS = [Column("reseller", "Reseller"), Column("account", "Account"), Column("begins", "From"), *_COUNTS]


def show(now: datetime) -> None:
    """The month, whose, and by what; then its numbers, their sum, and the sheet for the books."""
    month, by, reseller = _chosen(now)
    usage = data.query("usage", fresh_seconds=data.SLOW_FRESH_SECONDS, month=month, by=by, reseller=reseller)
    notices.troubles(now, analytics=[usage], relay=[])
    if usage.value.empty:
        if usage.is_fresh:
            notices.empty("No mail in this month, as far back as the warehouse keeps messages.", icon="receipt_long")
        return
    shown = usage.value.assign(begins=pd.to_datetime(usage.value["begins_at"]).dt.strftime("%Y-%m-%d"))
    with notices.aged("usage", usage):
        sums = {name: int(shown[name].sum()) for name in COUNTS}
        st.markdown(
            f"**{count(sums['messages'])}** messages to **{count(sums['recipients'])}** recipients, "
            f"{sums['bytes'] / 1e6:,.1f} MB; {count(sums['delivered'])} delivered, {count(sums['bounced'])} bounced"
        )
        table(shown, _COLUMNS, key="usage", name=f"usage-{month}-shown")
    if len(shown) >= MAX_ROWS:
        st.warning("There are more rows than these: choose one reseller, or a row for each month.")
        return
    st.download_button(
        "Download the whole report (CSV)",
        csv_of(cast("list[dict[str, object]]", shown.to_dict("records"))),
        file_name=f"usage-{month}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    st.caption(
        "Each thing counts on the day it happened (UTC). Mail to the sandbox and the relay's own reports count for "
        "nobody. The same for programs: `GET /v1/usage` of the query API."
    )


def _chosen(now: datetime) -> tuple[str, str, str]:
    resellers = ["", *sorted(one.name for one in asked.resellers().value)]
    with st.container(horizontal=True):
        month = st.selectbox(
            "Month (UTC)", months_until(now.astimezone(UTC), _MONTHS), key="usage_month", bind="query-params"
        )
        by = st.selectbox("A row for each", ["month", "day"], key="usage_by", bind="query-params")
        reseller = ""
        if len(resellers) > 2:  # who sees one has nothing to choose
            reseller = st.selectbox("Reseller", resellers, format_func=lambda one: one or "all", key="usage_reseller")
    return month, by, reseller or ""
