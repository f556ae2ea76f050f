"""Orders of the set-up pages: a button only notes what is wanted, its dialog opens after the page and stays until it
is answered; what the reader's role may not do is not offered. The relay checks the role all the same.

A dialog shows what a dry run says before it acts. Secrets are told once, in the dialog that made them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, TypeVar

import streamlit as st

from analytics.client import AnalyticsDown, QueryError
from dashboard import data
from dashboard.components.words import plain
from relay.control.client import ControlClient, ControlError, ControlUnreachable
from relay.tree import Role

T = TypeVar("T")

_WANTED, _DONE, _TOLD = "wanted_order", "done_order", "told_order"


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
    if done := st.session_state.pop(_DONE, None):
        st.toast(done, icon=":material/check_circle:", duration="long")
    order: Order | None = st.session_state.get(_WANTED)
    if order is None:
        return

    def body() -> None:
        told: Told | None = st.session_state.get(_TOLD)
        if told is None:
            order.ask(order.target)
        else:
            _tell(told)

    st.dialog(order.title, icon=f":material/{order.icon}:", on_dismiss=_close, width="medium")(body)()


def attempt(act: Callable[[ControlClient], T]) -> T | None:
    """Do it, or say in words why not."""
    try:
        return act(data.relay_client())
    except ControlUnreachable as error:
        st.error(
            f"**Relay does not answer**, so nothing was changed, or nobody knows. {plain(str(error))}",
            icon=":material/cloud_off:",
        )
    except AnalyticsDown as error:
        st.error(f"**Analytics does not answer.** {plain(str(error))}", icon=":material/cloud_off:")
    except (ControlError, QueryError, OSError) as error:
        st.error(f"**Refused.** {plain(str(error))}", icon=":material/error:")
    return None


def do_it(word: str, icon: str, *, is_ready: bool = True) -> bool:
    """Cancel, or do it: true in the run in which the reader wants it. Not `is_ready`: something is missing yet."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="order_cancel"):
            _close()
            st.rerun()
        return st.button(word, key="order_do", type="primary", icon=f":material/{icon}:", disabled=not is_ready)


def finish(done: Any, words: str, *secrets: tuple[str, str]) -> None:
    """After an attempt: nothing when it failed, else close the dialog; with secrets tell them in it first."""
    if done is None:
        return
    data.memory().forget("relay")
    data.memory().forget("analytics")
    undo = str(getattr(done, "undo", "") or "")
    told = Told(words, (*(pair for pair in secrets if pair[1]), *([("To undo", undo)] if undo else [])))
    if told.secrets:
        st.session_state[_TOLD] = told
    else:
        _close()
        st.session_state[_DONE] = words
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
    st.session_state[_WANTED] = order


def _close() -> None:
    for name in (_WANTED, _TOLD):
        st.session_state.pop(name, None)
