"""What the reader kept to ask again: a menu beside a box, to choose one, keep what the box holds, remove one."""

import streamlit as st

from dashboard import data
from dashboard.acting import attempt
from dashboard.components.words import plain, short
from relay.saved.views import SavedKind, SavedOrder, SavedQuestion, SavedRemoval

_NAME_LENGTH = 80  # as relay/saved/desk.py has it


def menu(kind: SavedKind, box: str, *, what: str) -> None:
    """`box`: the session's key of the box; choosing one writes into it. `what`: how a page calls one of them."""
    with st.popover("Saved", icon=":material/bookmark:"):
        nothing: list[SavedQuestion] = []
        reading = data.ask_relay("saved", lambda relay: relay.saved_questions(), nothing)
        kept = [one for one in reading.value if one.kind == kind]
        if reading.trouble:
            st.caption(plain(reading.trouble))
        elif not kept:
            st.caption(f"Nothing is kept yet. Write a {what}, then give it a name here.")
        for place, one in enumerate(kept):
            with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
                st.button(
                    plain(one.name),
                    key=f"saved_use_{kind}_{place}",
                    type="tertiary",
                    help=plain(short(one.text, 300)),
                    on_click=_use,
                    args=(box, one.text),
                )
                st.button(
                    "Remove",
                    key=f"saved_remove_{kind}_{place}",
                    type="tertiary",
                    icon=":material/delete:",
                    on_click=_remove,
                    args=(kind, one.name),
                )
        _keep(kind, str(st.session_state.get(box) or "").strip(), what)


def _keep(kind: SavedKind, text: str, what: str) -> None:
    if not text:
        return
    name = (
        st.text_input(
            "Keep this one as", key=f"saved_name_{kind}", max_chars=_NAME_LENGTH, placeholder=f"name of the {what}"
        )
        or ""
    ).strip()
    st.button("Save", key=f"saved_save_{kind}", disabled=not name, on_click=_save, args=(kind, name, text))


def _use(box: str, text: str) -> None:
    st.session_state[box] = text


def _save(kind: SavedKind, name: str, text: str) -> None:
    if attempt(lambda relay: relay.save_question(SavedOrder(kind=kind, name=name, text=text))):
        st.session_state[f"saved_name_{kind}"] = ""
        st.toast(f"Kept as {plain(name)}", icon=":material/bookmark_added:")
    data.memory().forget("relay")


def _remove(kind: SavedKind, name: str) -> None:
    attempt(lambda relay: relay.remove_saved(SavedRemoval(kind=kind, name=name)))
    data.memory().forget("relay")
