"""What a person can do about several cases at once, about a text, and about an alarm; and notes. See actions.py."""

import streamlit as st

from dashboard import data
from dashboard.acting import Wanted, attempt
from dashboard.actions_desk import close, do_it, finish
from dashboard.components.words import code, count, plain
from relay.cases.views import AlarmOrder, NewNote
from relay.control.views import ConfirmOrder, Freed, ReleaseOrder

_SILENCES = {
    "not silent: only until it is raised again": None,
    "24 hours": 1440.0,
    "7 days": 10_080.0,
    "30 days": 43_200.0,
}
_NAMED = 8


@st.dialog("Confirm these: abuse", icon=":material/gavel:", on_dismiss=close)
def confirm(wanted: Wanted) -> None:
    """`more`: ids of decisions."""
    _named(wanted.more)
    st.markdown(
        f"- **{count(len(wanted.more))}** senders stay stopped until a person releases them; nothing is deleted.\n"
        "- They leave the list of what needs you, and the model learns from their messages.\n" + _signed()
    )
    note = st.text_input("Note for the audit log", placeholder="What did you find? (optional)", key="confirm_note")
    if do_it("Confirm all", "gavel"):
        done = [attempt(lambda relay, one=one: relay.confirm(one, ConfirmOrder(note=note))) for one in wanted.more]  # type: ignore[misc]
        if all(one is not None for one in done):
            finish(f"Confirmed: {count(len(done))} senders stay stopped.")


@st.dialog("Release these: not spam", icon=":material/lock_open:", on_dismiss=close)
def release(wanted: Wanted) -> None:
    """`more`: ids of decisions."""
    previews = [_freed(one, ReleaseOrder(verdict="not_spam", dry_run=True)) for one in wanted.more]
    if any(one is None for one in previews):
        return
    _named(wanted.more)
    st.markdown(
        f"- **{count(sum(one.messages for one in previews if one))}** parked messages go to delivery at the pace of "
        "their senders' limits.\n- The senders may send again at once; what was counted against them is forgotten, and "
        "the model learns that it is no spam.\n" + _signed()
    )
    note = st.text_input("Note for the audit log", placeholder="Why is it not spam? (optional)", key="release_note")
    if do_it("Release all", "lock_open"):
        done = [_freed(one, ReleaseOrder(verdict="not_spam", note=note)) for one in wanted.more]
        if all(one is not None for one in done):
            finish(f"Released: {count(sum(one.messages for one in done if one))} messages on their way.")


@st.dialog("Release these texts: not spam", icon=":material/lock_open:", on_dismiss=close)
def release_texts(wanted: Wanted) -> None:
    """`more`: clusters of parked mail."""
    orders = [ReleaseOrder(verdict="not_spam", cluster=one, dry_run=True) for one in wanted.more]
    previews = [attempt(lambda relay, order=order: relay.release_held(order)) for order in orders]  # type: ignore[misc]
    if any(one is None for one in previews):
        return
    st.markdown(
        f"- **{count(sum(one.messages for one in previews if one))}** parked messages with these texts go to delivery, "
        "whoever sent them, at the pace of their limits.\n"
        "- Their senders stay stopped; the model learns that the texts are no spam.\n" + _signed()
    )
    note = st.text_input("Note for the audit log", placeholder="Why is it not spam? (optional)", key="release_note")
    if do_it("Release them", "lock_open"):
        final = [ReleaseOrder(verdict="not_spam", cluster=one, note=note) for one in wanted.more]
        done = [attempt(lambda relay, order=order: relay.release_held(order)) for order in final]  # type: ignore[misc]
        if all(one is not None for one in done):
            finish(f"Released: {count(sum(one.messages for one in done if one))} messages on their way.")


@st.dialog("Note about this sender", icon=":material/edit_note:", on_dismiss=close)
def note(wanted: Wanted) -> None:
    st.markdown(code(wanted.sender))
    text = st.text_area("Note", key="note_text", placeholder="For the desk; customers never see it.", max_chars=2000)
    if not do_it("Write it down", "edit_note", is_ready=bool(text.strip())):
        return
    if attempt(lambda relay: relay.add_note(wanted.sender, NewNote(text=text))) is not None:
        finish("Noted.")


@st.dialog("Answer this alarm", icon=":material/notifications_paused:", on_dismiss=close)
def alarm(wanted: Wanted) -> None:
    """`target`: the condition; `more`: account and subject."""
    account, subject = wanted.more
    about = " · ".join(plain(part) for part in (account, subject) if part)
    st.markdown(f"**{plain(wanted.target.replace('_', ' '))}** {f':gray[{about}]' if about else ''}")
    lasts = st.selectbox("Silent for", list(_SILENCES), key="alarm_for")
    minutes = _SILENCES[lasts]
    why = st.text_input("Because", key="alarm_why", placeholder="Who does what about it? (optional)")
    st.markdown(
        ("- It counts for nothing until then, however often it is raised.\n" if minutes else
         "- It leaves the list, and comes back when it is raised again.\n")
        + "- Webhooks go on; what it is about is not mended by this.\n" + _signed()
    )  # fmt: skip
    if do_it("Silence" if minutes else "Acknowledge", "notifications_paused"):
        order = AlarmOrder(condition=wanted.target, account=account, subject=subject, why=why, minutes=minutes)
        done = attempt(lambda relay: relay.silence_alarm(order) if minutes else relay.acknowledge_alarm(order))
        if done is not None:
            finish("Silenced." if minutes else "Acknowledged.")


def _freed(decision_id: str, order: ReleaseOrder) -> Freed | None:
    return attempt(lambda relay: relay.release_decision(decision_id, order))


def _named(ids: tuple[str, ...]) -> None:
    rest = f" and {count(len(ids) - _NAMED)} more" if len(ids) > _NAMED else ""
    st.markdown(" ".join(code(one) for one in ids[:_NAMED]) + rest)


def _signed() -> str:
    return f"- The audit log keeps it under `{data.reader().principal.id}`."
