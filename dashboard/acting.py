"""How a page acts: a button notes what is wanted, a dialog shows what would follow, and one button does it.

The dialog opens at the end of a whole run of the page, outside its live fragment, which would otherwise take it away
when it refreshes. Roles are checked by the relay. The dialogs themselves are in actions/, in components/*_orders.py
and behind components/orders.py; each of the three has a desk of its own, so that none takes another's orders.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from analytics.client import AnalyticsDown, QueryError
from dashboard import data
from dashboard.components.words import code, plain
from relay.control.client import ControlClient, ControlError, ControlUnreachable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An action that is not done yet. `target`: a decision's id, a sender's key, or what its kind says; `sender`: the
    end sender it is about, "" for none; `more`: the ids of an action on several."""

    kind: str
    target: str
    sender: str = ""
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """What is wanted, what is open and what was done, kept in the reader's session under `name`.

    `keys` begins the keys of a dialog's two buttons; `shortcut` presses the second.
    """

    name: str
    keys: str
    shortcut: str | None = None

    def want(self, wanted: Any) -> None:
        """Note what is wanted; for on_click."""
        st.session_state[f"wanted_{self.name}"] = wanted

    def rerun_if_wanted(self) -> None:
        """At the top of a live fragment: leave it, so that the whole page runs and the dialog can open."""
        if f"wanted_{self.name}" in st.session_state:
            st.rerun(scope="app")

    def take(self) -> None:
        """Before the page runs: take what is wanted, so that its fragments do not ask for yet another run."""
        if wanted := st.session_state.pop(f"wanted_{self.name}", None):
            self.open(wanted)

    def open(self, wanted: Any) -> None:
        st.session_state[f"open_{self.name}"] = wanted

    def opened(self) -> Any:
        """After the page: tell what was done, and return what is open until it is answered, or None."""
        if done := st.session_state.pop(f"done_{self.name}", None):
            st.toast(done, icon=":material/check_circle:", duration="long")
        return st.session_state.get(f"open_{self.name}")

    def close(self) -> None:
        """Put the dialog away; for its on_dismiss too."""
        st.session_state.pop(f"open_{self.name}", None)

    def answered(self, word: str, icon: str, *, is_ready: bool = True) -> bool:
        """The two buttons of a dialog; tell whether the second was pressed. Not `is_ready`: something is missing."""
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button("Cancel", key=f"{self.keys}_cancel"):
                self.close()
                st.rerun()
            return st.button(
                word,
                key=f"{self.keys}_do",
                type="primary",
                icon=f":material/{icon}:",
                disabled=not is_ready,
                shortcut=self.shortcut,
            )

    def done(self, words: str) -> None:
        """Close the dialog, ask everybody anew, and tell what was done."""
        self.close()
        forget_answers()
        st.session_state[f"done_{self.name}"] = words
        st.rerun()


def forget_answers() -> None:
    """Something was changed: what relay and analytics said before is asked anew."""
    data.memory().forget("relay")
    data.memory().forget("analytics")


def attempt_each(names: Iterable[str], act: Callable[[ControlClient, str], T]) -> tuple[list[T], str]:
    """Do it for each; return what was done, and in words whose turn was refused and why, "" for nobody's.

    Of several cases one may have been answered by somebody else meanwhile: that keeps the others from nothing.
    """
    done, refused = [], []
    for name in names:
        try:
            done.append(act(data.relay_client(), name))
        except (ControlError, OSError) as error:
            refused.append(f"{code(name)}: {plain(str(error))}")
    return done, f" **Refused, {len(refused)}:** {'; '.join(refused)}." if refused else ""


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
    except ControlError as error:
        st.error(f"**The relay refused.** {plain(str(error))}", icon=":material/error:")
    except (QueryError, OSError) as error:
        st.error(f"**Refused.** {plain(str(error))}", icon=":material/error:")
    return None
