"""The policy in force, its versions, how two differ in words, and another one checked and put in force."""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.components import notices
from dashboard.components.orders import Order, Reach, attempt, do_it, finish, offer
from dashboard.components.table import Column, Kind, table
from dashboard.components.tiles import facts
from dashboard.components.words import code, count, plain, when
from relay.control.policies.views import PolicyOrder, PolicyView, RollbackOrder, VersionView
from relay.policy import file as policy_file

_VERSIONS = [
    Column("sequence", "No.", Kind.COUNT),
    Column("version", "Version"),
    Column("state", "State"),
    Column("origin", "From", help="applied: by a person; file: [policy] of mailweir.toml"),
    Column("author", "By"),
    Column("applied_at", "Since", Kind.INSTANT),
    Column("note", "Note", width="large"),
]
_KEYS = [
    Column("key", "Key", width="medium"),
    Column("value", "In force"),
    Column("default", "Default"),
    Column("meaning", "Means", width="large"),
]


def show(now: datetime) -> None:
    """What is in force, what was, and the orders."""
    none: PolicyView | None = None
    rows: list[VersionView] = []
    view = data.ask_relay("policy view", lambda relay: relay.policy(), none)
    versions = data.ask_relay("policy versions", lambda relay: relay.policy_versions(), rows)
    notices.troubles(now, analytics=[], relay=[view, versions])
    if view.value is None:
        return
    with notices.aged("policy", view):
        _in_force(view.value, now, has_earlier=len({one.version for one in versions.value}) > 1)
    with notices.aged("versions", versions):
        _versions(versions.value, view.value)
    with notices.aged("keys", view):
        _keys(view.value)


def _in_force(view: PolicyView, now: datetime, *, has_earlier: bool) -> None:
    version = view.version
    with st.container(border=True):
        st.markdown(f"**Version {code(version.version)}** :green-badge[:material/check_circle: In force]")
        origin = "[policy] of mailweir.toml" if version.origin == "file" else "a person applied it"
        facts(
            [
                ("Since", when(version.applied_at, now)),
                ("From", plain(origin)),
                ("By", plain(version.author)),
                ("Note", plain(version.note or "–")),
            ]
        )
        if view.overruled:
            st.warning("It wins over [policy] of mailweir.toml, which says in vain:", icon=":material/difference:")
            _differences(view.overruled, before="file", after="in force")
        with st.container(horizontal=True):
            offer("Apply another", _APPLY.about(view.text), key="policy_apply", reach=Reach.WHOLE)
            if has_earlier:
                offer("Roll back", _ROLLBACK, key="policy_rollback", reach=Reach.WHOLE)
            st.download_button(
                "TOML",
                view.text,
                file_name=f"policy-{version.version}.toml",
                mime="application/toml",
                key="policy_toml",
                icon=":material/download:",
                on_click="ignore",
            )


def _versions(versions: list[VersionView], in_force: PolicyView) -> None:
    st.subheader("Versions", anchor=False)
    if not versions:
        return
    rows = [
        {
            "sequence": one.sequence,
            "version": one.version,
            "state": "In force" if one.in_force else "",
            "origin": one.origin,
            "author": one.author,
            "applied_at": one.applied_at,
            "note": one.note,
        }
        for one in versions
    ]
    chosen = table(pd.DataFrame(rows), _VERSIONS, key="versions", ids="sequence", name="policy-versions")
    if not chosen:
        st.caption("Choose a version to see in which keys it differs from the one in force.")
        return
    none: PolicyView | None = None
    older = data.ask_relay(f"policy {chosen}", lambda relay: relay.policy(chosen), none).value
    if older is None:
        return
    try:
        changes = policy_file.differences(policy_file.read(older.text), policy_file.read(in_force.text))
    except policy_file.PolicyError as error:  # of another release
        st.caption(plain(str(error)))
        return
    st.markdown(f"**From version {code(older.version.version)} to the one in force**")
    _differences(changes, before="then", after="now")
    if not older.version.in_force:
        offer("Put it in force again", _ROLLBACK.about(chosen), key="policy_back", reach=Reach.WHOLE)


def _differences(changes: Sequence[policy_file.Change], *, before: str, after: str) -> None:
    """Key by key, in words."""
    if not changes:
        st.caption("They judge alike: no key differs.")
    for one in changes:
        st.markdown(
            f"- {code(one.key)} {before} **{plain(policy_file.plain(one.old))}**, {after} "
            f"**{plain(policy_file.plain(one.new))}** :gray[{plain(one.meaning)}]"
        )


def _keys(view: PolicyView) -> None:
    differing = [one for one in view.keys if one.value != one.default]
    st.subheader("Keys", anchor=False)
    only = st.toggle(f"Only the {count(len(differing))} that differ from their default", key="policy_only")
    shown = differing if only else view.keys
    rows = [
        {
            "key": one.key,
            "value": policy_file.plain(one.value),
            "default": policy_file.plain(one.default),
            "meaning": one.meaning,
        }
        for one in shown
    ]
    table(pd.DataFrame(rows, columns=["key", "value", "default", "meaning"]), _KEYS, key="keys", name="policy-keys")


def _apply(text: str) -> None:
    wanted = st.text_area("Policy, as TOML", value=text, height=260, key="policy_text")
    checked = attempt(lambda relay: relay.apply_policy(PolicyOrder(text=wanted, dry_run=True)))
    if checked is None:
        do_it("Apply", "rule", is_ready=False)
        return
    _differences(checked.changes, before="now", after="then")
    for doubt in checked.doubts:
        st.warning(plain(doubt), icon=":material/help:")
    note = st.text_input("Note", placeholder="Why?", key="policy_note")
    st.caption("It judges from the next verdict on. What is held stays held.")
    if do_it("Apply", "rule", is_ready=bool(checked.changes and note.strip())):
        order = PolicyOrder(text=wanted, note=note.strip())
        finish(attempt(lambda relay: relay.apply_policy(order)), "The policy is in force.")


def _rollback(version: str) -> None:
    checked = attempt(lambda relay: relay.rollback_policy(RollbackOrder(version=version, dry_run=True)))
    if checked is None:
        return
    st.markdown(f"Version {code(checked.version)} judges again, from the next verdict on.")
    _differences(checked.changes, before="now", after="then")
    note = st.text_input("Note", placeholder="Why?", key="policy_back_note")
    if do_it("Roll back", "undo"):
        order = RollbackOrder(version=version, note=note.strip())
        finish(attempt(lambda relay: relay.rollback_policy(order)), f"Version {checked.version} is in force.")


_APPLY = Order("Apply another policy", "rule", _apply)
_ROLLBACK = Order("Back to another version", "undo", _rollback)
