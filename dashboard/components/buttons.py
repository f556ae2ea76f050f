"""The answers to a case, as buttons. Each asks first (dashboard.actions); a role that may not is not shown them."""

import streamlit as st

from dashboard import actions, data
from dashboard.actions import Kind
from dashboard.components.words import count
from relay.control.views import DecisionView
from relay.policy.decisions.decision import PARKING, Effect
from relay.tree import Role

_DOWN = "The relay does not answer"


def answers(decision: DecisionView, *, is_stale: bool, place: str) -> None:
    """Confirm, release, limit, ask, suspend, exempt. Alone on its page each has a key: the button shows it."""
    may = data.reader().may
    if not decision.is_open or not may(Role.ABUSE):
        return
    is_alone, stops = place == "alone", decision.effect in PARKING
    freed = f"release {count(decision.held)} and teach" if decision.held else "end it"
    release = f"Not spam: {freed}" if stops else "Give its limit back"

    def button(label: str, kind: Kind, icon: str, key: str = "", *, style: str = "secondary") -> None:
        st.button(
            label,
            key=f"{kind.value}-{place}-{decision.id}",
            icon=f":material/{icon}:",
            type="primary" if style == "primary" else "secondary",
            disabled=is_stale,
            help=_DOWN if is_stale else None,
            shortcut=key if is_alone and key else None,
            on_click=actions.request,
            args=(kind, decision.id, decision.sender),
        )

    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if stops and not decision.confirmed_by:
            button("Confirm & keep blocked", Kind.CONFIRM, "gavel", "K")
        button(release, Kind.RELEASE, "lock_open", "N", style="primary" if stops else "secondary")
        if stops:  # for good is an operator's to set, for a time the desk's
            button("Limit to …", Kind.LIMIT if may(Role.OPERATOR) else Kind.THROTTLE, "speed", "L")
        if stops:
            button("Ask the customer", Kind.ASK, "contact_support", "A")
        if stops and decision.effect is not Effect.SUSPEND and may(Role.OPERATOR):
            button("Suspend", Kind.SUSPEND, "do_not_disturb_on", "S")
        if stops:
            button("Exempt", Kind.EXEMPT, "verified_user", "E")


def measures(sender: str, *, is_stale: bool, is_stopped: bool) -> None:
    """What can be done about a sender that nobody has stopped, or beside its case."""
    if not data.reader().may(Role.ABUSE):
        return
    kinds = [] if is_stopped else [(Kind.HOLD_SENDER, "Hold this sender", "front_hand")]
    kinds += [] if is_stopped else [(Kind.THROTTLE, "Slow down", "speed"), (Kind.BLOCK, "Block", "block")]
    if data.reader().may(Role.OPERATOR) and not is_stopped:
        kinds += [(Kind.LIMIT, "Limit to …", "tune"), (Kind.SUSPEND, "Suspend", "do_not_disturb_on")]
    kinds += [] if is_stopped else [(Kind.EXEMPT, "Exempt", "verified_user")]
    with st.container(horizontal=True, gap="small", width="content"):
        for kind, label, icon in kinds:
            st.button(
                label,
                key="sender-act" if kind is Kind.HOLD_SENDER else f"sender-{kind.value}",
                icon=f":material/{icon}:",
                disabled=is_stale,
                help=_DOWN if is_stale else None,
                on_click=actions.request,
                args=(kind, sender, sender),
            )
