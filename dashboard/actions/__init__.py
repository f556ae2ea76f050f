"""What a person can do: each action is asked for first, shows its consequence, and is done through the control API.

A button only notes what is wanted (`request`); the dialog opens in the next whole run of the page (`open_dialog`),
outside the live fragments, which would otherwise take it away when they refresh. Roles are checked by the relay.
"""

from collections.abc import Callable
from enum import StrEnum

import streamlit as st

from dashboard import data
from dashboard.acting import Wanted, attempt
from dashboard.actions import of_many, of_senders
from dashboard.actions.desk import DESK, close, do_it, finish
from dashboard.components.words import clock, code, count, until
from dashboard.theme import look
from relay.control.client import ControlClient
from relay.control.views import ConfirmOrder, DecisionView, Freed, HoldOrder, ReleaseOrder, Stopped

_HOLD_FOR = {"1 hour": 60.0, "24 hours": 1440.0, "until somebody releases it": None}


class Kind(StrEnum):
    """The actions of this page."""

    RELEASE = "release"
    CONFIRM = "confirm"
    HOLD_SENDER = "hold_sender"
    RELEASE_SENDER = "release_sender"
    LIMIT = "limit"
    ASK = "ask"
    SUSPEND = "suspend"
    EXEMPT = "exempt"
    THROTTLE = "throttle"
    BLOCK = "block"
    NOTE = "note"
    CONFIRM_MANY = "confirm_many"
    RELEASE_MANY = "release_many"
    RELEASE_TEXTS = "release_texts"
    RELEASE_SCORES = "release_scores"
    ALARM = "alarm"


rerun_if_requested, take_request = DESK.rerun_if_wanted, DESK.take


def request(kind: Kind, target: str, sender: str, more: tuple[str, ...] = ()) -> None:
    """Note what is wanted; for on_click. `target` is a decision's id or a sender's key."""
    DESK.want(Wanted(kind, target, sender, more))


def open_dialog() -> None:
    """After the page: show the dialog that was asked for until it is answered, or tell what was done."""
    wanted: Wanted | None = DESK.opened()
    if wanted is not None:
        _dialogs()[Kind(wanted.kind)](wanted)


def _dialogs() -> dict[Kind, Callable[[Wanted], None]]:
    return {
        Kind.RELEASE: _release_decision,
        Kind.CONFIRM: _confirm,
        Kind.HOLD_SENDER: _hold_sender,
        Kind.RELEASE_SENDER: _release_sender,
        Kind.LIMIT: of_senders.limit,
        Kind.ASK: of_senders.ask_customer,
        Kind.SUSPEND: of_senders.suspend,
        Kind.EXEMPT: of_senders.exempt,
        Kind.THROTTLE: of_senders.throttle,
        Kind.BLOCK: of_senders.block,
        Kind.NOTE: of_many.note,
        Kind.CONFIRM_MANY: of_many.confirm,
        Kind.RELEASE_MANY: of_many.release,
        Kind.RELEASE_TEXTS: of_many.release_texts,
        Kind.RELEASE_SCORES: of_many.release_scores,
        Kind.ALARM: of_many.alarm,
    }


@st.dialog("Release: not spam", icon=":material/lock_open:", on_dismiss=close)
def _release_decision(wanted: Wanted) -> None:
    _release(wanted, lambda relay, order: relay.release_decision(wanted.target, order))


@st.dialog("Release this sender", icon=":material/lock_open:", on_dismiss=close)
def _release_sender(wanted: Wanted) -> None:
    _release(wanted, lambda relay, order: relay.release_sender(wanted.target, order))


def _release(wanted: Wanted, release: Callable[[ControlClient, ReleaseOrder], Freed]) -> None:
    freed = attempt(lambda relay: release(relay, ReleaseOrder(verdict="not_spam", dry_run=True)))
    if freed is None:
        return
    st.markdown(code(wanted.sender))
    st.markdown(
        f"- **{_messages(freed.messages)}** to {_recipients(freed.recipients)} "
        f"{'goes' if freed.messages == 1 else 'go'} to delivery {_pace(freed)}.\n"
        f"- {_ended(freed.decisions)} The sender may send again at once.\n"
        "- What was counted against it is forgotten, so the same mail does not stop it again.\n"
        f"- Nobody else is touched. The audit log keeps it under `{data.reader().principal.id}`."
    )
    note = st.text_input("Note for the audit log", placeholder="Why is it not spam? (optional)", key="release_note")
    if do_it("Release", "lock_open"):
        done = attempt(lambda relay: release(relay, ReleaseOrder(verdict="not_spam", note=note)))
        if done is not None:
            whose = "its" if done.messages == 1 else "their"
            finish(f"Released: {_messages(done.messages)} on {whose} way, {_pace(done)}.")


@st.dialog("Confirm: this is abuse", icon=":material/gavel:", on_dismiss=close)
def _confirm(wanted: Wanted) -> None:
    preview: DecisionView | None = attempt(lambda relay: relay.confirm(wanted.target, ConfirmOrder(dry_run=True)))
    if preview is None:
        return
    st.markdown(code(wanted.sender))
    st.markdown(
        f"- The sender stays {look(preview.effect).word.lower()} by decision `{preview.id}` until a person releases "
        f"it (as it stands: {until(preview.ends_at, data.now())}).\n"
        f"- **{_messages(preview.held)}** {'stays' if preview.held == 1 else 'stay'} parked; nothing is deleted.\n"
        "- It leaves the list of what needs you. Release stays possible.\n"
        f"- Nobody else is touched. The audit log keeps it under `{data.reader().principal.id}`."
    )
    note = st.text_input("Note for the audit log", placeholder="What did you find? (optional)", key="confirm_note")
    if do_it("Confirm", "gavel"):
        done = attempt(lambda relay: relay.confirm(wanted.target, ConfirmOrder(note=note)))
        if done is not None:
            finish("Confirmed: it stays stopped until a person releases it.")


@st.dialog("Hold this sender", icon=":material/front_hand:", on_dismiss=close)
def _hold_sender(wanted: Wanted) -> None:
    st.markdown(code(wanted.sender))
    reason = st.text_input("Because", value="held by hand", key="hold_reason", help="Stands in the reply to the sender")
    lasts = st.selectbox("For", list(_HOLD_FOR), index=1, key="hold_for")
    order = HoldOrder(reason=reason or "held by hand", minutes=_HOLD_FOR[lasts], dry_run=True)
    preview: Stopped | None = attempt(lambda relay: relay.hold_sender(wanted.target, order))
    if preview is None:
        return
    st.markdown(
        f"- New mail of this sender is accepted and parked, {until(preview.decision.ends_at, data.now())}.\n"
        "- What it has in the queue is parked too; nothing is deleted or bounced.\n"
        f"- Nobody else is touched. The audit log keeps it under `{data.reader().principal.id}`."
    )
    if do_it("Hold", "front_hand"):
        final = HoldOrder(reason=order.reason, minutes=order.minutes)
        done = attempt(lambda relay: relay.hold_sender(wanted.target, final))
        if done is not None:
            waited = f"{count(done.messages)} that waited {'was' if done.messages == 1 else 'were'} parked"
            finish(f"Held: its new mail is parked{f', and {waited}' if done.messages else ''}.")


def _messages(number: int) -> str:
    return "No parked message" if number == 0 else f"{count(number)} parked message{'' if number == 1 else 's'}"


def _pace(freed: Freed) -> str:
    if freed.last_at is None:
        return "now"
    rest = f"; {_messages(freed.later)} would take longer than a day and stays" if freed.later else ""
    return f"at the pace of its limits, the last at {clock(freed.last_at, data.now())}{rest}"


def _recipients(number: int) -> str:
    return f"{count(number)} recipient{'' if number == 1 else 's'}"


def _ended(decisions: list[str]) -> str:
    if not decisions:
        return "No decision is in force."
    names = ", ".join(f"`{name}`" for name in decisions[:5])
    return f"Decision{'' if len(decisions) == 1 else 's'} {names} end{'s' if len(decisions) == 1 else ''}."
