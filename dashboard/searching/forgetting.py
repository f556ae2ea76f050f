"""Forget a person, from the page Data: first what would become of each trace, then it is done, once and for all."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.components.orders import Order, Reach, attempt, do_it, finish, offer
from dashboard.components.table import Column, Kind, table
from dashboard.components.words import code, count, plain
from relay.control.client import ControlClient, base_url
from relay.privacy.views import ForgetOrder, Forgot, Trace
from relay.tree import Role

_SECONDS = 600.0  # it looks through everything: seconds a million messages
_KNOWN = "forget_known"  # what was found for the address and the choice in the dialog, so that it is sought once
_WOULD = {"replaced": "would be replaced", "deleted": "would be deleted"}
_COLUMNS = [
    Column("store", "Where"),
    Column("what", "What"),
    Column("found", "Found", Kind.COUNT),
    Column("fate", "What becomes of it"),
    Column("why", "Because", width="large"),
]


def show() -> None:
    """The button, for whoever may."""
    offer("Forget a person", _FORGET, key="forget", role=Role.ADMIN, reach=Reach.WHOLE)


def _ask(_target: str) -> None:
    st.markdown(
        "A keyed name takes the place of an address wherever it is past; mails and reports as they came that have it "
        "are deleted. What is in force stays, and is named. Backups and exported files are not looked into."
    )
    address = st.text_input("Address", placeholder="ann@example.org", key="forget_address").strip()
    gets_mail = st.toggle("Take it off the suppression list too: it may get mail again", key="forget_suppression")
    found = _found(address, gets_mail) if address else None
    if found is not None:
        _traces(found.traces)
    again = st.text_input("Write it once more: it cannot be undone", key="forget_again").strip()
    if do_it("Forget", "person_remove", is_ready=found is not None and again == address):
        with st.spinner("Forgetting"):
            done = attempt(lambda _relay: _forgotten(address, gets_mail, dry_run=False))
        st.session_state.pop(_KNOWN, None)
        kept = sum(one.count for one in done.traces if one.fate == "kept") if done else 0
        rest = f" {count(kept)} that are in force stay, as the list said." if kept else ""
        finish(done, f"{code(address)} is forgotten.{rest}", ("In its place stands", done.token if done else ""))


def _found(address: str, gets_mail: bool) -> Forgot | None:
    known: tuple[tuple[str, bool], Forgot] | None = st.session_state.get(_KNOWN)
    if known is not None and known[0] == (address, gets_mail):
        return known[1]
    with st.spinner("Looking through everything"):
        found = attempt(lambda _relay: _forgotten(address, gets_mail, dry_run=True))
    if found is not None:
        st.session_state[_KNOWN] = ((address, gets_mail), found)
    return found


def _forgotten(address: str, gets_mail: bool, *, dry_run: bool) -> Forgot:
    """The relay's part, then that of analytics; given twice it does nothing twice."""
    chosen, token = data.settings(), data.reader().token
    order = ForgetOrder(address=address, suppression=gets_mail, dry_run=dry_run)
    with ControlClient(base_url(chosen.control.listen), token, timeout_seconds=_SECONDS) as relay:
        found = relay.forget(order)
    with data.new_analytics_client(timeout_seconds=_SECONDS) as analytics:
        traces = analytics.privacy("forgotten", address=address, token=found.token, dry_run=dry_run)
    return Forgot(token=found.token, traces=[*found.traces, *traces], dry_run=dry_run)


def _traces(traces: Sequence[Trace]) -> None:
    if not traces:
        st.markdown("**Nothing is known of this address.**")
        return
    rows = [
        {
            "store": one.store,
            "what": one.what,
            "found": one.count,
            "fate": _WOULD.get(one.fate, one.fate),
            "why": plain(one.why),
        }
        for one in traces
    ]
    table(pd.DataFrame(rows), _COLUMNS, key="traces", name="traces")


_FORGET = Order("Forget a person", "person_remove", _ask)
