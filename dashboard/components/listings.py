"""What DNS lists and SNDS say of our addresses, as frames for a page. Pure: readings in, rows out."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pandas as pd

from dashboard.components.words import ago, plain
from dashboard.data import instant
from dashboard.theme import Look, look

_BAD = ("refused", "parked", "unknown")  # a list that cannot be believed says nothing good either


def state_of(status: Any, confirmed: Any) -> str:
    """listed counts when it was seen twice; what does not is told apart.

    >>> state_of("listed", False), state_of("listed", True), state_of(None, None)
    ('seen once', 'listed', 'unknown')
    """
    if status == "listed":
        return "listed" if confirmed is True or confirmed == 1 else "seen once"
    return str(status) if isinstance(status, str) and status else "unknown"


def matrix(listings: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """One row an address and list: address, zone, state, label, below, answer; of addresses only."""
    rows = []
    of_ips = listings[listings["entity_kind"] == "ip"]
    for row in of_ips.sort_values(["address", "zone"]).itertuples():
        state = state_of(row.status, row.confirmed)
        since = instant(row.since_at)
        rows.append(
            {
                "address": str(row.address),
                "zone": str(row.zone),
                "state": state,
                "label": look(state).word,
                "below": "" if since is None else ago(since, now).replace(" ago", ""),
                "answer": str(row.answer or ""),
            }
        )
    return pd.DataFrame(rows, columns=["address", "zone", "state", "label", "below", "answer"])


def unhealthy(listings: pd.DataFrame) -> list[str]:
    """Lists that serve us no answers to rely on, in words."""
    lists = listings[listings["entity_kind"] == "list"]
    return [
        f"{plain(str(row.zone))} ({look(row.status).word.lower()})"
        for row in lists.itertuples()
        if str(row.status) in _BAD
    ]


def worst(states: Iterable[str]) -> Look:
    """The one word for an address: listed before seen once before clean; nothing known is unknown."""
    found = set(states)
    return look(next((state for state in ("listed", "seen once", "clean") if state in found), "unknown"))


def colour(result: Any) -> Look:
    """SNDS' filter result: the share of an address's mail that Microsoft's filter took for spam.

    >>> colour("YELLOW").word, colour(None).word
    ('Yellow: 10 to 90 % spam', 'Unknown')
    """
    match str(result or "").upper():
        case "GREEN":
            return Look("Green: under 10 % spam", "check_circle", "green")
        case "YELLOW":
            return Look("Yellow: 10 to 90 % spam", "warning", "orange")
        case "RED":
            return Look("Red: over 90 % spam", "report", "red")
        case _:
            return look(None)
