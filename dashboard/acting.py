"""How an action is done from a dialog: tried in words, answered by one button, told afterwards.

The dialogs themselves are in actions.py and its neighbours. Roles are checked by the relay.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import streamlit as st

from dashboard import data
from dashboard.components.words import plain
from relay.control.client import ControlClient, ControlError, ControlUnreachable

T = TypeVar("T")

OPEN, DONE = "open_action", "done_action"  # of the session: the dialog that is shown, and what to tell afterwards


@dataclass(frozen=True, slots=True)
class Wanted:
    """An action that is not done yet. `target`: a decision's id, a sender's key, or what its kind says; `sender`: the
    end sender it is about, "" for none; `more`: the ids of an action on several."""

    kind: str
    target: str
    sender: str
    more: tuple[str, ...] = ()


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


def do_it(word: str, icon: str, *, is_ready: bool = True) -> bool:
    """The two buttons of a dialog; tell whether the second was pressed."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="dialog_cancel"):
            close()
            st.rerun()
        return st.button(
            word,
            key="dialog_do",
            type="primary",
            icon=f":material/{icon}:",
            disabled=not is_ready,
            shortcut="Mod+Enter",
        )


def finish(words: str) -> None:
    """Close the dialog, ask the relay anew, and tell what was done."""
    close()
    data.memory().forget("relay")
    st.session_state[DONE] = words
    st.rerun()


def close() -> None:
    """Put the dialog away."""
    st.session_state.pop(OPEN, None)
