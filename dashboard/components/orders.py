"""Orders of the set-up pages: a button only notes what is wanted, its dialog opens after the page and stays until it
is answered; what the reader's role may not do is not offered. The relay checks the role all the same.

A dialog shows what a dry run says before it acts. Secrets are told once, in the dialog that made them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

import streamlit as st

from dashboard import data
from dashboard.acting import Desk, attempt, forget_answers
from relay.tree import Role

__all__ = ["Order", "Reach", "Told", "attempt", "do_it", "finish", "may", "offer", "open_dialog"]

_DESK, _TOLD = Desk("setup_order", "order"), "told_order"

do_it = _DESK.answered


class Reach(StrEnum):
    """How much of the tree one must see for an order: nobody suspends himself, a reseller does not make resellers."""

    ACCOUNT = "account"
    RESELLER = "reseller"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Order:
    """A dialog: its heading, and what it asks. `target` is what it is about: a name, or "" for a new thing."""

    title: str
    icon: str
    ask: Callable[[str], None]
    target: str = ""

    def about(self, target: str) -> "Order":
        """The same order about this one."""
        return replace(self, target=target)


@dataclass(frozen=True, slots=True)
class Told:
    """What a dialog says after it acted: words in Markdown, and what is to be copied, each with its label."""

    words: str
    secrets: tuple[tuple[str, str], ...] = ()


def offer(
    label: str,
    order: Order,
    *,
    key: str,
    role: Role = Role.OPERATOR,
    kind: Literal["primary", "secondary", "tertiary"] = "secondary",
    reach: Reach = Reach.ACCOUNT,
) -> None:
    """Show the button of an order to whoever has this role and sees at least so much of the tree."""
    if may(role, reach):
        icon = f":material/{order.icon}:"
        st.button(label, key=key, icon=icon, type=kind, on_click=_note, args=(order,))


def may(role: Role, reach: Reach = Reach.ACCOUNT) -> bool:
    """Tell whether the reader has this role, and sees at least so much."""
    whose, scope = data.reader(), data.reader().principal.scope
    wide = {Reach.ACCOUNT: True, Reach.RESELLER: scope.account is None, Reach.WHOLE: whose.sees_everything}
    return whose.may(role) and wide[reach]


def open_dialog() -> None:
    """At the end of a page: show the dialog that was asked for, or say what was done."""
    order: Order | None = _DESK.opened()
    if order is None:
        return

    def body() -> None:
        told: Told | None = st.session_state.get(_TOLD)
        if told is None:
            order.ask(order.target)
        else:
            _tell(told)

    st.dialog(order.title, icon=f":material/{order.icon}:", on_dismiss=_close, width="medium")(body)()


def finish(done: Any, words: str, *secrets: tuple[str, str]) -> None:
    """After an attempt: nothing when it failed, else close the dialog; with secrets tell them in it first."""
    if done is None:
        return
    undo = str(getattr(done, "undo", "") or "")
    told = Told(words, (*(pair for pair in secrets if pair[1]), *([("To undo", undo)] if undo else [])))
    if not told.secrets:
        _DESK.done(words)
    forget_answers()
    st.session_state[_TOLD] = told
    st.rerun()


def _tell(told: Told) -> None:
    st.success(told.words, icon=":material/check_circle:")
    for label, text in told.secrets:
        st.caption(label)
        st.code(text, language=None, wrap_lines=True)
    if st.button("Close", key="order_close", type="primary"):
        _close()
        st.rerun()


def _note(order: Order) -> None:
    _close()
    _DESK.open(order)


def _close() -> None:
    _DESK.close()
    st.session_state.pop(_TOLD, None)
