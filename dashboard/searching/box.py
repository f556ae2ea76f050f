"""The query box of the page Messages: the query, what is wrong with it, and a builder for whoever does not know it."""

import streamlit as st

from analytics.search.fields import FEATURE_FIELDS, FIELDS, Field, Kind
from analytics.search.parser import parse
from analytics.search.tree import Fault
from dashboard import data
from dashboard.components.words import code, plain
from dashboard.searching import saved

KEY = "q"
EXAMPLES = (
    ("Not delivered", "delivered:N"),
    ("Held now", "outcome:held"),
    ("Refused at the door", "outcome:refused"),
    ("Bounced", "bounced:Y"),
    ("Retrying", "outcome:deferred"),
    ("Scored as spam, let through", "score:>0.9 action:accept"),
)
_WAYS = {
    Kind.NUMBER: ("at least", "at most", "between", "equal to"),
    Kind.SIZE: ("at least", "at most", "between"),
    Kind.SECONDS: ("at least", "at most", "between"),
    Kind.INSTANT: ("from", "until", "between", "on"),
}
_TEXTS = ("is", "begins with", "ends with", "contains", "is not")
_FEATURES = frozenset(field.name for field in FEATURE_FIELDS)


def ask() -> str | None:
    """Show the box; return the query, or None when it cannot be read: the fault is shown then."""
    query = st.text_input(
        "Query",
        key=KEY,
        bind="query-params",
        type="search",
        placeholder="sender:web@acme.example AND delivered:N",
        icon=":material/search:",
        label_visibility="collapsed",
    )
    with st.container(horizontal=True):
        _builder()
        saved.menu("search", KEY, what="query")
        _help()
    text = query or ""
    try:
        parse(text, data.now())
    except Fault as fault:
        line, carets, _ = fault.pointed(text).split("\n", 2)
        st.error(f"**This query cannot be read:** {plain(fault.problem)}.", icon=":material/error:")
        st.code(f"{line}\n{carets}", language=None)
        st.markdown(f"**Fix:** {plain(fault.fix)}")
        return None
    if not text:
        _examples()
    return text


def written(field: Field, way: str, value: str, other: str = "") -> str:
    """A condition as the language writes it.

    >>> written(FIELDS["subject"], "is not", "your invoice"), written(FIELDS["to"], "ends with", "@post.example")
    ('NOT subject:"your invoice"', 'to:*@post.example')
    """
    if field.kind in _WAYS:
        span = {"at least": f"{value}..", "from": f"{value}..", "at most": f"..{value}", "until": f"..{value}"}
        return f"{field.name}:{span.get(way) or (f'{value}..{other}' if way == 'between' else value)}"
    if field.choices:  # several, joined by commas
        return f"{field.name}:{value}"
    quoted = _quoted(value)
    around = {"begins with": f"{quoted}*", "ends with": f"*{quoted}", "contains": f"*{quoted}*"}.get(way, quoted)
    bare = all(sign not in around for sign in ' ()",') and around
    condition = f"{field.name}:{around if bare else f'{chr(34)}{around}{chr(34)}'}"
    return f"NOT {condition}" if way == "is not" else condition


def _quoted(value: str) -> str:
    return "".join(f"\\{sign}" if sign in '"\\*?' else sign for sign in value)


def _examples() -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Try", width="content")
        for label, query in EXAMPLES:
            st.button(label, key=f"try_{label}", type="tertiary", on_click=_set, args=(query,), help=query)


def _set(query: str) -> None:
    st.session_state[KEY] = query


def _builder() -> None:
    with st.popover("Add a condition", icon=":material/add:"):
        names = [name for name in FIELDS if name not in _FEATURES] + sorted(_FEATURES)
        name = st.selectbox("Field", names, key="build_field", format_func=lambda one: f"{one}: {FIELDS[one].meaning}")
        field = FIELDS[name or "sender"]
        way, value, other = _value(field)
        joined = st.segmented_control("Joined by", ["AND", "OR"], default="AND", required=True, key="build_join")
        ready = bool(value) and (way != "between" or bool(other))
        condition = written(field, way, value, other) if ready else ""
        if condition:
            st.code(condition, language=None)
        st.button("Add", type="primary", disabled=not ready, on_click=_add, args=(condition, joined or "AND"))


def _value(field: Field) -> tuple[str, str, str]:
    """How it is compared, with what, and the other end of a range."""
    if field.kind is Kind.FLAG:
        return "is", st.segmented_control("Value", ["Y", "N"], default="Y", required=True, key="build_flag") or "Y", ""
    if field.kind is Kind.CHOICE:
        return "is", ",".join(st.multiselect("Any of", field.choices, key=f"build_{field.name}")), ""
    ways = _WAYS.get(field.kind, ("contains", "is not") if field.kind is Kind.PART else _TEXTS)
    way = st.selectbox("How", ways, key=f"build_way_{field.kind.value}") or ways[0]
    shown = field.example.partition(":")[2].strip("<>=")
    value = st.text_input("Value", key=f"build_value_{field.kind.value}", placeholder=shown) or ""
    other = (st.text_input("To", key=f"build_other_{field.kind.value}") or "") if way == "between" else ""
    return ("is" if field.kind is Kind.PART and way == "contains" else way), value.strip(), other.strip()


def _add(condition: str, joined: str) -> None:
    before = str(st.session_state.get(KEY) or "").strip()
    if before and joined == "OR":
        st.session_state[KEY] = f"({before}) OR {condition}"
    else:
        st.session_state[KEY] = (
            f"({before}) AND {condition}" if " or " in before.lower() else f"{before} {condition}".strip()
        )


def _help() -> None:
    with st.popover("Fields", icon=":material/help:"):
        st.markdown(
            "`field:value`, joined by AND, OR, NOT and parentheses. `*` and `?` are wildcards, values with spaces are "
            "quoted, commas mean any of them. Ranges: `score:0.5..0.9`, `time:2h`, `time:2026-11-01..` (UTC). "
            "Without a time the last 7 days are searched."
        )
        lines = [
            f"| {code(field.name)} | {field.meaning} | {code(field.example)} |"
            for field in FIELDS.values()
            if field.name not in _FEATURES
        ]
        st.markdown("\n".join(["| Field | Finds | Example |", "|---|---|---|", *lines]))
