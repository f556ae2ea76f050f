"""How a page asks before it acts: a button notes what is wanted, a dialog shows what would follow, the relay does it.

The dialog opens at the end of a whole run of the page, outside its live fragment, which would otherwise take it away
when it refreshes. A page calls, in this order: `take` at its beginning, `rerun_if_wanted` at the top of its fragment,
`open_dialog` at its end. Roles are checked by the relay; `may_act` only says in words why buttons are missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import streamlit as st

from dashboard import data
from dashboard.components.words import plain
from relay.control.client import ControlClient, ControlError, ControlUnreachable
from relay.tree import Role

T = TypeVar("T")

_WANTED, _OPEN, _DONE = "wanted_order", "open_order", "done_order"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a button noted: the kind of the action, and on what."""

    kind: str
    target: str


Dialogs = Mapping[str, Callable[[Wanted], None]]


def button(label: str, icon: str, wanted: Wanted, *, help: str = "", is_disabled: bool = False) -> None:
    """A button that notes what is wanted."""
    st.button(
        label,
        key=f"{wanted.kind}-{wanted.target}",
        icon=f":material/{icon}:",
        help=help or None,
        disabled=is_disabled,
        on_click=_want,
        args=(wanted,),
    )


def may_act(command: str) -> bool:
    """Tell whether the reader may change what concerns everybody's mail; else say how it is done."""
    whose = data.reader()
    if whose.may(Role.OPERATOR) and whose.sees_everything:
        return True
    part = "" if whose.sees_everything else ", and sight of the whole relay"
    st.caption(
        f":material/lock: Acting here takes the role operator{part}; yours is {whose.principal.role.value}. "
        f"On the server: `{command}`"
    )
    return False


def take() -> None:
    """At a page's beginning: take what is wanted, so that its fragment does not ask for yet another run."""
    if wanted := st.session_state.pop(_WANTED, None):
        st.session_state[_OPEN] = wanted


def rerun_if_wanted() -> None:
    """At the top of a live fragment: leave it, so that the whole page runs and the dialog can open."""
    if _WANTED in st.session_state:
        st.rerun(scope="app")


def open_dialog(dialogs: Dialogs) -> None:
    """At a page's end: show the dialog until it is answered, or tell what was done."""
    if done := st.session_state.pop(_DONE, None):
        st.toast(done, icon=":material/check_circle:", duration="long")
    wanted: Wanted | None = st.session_state.get(_OPEN)
    if wanted is not None and wanted.kind in dialogs:
        dialogs[wanted.kind](wanted)


def close() -> None:
    """For on_dismiss of a dialog."""
    st.session_state.pop(_OPEN, None)


def attempt(act: Callable[[ControlClient], T]) -> T | None:
    """Do it, or say in words why not."""
    try:
        return act(data.relay_client())
    except ControlUnreachable as error:
        st.error(
            f"**Relay does not answer**, so nothing was changed, or nobody knows. {plain(str(error))}",
            icon=":material/cloud_off:",
        )
    except (ControlError, OSError) as error:
        st.error(f"**The relay refused.** {plain(str(error))}", icon=":material/error:")
    return None


def confirmed(word: str, icon: str, *, is_ready: bool = True) -> bool:
    """The two buttons at a dialog's end; tell whether it is to be done."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="order_cancel"):
            close()
            st.rerun()
        return st.button(word, key="order_do", type="primary", icon=f":material/{icon}:", disabled=not is_ready)


def finish(words: str, undo: str = "") -> None:
    """Close the dialog, forget what the relay said before, and tell what was done and how it is undone."""
    close()
    data.memory().forget("relay")
    st.session_state[_DONE] = words + (f" Undo: `{undo}`" if undo else "")
    st.rerun()


def _want(wanted: Wanted) -> None:
    st.session_state[_WANTED] = wanted
