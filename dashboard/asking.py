"""Orders from the pages about delivery: buttons, dialogs with a preview, and who may press them.

A page calls, in this order: `take` at its beginning, `rerun_if_wanted` at the top of its fragment, `open_dialog` at its
end (acting.py says why). `may_act` only says in words why buttons are missing.
"""

from collections.abc import Callable, Mapping

import streamlit as st

from dashboard import data
from dashboard.acting import Desk, Wanted, attempt
from relay.tree import Role

__all__ = ["Wanted", "attempt", "button", "close", "confirmed", "finish", "may_act", "open_dialog", "take"]

_DESK = Desk("delivery_order", "order")

Dialogs = Mapping[str, Callable[[Wanted], None]]
take, rerun_if_wanted, close, confirmed = _DESK.take, _DESK.rerun_if_wanted, _DESK.close, _DESK.answered


def button(label: str, icon: str, wanted: Wanted, *, help: str = "", is_disabled: bool = False) -> None:
    """A button that notes what is wanted."""
    st.button(
        label,
        key=f"{wanted.kind}-{wanted.target}",
        icon=f":material/{icon}:",
        help=help or None,
        disabled=is_disabled,
        on_click=_DESK.want,
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


def open_dialog(dialogs: Dialogs) -> None:
    """At a page's end: show the dialog until it is answered, or tell what was done."""
    wanted: Wanted | None = _DESK.opened()
    if wanted is not None and wanted.kind in dialogs:
        dialogs[wanted.kind](wanted)


def finish(words: str, undo: str = "") -> None:
    """Close the dialog, and tell what was done and how it is undone."""
    _DESK.done(words + (f" Undo: `{undo}`" if undo else ""))
