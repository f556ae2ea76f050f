"""A search on its way: it runs beside the page, so that one that takes long can be given up, and what is quick is there
at once."""

import contextlib
import threading
import uuid
from dataclasses import dataclass, field

import pandas as pd
import streamlit as st

from analytics.client import QueryClient, QueryError
from dashboard import data
from dashboard.data import Reading
from dashboard.searching import asking

PATIENCE_SECONDS = 2.0  # a page waits so long before it shows that something is on its way
_SECONDS = 15.0  # analytics gives up after 10
_KEY = "search_running"


@dataclass
class Searching:
    """A search and what became of it. One thread writes it, the page reads it."""

    query: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    over: threading.Event = field(default_factory=threading.Event)
    found: Reading[pd.DataFrame] | None = None
    is_given_up: bool = False


def search(query: str) -> Searching:
    """The search as far as it is; another one that this reader began is given up."""
    before = current()
    if before is not None and before.query == query and (before.is_given_up or not before.over.is_set()):
        return before
    if before is not None and not before.over.is_set():
        give_up(before)
    begun = st.session_state[_KEY] = Searching(query)
    read, client = asking.reading(query), data.new_analytics_client(timeout_seconds=_SECONDS)
    threading.Thread(target=_run, args=(begun, read, client), daemon=True).start()
    begun.over.wait(PATIENCE_SECONDS)
    return begun


def current() -> Searching | None:
    """The one this reader began last."""
    one = st.session_state.get(_KEY)
    return one if isinstance(one, Searching) else None


def give_up(one: Searching) -> None:
    """End it, without waiting for its end; nothing happens when it is over already."""
    one.is_given_up = True
    threading.Thread(target=_stop, args=(one.id, data.new_analytics_client(timeout_seconds=5)), daemon=True).start()


def forget() -> None:
    """Search again, though it was given up."""
    st.session_state.pop(_KEY, None)


def _stop(id: str, client: QueryClient) -> None:
    with client, contextlib.suppress(QueryError):  # then it ends by itself, and nobody looks at it
        client.stop(id)


def _run(one: Searching, read: asking.Read, client: QueryClient) -> None:
    try:
        with client:
            one.found = read(client, one.id)
    finally:
        one.over.set()
