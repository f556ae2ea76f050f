"""What servers answered, one row for each kind of answer, and the tries behind a number."""

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.components import messages, places
from dashboard.components.table import Column, Kind, table
from dashboard.components.words import plain, sender_parts, short
from dashboard.theme import look

_SHOWN, _TRIES = 50, 200
_REPLIES = [
    Column("times", "Times", Kind.COUNT, width="small"),
    Column("status", "Status", width="small"),
    Column("outcome", "Outcome", width="small"),
    Column("class", "Class"),
    Column("pattern", "Reply", width="large", help="What differs from one to the next is left out: …"),
    Column("senders", "Senders", Kind.COUNT, width="small"),
    Column("from", "From", help="The addresses of ours it was said to."),
    Column("last_at", "Last", Kind.INSTANT, format="D MMM HH:mm"),
]
_TRY_COLUMNS = [
    Column("tried_at", "Tried", Kind.INSTANT),
    Column("outcome", "Outcome", width="small"),
    Column("sender", "Sender", width="medium"),
    Column("recipient", "Recipient", width="medium"),
    Column("source", "From"),
    Column("attempt", "Try", Kind.COUNT, width="small"),
    Column("reply", "Reply", width="large"),
]


def table_of(destination: str = "", *, category: str = "", outcome: str = "", title: str = "What it answered") -> None:
    """The answers that were no success, most frequent first; a row opens its tries."""
    window = places.window()
    asked = {"destination": destination, "category": category, "outcome": outcome}
    reading = data.query("replies", window, limit=_SHOWN, fresh_seconds=data.SLOW_FRESH_SECONDS, **asked)
    st.subheader(title, anchor=False)
    if reading.value.empty:
        if reading.as_of is not None:
            st.caption(f"Nothing was put off or refused in {window.words}.")
        return
    frame = reading.value
    shown = pd.DataFrame(
        {
            "times": frame["times"],
            "status": frame["code"].astype(str) + " " + frame["enhanced"],
            "outcome": [look(one).word for one in frame["outcome"]],
            "class": frame["category"],
            "senders": frame["senders"],
            "from": [", ".join(messages.listed(one)) for one in frame["sources"]],
            "last_at": frame["last_at"],
            "pattern": frame["pattern"],
            "id": [str(number) for number in range(len(frame))],
        }
    )
    chosen = table(shown, _REPLIES, key=f"replies_{category or 'all'}", ids="id", name="replies")
    if not chosen:
        st.caption("Choose a row to see the whole reply and whom it met.")
        return
    row = frame.iloc[int(chosen)]
    st.code(f"{row['code']} {row['text']}", language=None, wrap_lines=True)
    tries(
        destination=destination,
        category=str(row["category"]),
        enhanced=str(row["enhanced"]),
        pattern=str(row["pattern"]),
        outcome="failed",
    )


def tries(**asked: str) -> None:
    """The single tries that fit, latest first; a row opens its message."""
    reading = data.query("tries", places.window(), limit=_TRIES, fresh_seconds=data.SLOW_FRESH_SECONDS, **asked)
    frame = reading.value
    if frame.empty:
        st.caption("No single try of these is known any more." if reading.as_of else "Analytics does not answer.")
        return
    shown = pd.DataFrame(
        {
            "tried_at": frame["tried_at"],
            "outcome": [look(one).word for one in frame["outcome"]],
            "sender": [short(sender_parts(str(key))[2], 40) for key in frame["sender"]],
            "recipient": frame["recipient"],
            "source": frame["source"],
            "attempt": frame["attempt"],
            "reply": [f"{code} {text}" for code, text in zip(frame["code"], frame["text"], strict=True)],
            "id": frame["message_id"],
        }
    )
    chosen = table(shown, _TRY_COLUMNS, key="tries", ids="id", name="tries")
    if len(frame) == _TRIES:
        st.caption(f"The latest {_TRIES}; choose a shorter window for others.")
    if chosen:
        found = frame[frame["message_id"] == chosen].iloc[0]
        places.sender_link(str(found["sender"]), label=f"All about {plain(short(str(found['sender']), 60))}")
        messages.panel({"message_id": chosen})
