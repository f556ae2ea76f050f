"""What a case rests on, below its card: sample messages, volume, logins, the same text elsewhere, one trace, notes."""

from datetime import timedelta
from typing import Any

import streamlit as st

from dashboard import actions, data, zone
from dashboard.acting import attempt
from dashboard.actions import Kind
from dashboard.charts import of_senders
from dashboard.components import messages, notices, places
from dashboard.components.table import Column, table
from dashboard.components.table import Kind as Cell
from dashboard.components.words import code, count, plain, sender_parts, short, when
from dashboard.data import Reading, Window
from dashboard.theme import palette
from relay.control.views import DecisionView
from relay.holds.views import HeldView
from relay.notices.texts import redacted
from relay.tree import Role

SAMPLES = 5
HOURS = Window("3d", timedelta(days=3), 3600, "the last 3 days")  # what a case needs; the days before are the usual
_SLOW = data.SLOW_FRESH_SECONDS
_FIGURES = [
    Column("messages", "Messages", Cell.COUNT),
    Column("held", "Held", Cell.COUNT),
    Column("refused", "Refused", Cell.COUNT),
    Column("mean_score", "Mean score", Cell.SCORE),
    Column("last_at", "Last", Cell.INSTANT),
]
LOGINS = [
    Column("network", "Network"),
    Column("country", "Country", width="small", help="As the files of places.files know it"),
    Column("system", "AS", width="small", help="Autonomous system: whose network it is"),
    Column("addresses", "Addresses", Cell.COUNT),
    Column("logins", "Logins", width="medium"),
    Column("first_at", "First", Cell.INSTANT),
    *_FIGURES,
]
_PERHAPS = ("country", "system")  # left out where no file knows places
SCRIPTS = [Column("script", "Script", width="large"), *_FIGURES]
SUBJECTS = [
    Column("subject", "Subject", width="large", help="# stands for any number"),
    Column("subjects", "Variants", Cell.COUNT),
    *_FIGURES,
]
_ELSEWHERE = [
    Column("value", "Sender", width="large"),
    Column("account", "Account"),
    Column("messages", "Messages", Cell.COUNT),
    Column("held", "Held", Cell.COUNT),
    Column("mean_score", "Mean score", Cell.SCORE),
    Column("shown", "Its subject", width="medium"),
    Column("last_at", "Last", Cell.INSTANT),
]


def evidence(decision: DecisionView) -> None:
    """Everything below the card of one decision."""
    parked = data.held(decision.sender)
    left, right = st.columns(2, gap="medium")
    with left:
        samples(parked, decision)
    with right:
        volume(decision.sender, decision)
        notes(decision.sender)
    fingerprint = next((one.fingerprint for one in parked.value if one.fingerprint), "")
    elsewhere, logins, trace = st.tabs(["Same text elsewhere", "Logins", "Trace of one message"])
    with elsewhere:
        same_text(decision.sender, fingerprint)
    with logins:
        listing("sender_logins", decision.sender, LOGINS, "Nobody has logged in for it in 7 days.")
    with trace:
        _trace(decision, parked)


def samples(parked: Reading[list[HeldView]], decision: DecisionView) -> None:
    """Five parked messages, redacted; their words only when somebody asks, which is audited."""
    st.markdown(
        f"**Sample messages** :gray[:small[{min(SAMPLES, len(parked.value))} of {count(decision.held)} parked]]"
    )
    if not parked.value:
        words = "None of its mail is parked." if parked.is_fresh else "The relay does not say what is parked."
        st.caption(words)
        return
    for message in spread(parked.value):
        with st.container(border=True, gap="xxsmall"):
            _sample(message)


def _sample(message: HeldView) -> None:
    score = "" if message.score is None else f" · score **{message.score:.2f}**"
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{plain(redacted(message.subject) or '(no subject)')}**", width="stretch")
        if data.reader().may(Role.ABUSE):
            is_open = st.toggle("Text", key=f"reveal-{message.message_id}", help="That you look is audited.")
        else:
            is_open = False
    to = f"{count(len(message.recipients))} recipient{'' if len(message.recipients) == 1 else 's'}"
    domains = ", ".join(sorted({one.rpartition("@")[2] for one in message.recipients})[:3])
    st.caption(f"{when(message.received_at, data.now())} · to {to} at {plain(domains)}{score}")
    if is_open:
        _text(message)


def _text(message: HeldView) -> None:
    """Asked once for this reader: each asking is a row of the audit log."""
    shown = st.session_state.setdefault("revealed", {})
    if message.message_id not in shown:
        found = attempt(lambda relay: relay.held_message(message.message_id, with_text=True))
        if found is None:
            return
        shown[message.message_id] = (found.headers, found.text)
    headers, text = shown[message.message_id]
    st.caption(f"From {plain(message.mail_from or '<>')} to {plain(', '.join(message.recipients[:5]))}")
    st.code(text or "(no text part)", language=None, wrap_lines=True, height=220)
    with st.expander("Headers"):
        st.code("\n".join(headers), language=None, wrap_lines=True)


def volume(sender: str, decision: DecisionView | None) -> None:
    """Recipients an hour against what is usual."""
    hours = data.query("sender_hours", HOURS, sender=sender, fresh_seconds=_SLOW)
    places.chart_title(
        "Volume", f"recipients an hour, root scale, {zone.name()}; grey: usual at that hour, 5–95 % of 28 days before"
    )
    if hours.value.empty:
        st.caption("No mail of it is counted yet.")
        return
    since = decision.starts_at if decision else None
    with notices.aged(f"volume-{'case' if decision else 'sender'}", hours):
        drawn = of_senders.volume(hours.value, data.now(), palette(), since)
        st.altair_chart(drawn, key="volume", alt="Recipients an hour against the usual band")
        if hours.value["high"].isna().all():
            st.caption("What is usual is not known yet: that takes some days.")


def same_text(sender: str, fingerprint: str) -> None:
    """Who else sent nearly this text."""
    if len(fingerprint) < 49:
        st.caption("No parked message of it has a text long enough to compare.")
        return
    found = data.query("same_text", fingerprint=fingerprint, fresh_seconds=_SLOW)
    frame = found.value[found.value["sender"] != sender]
    if frame.empty:
        st.caption("Nobody else sent this text in 7 days." if found.as_of else "Analytics does not answer.")
        return
    frame = frame.assign(
        value=[sender_parts(str(one))[2] for one in frame["sender"]],
        shown=[redacted(str(one or "")) for one in frame["subject"]],
    )
    if chosen := table(frame, _ELSEWHERE, key="same_text", ids="sender"):
        places.go_to_sender(chosen)


def listing(query: str, sender: str, columns: list[Column], nothing: str) -> None:
    """A named query about a sender as a table."""
    found = data.query(query, sender=sender, fresh_seconds=_SLOW)
    if found.value.empty:
        st.caption(nothing if found.as_of else "Analytics does not answer.")
        return
    known = [one for one in columns if one.name not in _PERHAPS or found.value[one.name].fillna("").ne("").any()]
    with notices.aged(query, found):
        table(found.value, known, key=query)


def notes(sender: str) -> None:
    """What the desk wrote about it."""
    if not data.reader().may(Role.ABUSE):
        return
    known = data.notes(sender)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**Notes** :gray[:small[{count(len(known.value))}]]", width="content")
        st.button(
            "Write a note",
            key="note-add",
            icon=":material/edit_note:",
            type="tertiary",
            on_click=actions.request,
            args=(Kind.NOTE, sender, sender),
        )
    for note in known.value[:6]:
        st.markdown(f"{plain(note.text)} :gray[:small[{plain(note.author)}, {when(note.noted_at, data.now())}]]")


def _trace(decision: DecisionView, parked: Reading[list[HeldView]]) -> None:
    """The message that decided, or else the last that is parked, step by step."""
    named = decision.evidence.get("messages")
    ids = [str(one) for one in named] if isinstance(named, list) else []
    ids += [one.message_id for one in parked.value[:1]]
    if not ids:
        st.caption("No single message decided this.")
        return
    found: dict[str, Any] = data.row(data.query("message", message_id=ids[-1] if not named else ids[0]))
    if not found:
        st.caption(f"Analytics does not know message {plain(ids[0])} (yet).")
        return
    st.markdown(f"{plain(short(redacted(str(found.get('subject') or '')), 60))} {code(str(found.get('message_id')))}")
    messages.trace(found)


def spread(parked: list[HeldView]) -> list[HeldView]:
    """Five that differ: of each text one, then the newest others."""
    seen: dict[str, HeldView] = {}
    for message in parked:
        seen.setdefault(message.cluster or message.subject, message)
    first = list(seen.values())[:SAMPLES]
    rest = [one for one in parked if one not in first]
    return (first + rest)[:SAMPLES]
