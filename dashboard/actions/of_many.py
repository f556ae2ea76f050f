"""What a person can do about several cases at once, about a text, and about an alarm; and notes."""

from collections.abc import Sequence

import streamlit as st

from dashboard import data
from dashboard.acting import Wanted, attempt, attempt_each
from dashboard.actions.desk import close, do_it, finish
from dashboard.components.table import clear
from dashboard.components.words import code, count, plain
from relay.cases.views import AlarmOrder, NewNote
from relay.control.client import ControlClient
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
        done, refused = attempt_each(wanted.more, lambda relay, one: relay.confirm(one, ConfirmOrder(note=note)))
        whose = "1 sender stays" if len(done) == 1 else f"{count(len(done))} senders stay"
        _finish(f"Confirmed: {whose} stopped.{refused}")


@st.dialog("Release these: not spam", icon=":material/lock_open:", on_dismiss=close)
def release(wanted: Wanted) -> None:
    """`more`: ids of decisions."""
    order = ReleaseOrder(verdict="not_spam", dry_run=True)
    previews, refused = attempt_each(wanted.more, lambda relay, one: relay.release_decision(one, order))
    _named(wanted.more)
    st.markdown(
        f"- **{count(sum(one.messages for one in previews))}** parked messages go to delivery at the pace of "
        "their senders' limits.\n- The senders may send again at once; what was counted against them is forgotten, and "
        "the model learns that it is no spam.\n" + _signed() + (f"\n-{refused}" if refused else "")
    )
    note = st.text_input("Note for the audit log", placeholder="Why is it not spam? (optional)", key="release_note")
    if do_it("Release all", "lock_open", is_ready=bool(previews)):
        final = ReleaseOrder(verdict="not_spam", note=note)
        _told(*attempt_each(wanted.more, lambda relay, one: relay.release_decision(one, final)))


@st.dialog("Release these texts: not spam", icon=":material/lock_open:", on_dismiss=close)
def release_texts(wanted: Wanted) -> None:
    """`more`: clusters of parked mail."""

    def freed(relay: ControlClient, cluster: str, *, note: str = "", dry_run: bool = False) -> Freed:
        order = ReleaseOrder(verdict="not_spam", cluster=cluster, note=note, dry_run=dry_run)
        return relay.release_held(order)

    previews, refused = attempt_each(wanted.more, lambda relay, one: freed(relay, one, dry_run=True))
    st.markdown(
        f"- **{count(sum(one.messages for one in previews))}** parked messages with these texts go to delivery, "
        "whoever sent them, at the pace of their limits.\n"
        "- Their senders stay stopped; the model learns that the texts are no spam.\n"
        + _signed()
        + (f"\n-{refused}" if refused else "")
    )
    note = st.text_input("Note for the audit log", placeholder="Why is it not spam? (optional)", key="release_note")
    if do_it("Release them", "lock_open", is_ready=bool(previews)):
        _told(*attempt_each(wanted.more, lambda relay, one: freed(relay, one, note=note)))


@st.dialog("Release by score: not spam", icon=":material/lock_open:", on_dismiss=close)
def release_scores(_wanted: Wanted) -> None:
    """All that is parked within a range of scores, whoever sent it."""
    left, right = st.columns(2)
    low = left.number_input("Score from", 0.0, 1.0, 0.0, 0.05, format="%.4f", key="score_from")
    high = right.number_input("Score to", 0.0, 1.0, 0.5, 0.05, format="%.4f", key="score_to")
    note = st.text_input("Note for the audit log", placeholder="Why is it not spam? (optional)", key="release_note")
    if low > high:
        st.error(f"**No score fits.** From {low:g} to {high:g}: the first must not be above the second.")
        do_it("Release them", "lock_open", is_ready=False)
        return

    def order(*, dry_run: bool) -> ReleaseOrder:
        return ReleaseOrder(verdict="not_spam", score_from=low, score_to=high, note=note, dry_run=dry_run)

    preview = attempt(lambda relay: relay.release_held(order(dry_run=True)))
    if preview is None:
        return
    st.markdown(
        f"- **{count(preview.messages)}** parked messages scored {low:g} to {high:g} go to delivery, whoever sent "
        "them, at the pace of their limits. What has no score stays.\n"
        "- Their senders stay stopped; the model learns that these are no spam.\n" + _signed()
    )
    if do_it("Release them", "lock_open", is_ready=preview.messages > 0):
        done = attempt(lambda relay: relay.release_held(order(dry_run=False)))
        if done is not None:
            _told([done], "")


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


def _told(done: Sequence[Freed], refused: str) -> None:
    cut = " More fit than one order takes: give it again." if any(one.is_cut for one in done) else ""
    _finish(f"Released: {count(sum(one.messages for one in done))} messages on their way.{cut}{refused}")


def _finish(words: str) -> None:
    """What was ticked is answered: no tick stays on what stands in its row now."""
    for key in ("cases_open", "texts"):
        clear(key)
    finish(words)


def _named(ids: tuple[str, ...]) -> None:
    rest = f" and {count(len(ids) - _NAMED)} more" if len(ids) > _NAMED else ""
    st.markdown(" ".join(code(one) for one in ids[:_NAMED]) + rest)


def _signed() -> str:
    return f"- The audit log keeps it under `{data.reader().principal.id}`."
