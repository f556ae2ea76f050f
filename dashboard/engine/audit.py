"""Who did what, and whether the log of it is whole."""

from datetime import datetime

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.components import notices
from dashboard.components.orders import Reach, attempt, may
from dashboard.components.table import Column, Kind, table
from dashboard.components.words import code, count, plain
from relay.control.audit.views import AuditEntry, AuditHead
from relay.control.client import ControlClient
from relay.tree import Role

_ROWS = 500
_MOST_PARTS = 400  # of 5,000 rows: a log of two million rows is verified here, a longer one on the command line
_ASKED = "audit_asked"
_COLUMNS = [
    Column("at", "At", Kind.INSTANT),
    Column("who", "Who"),
    Column("did", "Did"),
    Column("account", "Account"),
    Column("to", "To", width="medium"),
    Column("detail", "Detail", width="large"),
    Column("row", "Row"),
]


def show(_now: datetime) -> None:
    """The last rows, with a filter, and on demand the state of the chain."""
    st.subheader("Who did what", anchor=False)
    if not may(Role.ABUSE):
        st.caption("The audit log is shown from the role abuse on.")
        return
    entries = data.audit(_ROWS)
    if not entries.value:
        why_not = "The relay does not answer." if entries.is_down else plain(entries.trouble)
        st.caption(why_not or "Nobody did anything yet.")
        return
    with notices.aged("audit", entries):
        table(pd.DataFrame([_row(one) for one in entries.value]), _COLUMNS, key="audit", name="audit", height=320)
    if may(Role.ABUSE, Reach.WHOLE):
        st.button("Verify the chain", key="audit_verify", icon=":material/link:", on_click=_ask)
        if st.session_state.pop(_ASKED, False):
            with st.spinner("Reading the log from its first row"):
                for line in attempt(_verified) or []:
                    st.markdown(line)


def _ask() -> None:
    st.session_state[_ASKED] = True


def _row(entry: AuditEntry) -> dict[str, object]:
    return {
        "at": entry.logged_at,
        "who": entry.principal,
        "did": entry.command,
        "account": entry.account,
        "to": entry.target,
        "detail": ", ".join(f"{key} {value}" for key, value in entry.detail.items() if value not in (None, "")),
        "row": f"{entry.node}:{entry.sequence}",
    }


def _verified(relay: ControlClient) -> list[str]:
    """A line for each node; every row's digest is computed anew by the relay."""
    return [_line(relay, head) for head in relay.audit_heads()]


def _line(relay: ControlClient, head: AuditHead) -> str:
    reached, rows = AuditHead(node=head.node, sequence=0, digest=""), 0
    for _ in range(_MOST_PARTS):
        part = relay.audit_chain(reached)
        rows += part.rows
        reached = part.reached or reached
        if part.broken is not None:
            where = f"row {part.broken.sequence} of {plain(head.node)}"
            return f":red-badge[:material/link_off: Broken] {where}: {plain(part.why)}"
        if not part.has_more:
            return (
                f":green-badge[:material/link: Whole] {count(rows)} rows of {plain(head.node)}. Its head is "
                f"{code(reached.text)}: kept elsewhere, `mailweir audit verify --from-head` tells whether rows went."
            )
    return f":gray-badge[:material/help: Unknown] {count(rows)} rows of {plain(head.node)} are whole; there are more."
