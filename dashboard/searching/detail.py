"""One message in full: what happened to it in order, why, what was measured, and what can be done."""

from datetime import datetime
from typing import Any

import streamlit as st

from analytics.search.timeline import Step, rows, timeline
from dashboard import data
from dashboard.components import notices
from dashboard.components.messages import pairs, trace
from dashboard.components.places import sender_link
from dashboard.components.tiles import facts
from dashboard.components.words import code, plain, sender_parts, short, zone_of
from dashboard.searching import acts
from dashboard.theme import look

_OWN = frozenset({"trace", "reasons", "recipients", "tries", "held_events", "complaints", "hits"})
_HEADERS = (
    "subject",
    "mail_from",
    "header_from",
    "header_message_id",
    "client_ip",
    "country",
    "asn",
    "helo",
    "credential",
    "tls",
    "script",
)


def show(message_id: str) -> None:
    """The message of this id, or that nothing is known of it."""
    reading = data.query("message", message_id=message_id)
    found = data.row(reading)
    notices.troubles(data.now(), analytics=[reading], relay=[])
    if not found:
        if reading.is_fresh:
            notices.empty(
                f"Nothing is known of {code(message_id)} (any more): messages are kept for the retention time.",
                icon="search_off",
            )
        return
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(
                f"{look(found.get('status')).badge} **{plain(str(found.get('subject') or '(no subject)'))}** "
                f":gray[{plain(message_id)}]"
            )
            st.button("Close", key="message_close", type="tertiary", icon=":material/close:", on_click=_close)
        _facts(found)
        acts.buttons(found)
        story, reasons, headers, features, fields = st.tabs(["Timeline", "Why", "Headers", "Features", "All fields"])
        with story:
            _story(timeline(found))
        with reasons:
            trace(found)
        with headers:
            pairs({name: found.get(name) for name in _HEADERS}, "Nothing was kept of its headers.")
        with features:
            measured = {name[2:]: value for name, value in found.items() if name.startswith("f_")}
            pairs(measured, "It was not scored, so nothing was measured.")
        with fields:
            pairs({name: value for name, value in found.items() if not name.startswith("f_") and name not in _OWN}, "")


def _facts(found: dict[str, Any]) -> None:
    to = [str(rcpt.get("address")) for rcpt in rows(found.get("recipients"))]
    score = found.get("score")
    facts(
        [
            ("From", code(str(found.get("mail_from") or "<>"))),
            ("To", code(to[0]) + (f" and {len(to) - 1} more" if len(to) > 1 else "") if to else "nobody yet"),
            ("Account", plain(str(found.get("account")))),
            ("Verdict", f"{look(found.get('action')).word}, rule {plain(str(found.get('rule')))}"),
            ("Spam score", "not scored" if score is None else f"{score:.2f}"),
        ]
    )
    sender = str(found.get("sender") or "")
    if sender:
        sender_link(sender, label=f"Sender {plain(short(sender_parts(sender)[2], 50))}")


def _story(steps: list[Step]) -> None:
    """Each event with its instant, its state by word and icon, and the remote's own words."""
    for step in steps:
        st.markdown(f":gray[{_at(step.happened_at)}]\u2003{look(step.kind).badge} {plain(step.text)}")
        if step.details and step.kind not in ("accept", "hold", "reject", "defer"):  # the trace has a tab of its own
            st.code("\n".join(step.details), language=None, wrap_lines=True)


def _at(instant: datetime) -> str:
    here = instant.astimezone(data.now().tzinfo)
    return f"{here:%-d %b %H:%M:%S} {zone_of(here)}"


def _close() -> None:
    st.query_params.pop("message", None)
    st.session_state["message_closed"] = True
