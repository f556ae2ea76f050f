"""What a person can do about one message: free or delete it while it is held, try or give it up while it waits,
suppress a recipient, say that the verdict was wrong. Each is an order: it is asked for with its consequence.
"""

from typing import Any

import streamlit as st

from analytics.search.timeline import rows
from dashboard.components.orders import Order, attempt, do_it, finish, offer
from dashboard.components.words import code, count
from relay.control.labels.views import LabelOrder
from relay.control.suppression.views import SuppressionOrder, SuppressionRow
from relay.control.waiting.views import QueueOrder
from relay.holds.views import DropOrder, ReleaseOrder
from relay.tree import Role

_WAITING = ("accepted", "deferred", "released")


def buttons(message: dict[str, Any]) -> None:
    """The actions that make sense for this message, for whoever may."""
    message_id, status = str(message["message_id"]), str(message.get("status"))
    with st.container(horizontal=True):
        if status == "held":
            offer("Release", _RELEASE.about(message_id), key="act_release", role=Role.ABUSE, kind="primary")
            offer("Delete", _DROP.about(message_id), key="act_drop", role=Role.ABUSE)
        if status in _WAITING:
            offer("Try again now", _RETRY.about(message_id), key="act_retry", role=Role.OPERATOR)
            offer("Give it up", _BOUNCE.about(message_id), key="act_bounce", role=Role.OPERATOR)
        addresses = [str(rcpt.get("address")) for rcpt in rows(message.get("recipients"))]
        if addresses:
            about = "\n".join([str(message.get("account")), *addresses])
            offer("Suppress recipient", _SUPPRESS.about(about), key="act_suppress", role=Role.ABUSE)
        if status != "refused":
            offer("It is spam", _SPAM.about(message_id), key="act_spam", role=Role.ABUSE)
            offer("It is no spam", _HAM.about(message_id), key="act_ham", role=Role.ABUSE)


def _release(message_id: str) -> None:
    order = ReleaseOrder(message_ids=[message_id], verdict="not_spam", dry_run=True)
    preview = attempt(lambda relay: relay.release_held(order))
    if preview is None:
        return
    st.markdown(
        f"{code(message_id)} goes to delivery, to {_recipients(preview.recipients)}. The model learns it is no spam."
    )
    note = st.text_input("Note for the audit log", key="act_note")
    if do_it("Release", "lock_open", is_ready=preview.messages > 0):
        final = ReleaseOrder(message_ids=[message_id], verdict="not_spam", note=note)
        finish(attempt(lambda relay: relay.release_held(final)), "Released: it is on its way.")


def _drop(message_id: str) -> None:
    preview = attempt(lambda relay: relay.drop_held(DropOrder(message_ids=[message_id], dry_run=True)))
    if preview is None:
        return
    st.markdown(
        f"{code(message_id)} is deleted for {_recipients(preview.recipients)}. "
        "**Nobody gets it, and it cannot be undone.**"
    )
    reason = st.text_input("Reason, for the audit log", value="dropped by hand", key="act_reason")
    if do_it("Delete", "delete"):
        final = DropOrder(message_ids=[message_id], reason=reason or "dropped by hand")
        finish(attempt(lambda relay: relay.drop_held(final)), "Deleted.")


def _retry(message_id: str) -> None:
    preview = attempt(lambda relay: relay.retry_queued(QueueOrder(message=message_id, dry_run=True)))
    if preview is None:
        return
    st.markdown(f"{_recipients(preview.recipients)} of {code(message_id)} are tried at once, whenever they were due.")
    if do_it("Try again now", "refresh", is_ready=preview.recipients > 0):
        done = attempt(lambda relay: relay.retry_queued(QueueOrder(message=message_id)))
        finish(done, "It is being tried.")


def _bounce(message_id: str) -> None:
    reason = st.text_input("Reason, stands in the bounce", key="act_bounce_reason").strip()
    trial = QueueOrder(message=message_id, reason=reason or "…", dry_run=True)
    preview = attempt(lambda relay: relay.bounce_queued(trial))
    if preview is None:
        return
    st.markdown(
        f"{_recipients(preview.recipients)} of {code(message_id)} are given up; the sender is told. "
        "**It cannot be undone.**"
    )
    if do_it("Give it up", "undo", is_ready=preview.recipients > 0 and bool(reason)):
        final = QueueOrder(message=message_id, reason=reason)
        finish(attempt(lambda relay: relay.bounce_queued(final)), "Given up: the sender is told.")


def _suppress(about: str) -> None:
    account, *addresses = about.split("\n")
    chosen = st.multiselect("Recipients", addresses, default=addresses[:1], key="act_addresses")
    st.markdown(f"Mail of the account {code(account)} to them is refused from now on, for good; undo is in the answer.")
    if do_it("Suppress", "block", is_ready=bool(chosen)):
        final = SuppressionOrder(account=account, rows=[SuppressionRow(address=address) for address in chosen])
        finish(attempt(lambda relay: relay.suppress(final)), f"Suppressed: {count(len(chosen))}.")


def _spam(message_id: str) -> None:
    st.markdown(f"The model learns from {code(message_id)} as **spam**. What was delivered is not called back.")
    _label(message_id, "spam")


def _ham(message_id: str) -> None:
    st.markdown(f"The model learns from {code(message_id)} as **no spam**. Held mail stays held: Release frees it.")
    _label(message_id, "ham")


def _label(message_id: str, label: Any) -> None:
    why = st.text_input("Why, for the audit log", key="act_why")
    if do_it("Report it", "flag"):
        final = LabelOrder(message_ids=[message_id], label=label, why=why)
        finish(attempt(lambda relay: relay.label(final)), "Reported: the next training learns it.")


def _recipients(number: int) -> str:
    return f"{count(number)} recipient{'' if number == 1 else 's'}"


_RELEASE = Order("Release this message", "lock_open", _release)
_DROP = Order("Delete this message", "delete", _drop)
_RETRY = Order("Try again now", "refresh", _retry)
_BOUNCE = Order("Give this message up", "undo", _bounce)
_SUPPRESS = Order("Suppress recipients", "block", _suppress)
_SPAM = Order("Report: this is spam", "flag", _spam)
_HAM = Order("Report: this is no spam", "flag", _ham)
