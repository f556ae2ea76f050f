"""System: do all parts run, are they on time, what is waiting, and who did what."""

from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

import relay
from dashboard import data
from dashboard.components import listings as said
from dashboard.components import notices, orders, places
from dashboard.components.tiles import facts
from dashboard.components.words import ago, count, label_of, plain, seconds, short, when
from dashboard.data import Reading
from dashboard.engine import audit, health, jobs
from dashboard.theme import look

_BEHIND = 5  # closed journal files not read yet: at one a second, analytics is some seconds late


@st.fragment(run_every=2)
def _live() -> None:
    now = data.now()
    status, queue = data.relay_status(), data.relay_queue()
    ingest, runs = data.query("ingest"), data.query("jobs")
    places.header("System", now)
    notices.troubles(now, analytics=[ingest, runs], relay=[status, queue])
    for show in (_relay_card, _analytics_card, _dashboard_card):
        show(status, ingest, now)
    with notices.aged("jobs", runs):
        _job_table(runs, now)
    with notices.aged("queue", queue):
        _queue(queue, now)


def _relay_card(status: Reading[dict[str, Any]], _ingest: Reading[pd.DataFrame], now: datetime) -> None:
    known = status.value
    spool, content = known.get("spool") or {}, known.get("content") or {}
    oldest = data.instant(spool.get("oldest_received_at"))
    _process(
        "Relay",
        "what happens to this message, now?",
        _state(status),
        [
            ("Node", str(known.get("node", "–"))),
            ("Version", str(known.get("version", "–"))),
            ("Running since", when(data.instant(known.get("started_at")), now)),
            ("Listening", ", ".join(known.get("smtp") or []) or "–"),
            ("Sessions", count(known.get("sessions"))),
            ("In the spool", f"{count(spool.get('messages'))} messages, {count(spool.get('held'))} parked"),
            ("Oldest", ago(oldest, now) if oldest else "empty"),
            (
                "Content workers",
                f"{count(content.get('workers'))}, {count(content.get('restarts'))} restarts",
            ),
            ("Model", str(known.get("model", "–"))),
        ]
        if known
        else [],
        status,
    )


def _analytics_card(_status: Reading[dict[str, Any]], ingest: Reading[pd.DataFrame], now: datetime) -> None:
    known = data.row(ingest)
    behind = known.get("behind_files") or 0
    state = "behind" if behind > _BEHIND and ingest.is_fresh else _state(ingest)
    _process(
        "Analytics",
        "what does all of it mean?",
        state,
        [
            ("Journal backlog", f"{count(behind)} file{'' if behind == 1 else 's'}"),
            ("Last ingested", ago(data.instant(known.get("last_at")), now)),
            ("Files read", count(known.get("files"))),
            ("Records", count(known.get("rows"))),
            ("Corrupt files", count(known.get("corrupt_files"))),
        ]
        if known
        else [],
        ingest,
    )


def _dashboard_card(status: Reading[dict[str, Any]], _ingest: Reading[pd.DataFrame], now: datetime) -> None:
    chosen = data.settings()
    relay_version = status.value.get("version")
    rows = [
        ("Version", relay.__version__),
        ("Data folder", str(chosen.dir)),
        ("Control API", chosen.control.listen),
        ("Query API", chosen.analytics.listen),
        ("Hold line", f"{data.policy().hold_score:g}"),
        ("Delivery", chosen.delivery.mode),
    ]
    _process("Dashboard", "what does a person see and decide?", "up", rows, None)
    if relay_version and relay_version != relay.__version__:
        st.warning(
            f"The relay runs version {plain(str(relay_version))}: restart the dashboard or the relay.",
            icon=":material/difference:",
        )


def _process(name: str, question: str, state: str, rows: list[tuple[str, str]], reading: Reading[Any] | None) -> None:
    with st.container(border=True):
        st.markdown(f"**{name}** {look(state).badge} :gray[{question}]")
        if not rows:
            st.caption("It has not answered yet.")
            return
        with notices.aged(f"process-{name}", *([reading] if reading else [])):
            facts([(plain(label), plain(value)) for label, value in rows])


def _job_table(runs: Reading[pd.DataFrame], now: datetime) -> None:
    st.subheader("Jobs of analytics", anchor=False)
    if runs.value.empty:
        st.caption("No job has run yet." if runs.is_fresh else "Analytics does not answer.")
        return
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "job": label_of(str(row.job)),
                    "status": look(row.last_status).word,
                    "last": ago(data.instant(row.last_started_at), now),
                    "took": seconds(row.last_seconds),
                    "next": _next(data.instant(row.next_run_at), now),
                    "failures": int(row.failures or 0),
                    "error": _text(row.last_error),
                }
                for row in runs.value.itertuples()
            ]
        ),
        hide_index=True,
        column_config={
            "job": "Job",
            "status": "Last status",
            "last": "Last run",
            "took": "Took",
            "next": "Next run",
            "failures": st.column_config.NumberColumn("Failures in a row", format="localized"),
            "error": st.column_config.TextColumn("Error", width="large"),
        },
    )


def _queue(queue: Reading[dict[str, Any]], now: datetime) -> None:
    st.subheader("Queue by destination", anchor=False)
    rows = _destinations(queue.value)
    if not rows:
        st.caption(
            "The queue is empty: everything accepted was delivered."
            if queue.as_of
            else "The relay has not answered yet."
        )
        return
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "destination": st.column_config.TextColumn("Destination", width="medium"),
            "waiting": st.column_config.NumberColumn("Waiting", format="localized"),
            "held": st.column_config.NumberColumn("Parked", format="localized"),
            "active": st.column_config.NumberColumn("Being sent", format="localized"),
            "delivered": st.column_config.NumberColumn("Delivered", format="localized", help="since the relay started"),
            "deferred": st.column_config.NumberColumn("Deferred", format="localized"),
            "bounced": st.column_config.NumberColumn("Bounced", format="localized"),
        },
    )


def _destinations(queue: dict[str, Any]) -> list[dict[str, Any]]:
    """Spool and courier each know a part of a destination; here they meet."""
    rows: dict[str, dict[str, Any]] = {}
    for part, names in (
        ("destinations", ("waiting", "held")),
        ("delivery", ("active", "delivered", "deferred", "bounced")),
    ):
        for item in queue.get(part) or []:
            name = str(item.get("destination", ""))
            row = rows.setdefault(
                name,
                {
                    "destination": name,
                    **dict.fromkeys(("waiting", "held", "active", "delivered", "deferred", "bounced"), 0),
                },
            )
            row.update({key: item.get(key, 0) for key in names})
    return sorted(rows.values(), key=lambda row: (-row["waiting"], -row["held"], -row["delivered"]))


@st.fragment(run_every=5)
def _slow() -> None:
    now = data.now()
    left, right = st.columns(2)
    with left:
        listings = data.query("listings", fresh_seconds=data.SLOW_FRESH_SECONDS)
        with notices.aged("listings", listings):
            _listings(listings, now)
    with right:
        corrupt = data.query("corrupt", fresh_seconds=data.SLOW_FRESH_SECONDS)
        with notices.aged("corrupt", corrupt):
            _corrupt(corrupt, now)


def _listings(listings: Reading[pd.DataFrame], now: datetime) -> None:
    st.subheader("DNS lists", anchor=False)
    if listings.value.empty:
        if data.settings().dnsbl.zones or data.settings().dnsbl.domain_zones:
            st.caption("Not asked yet.")
        else:
            notices.empty(
                "No DNS list is asked. Name lists and your addresses in mailweir.toml:",
                command='[dnsbl]\nzones = ["list.example"]\naddresses = ["192.0.2.1"]',
            )
        return
    for row in said.matrix(listings.value, now).itertuples():
        st.markdown(f"{look(row.state).badge} {plain(row.address)} on {plain(row.zone)} :gray[{plain(row.answer)}]")
    if bad := said.unhealthy(listings.value):
        st.caption(f"Not to be relied on now: {', '.join(bad)}.")
    places.page_link("views/ips.py", "Addresses and lists", "lan")


def _corrupt(corrupt: Reading[pd.DataFrame], now: datetime) -> None:
    st.subheader("Corrupt journal files", anchor=False)
    if corrupt.value.empty:
        if corrupt.as_of is None:
            st.markdown(":gray-badge[:material/help: Unknown]")
        else:
            st.markdown(
                ":green-badge[:material/check_circle: None] "
                ":gray[What cannot be read is set aside, the rest is counted.]"
            )
        return
    for row in corrupt.value.itertuples():
        st.markdown(
            f":orange-badge[:material/broken_image: Set aside] `{short(_text(row.file), 60)}` "
            f":gray[{ago(data.instant(row.set_aside_at), now)}]  \n{plain(_text(row.reason))}"
        )


def _state(reading: Reading[Any]) -> str:
    return "down" if reading.is_down else "error" if reading.trouble else "up"


def _next(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "–"
    left = (at - now).total_seconds()
    return f"in {seconds(left)}" if left > 0 else "now"


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)


def _page() -> None:
    if not data.reader().sees_everything:
        places.header("System", data.now(), live=False)
        audit.show(data.now())
        return
    _live()
    jobs.show()
    _slow()
    audit.show(data.now())
    health.show()
    orders.open_dialog()


_page()
