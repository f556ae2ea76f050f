"""Who may sign in here: their roles and their part of the tree. Only for admins, each in his own part."""

from datetime import datetime

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.components import notices
from dashboard.components.orders import Order, attempt, do_it, finish, may, offer
from dashboard.components.table import Column, Kind, table
from dashboard.components.words import code
from dashboard.setup import asked
from relay.tree import Role
from relay.users.views import NewUser, UserChange, UserView

_ROLES = {
    Role.VIEWER: "viewer: looks",
    Role.ABUSE: "abuse: holds and releases",
    Role.OPERATOR: "operator: changes limits, queues, models, policy",
    Role.ADMIN: "admin: manages accounts and users",
}
_COLUMNS = [
    Column("name", "User", width="medium"),
    Column("role", "Role"),
    Column("sees", "Sees"),
    Column("signs_in", "Signs in by"),
    Column("state", "State"),
    Column("created_at", "Since", Kind.INSTANT),
]


def show(now: datetime) -> None:
    """The users in the reader's part, with their orders."""
    if not may(Role.ADMIN):
        st.info(
            "Users are managed by admins. Where nobody has to sign in yet, the first one is added on the command line:",
            icon=":material/lock:",
        )
        st.code("mailweir user add ann --role admin", language="sh")
        return
    users = asked.users()
    notices.troubles(now, analytics=[], relay=[users])
    offer("Add user", _ADD, key="user_add", role=Role.ADMIN, kind="primary")
    if not users.value:
        st.caption("No user in your part yet." if users.is_fresh else "")
        return
    with notices.aged("users", users):
        chosen = table(pd.DataFrame([_row(one) for one in users.value]), _COLUMNS, key="users", ids="name")
    user = next((one for one in users.value if one.name == chosen), None)
    if user is None:
        st.caption("Choose a user to change, disable or remove them.")
        return
    with st.container(horizontal=True):
        offer("Change role", _CHANGE.about(user.name), key="user_change", role=Role.ADMIN)
        if user.signs_in == "password":
            offer("New password", _PASSWORD.about(user.name), key="user_password", role=Role.ADMIN)
        stand = _ENABLE if user.is_disabled else _DISABLE
        offer("Enable" if user.is_disabled else "Disable", stand.about(user.name), key="user_stand", role=Role.ADMIN)
        offer("Remove", _REMOVE.about(user.name), key="user_remove", role=Role.ADMIN)


def _row(one: UserView) -> dict[str, object]:
    return {
        "name": one.name,
        "role": one.role.value,
        "sees": one.account or one.reseller or "everything",
        "signs_in": one.signs_in,
        "state": "Disabled" if one.is_disabled else "OK",
        "created_at": one.created_at,
    }


def _add(_target: str) -> None:
    scope = data.reader().principal.scope
    name = st.text_input("Name", placeholder="ann", key="user_name").strip()
    role = st.selectbox("Role", list(_ROLES), format_func=_ROLES.__getitem__, key="user_role")
    accounts = sorted(one.name for one in asked.accounts().value)
    resellers = [one.name for one in asked.resellers().value]
    parts = {"everything": ("", "")} if data.reader().sees_everything else {}
    parts |= {f"reseller {one}": (one, "") for one in resellers}
    parts |= {f"account {one}": ("", one) for one in accounts if scope.account in (None, one)}
    part = st.selectbox("Sees", list(parts), key="user_sees")
    by_provider = st.toggle("Signs in through the identity provider, without a password here", key="user_oidc")
    if do_it("Add", "add", is_ready=bool(name and part)):
        reseller, account = parts[part]
        new = NewUser(name=name, role=role, reseller=reseller, account=account, by_provider=by_provider)
        done = attempt(lambda relay: relay.add_user(new))
        _told(done, f"{name} may sign in.")


def _change(name: str) -> None:
    now = next((one.role for one in asked.users().value if one.name == name), Role.VIEWER)
    roles = list(_ROLES)
    role = st.selectbox("Role", roles, roles.index(now), format_func=_ROLES.__getitem__, key="user_role_new")
    st.caption(f"{code(name)} is {now.value}. Another role counts at once, in open sessions too.")
    if do_it("Change", "edit", is_ready=role != now):
        change = UserChange(role=role)
        finish(attempt(lambda relay: relay.change_user(name, change)), f"{name} is {role.value} now.")


def _password(name: str) -> None:
    st.markdown(f"{code(name)} gets a new password; open sessions end.")
    if do_it("Make a new password", "key"):
        change = UserChange(new_password=True)
        _told(attempt(lambda relay: relay.change_user(name, change)), f"{name} has a new password.")


def _disable(name: str) -> None:
    _stand(name, "Disable", "may not sign in any more; open sessions end at once", is_disabled=True)


def _enable(name: str) -> None:
    _stand(name, "Enable", "may sign in again", is_disabled=False)


def _stand(name: str, word: str, words: str, *, is_disabled: bool) -> None:
    st.markdown(f"{code(name)} {words}.")
    if do_it(word, "person_off" if is_disabled else "person"):
        change = UserChange(is_disabled=is_disabled)
        finish(attempt(lambda relay: relay.change_user(name, change)), f"{name} {words}.")


def _remove(name: str) -> None:
    st.markdown(f"{code(name)} is removed and open sessions end. What the audit log has under this name stays.")
    if do_it("Remove", "delete"):
        finish(attempt(lambda relay: relay.remove_user(name)), f"{name} was removed.")


def _told(done: UserView | None, words: str) -> None:
    password = done.password if done else ""
    finish(done, f"{words}{' The password is shown this once.' if password else ''}", ("Password", password))


_ADD = Order("Add a user", "person_add", _add)
_CHANGE = Order("Change the role", "edit", _change)
_PASSWORD = Order("A new password", "key", _password)
_DISABLE = Order("Disable this user", "person_off", _disable)
_ENABLE = Order("Enable this user", "person", _enable)
_REMOVE = Order("Remove this user", "delete", _remove)
