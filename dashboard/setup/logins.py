"""How an account comes in: its logins, whose passwords are shown once when they are made, and its networks."""

from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.components import notices
from dashboard.components.orders import Order, attempt, do_it, finish, offer
from dashboard.components.table import Column, Kind, table
from dashboard.components.words import code, until
from dashboard.setup import asked
from relay.control.accounts import views
from relay.control.accounts.views import AccountView, CredentialView, Secret
from relay.tree import Role

_LOGINS = [
    Column("login", "Login", width="medium"),
    Column("state", "State"),
    Column("bound", "Only", help="the networks, sender domains or end sender this login is good for"),
    Column("last_used_at", "Last used", Kind.INSTANT),
    Column("last_used_ip", "From"),
    Column("created_at", "Made", Kind.INSTANT),
]
_OVERLAPS = {"24 hours": 86_400.0, "1 hour": 3_600.0, "7 days": 604_800.0, "not a moment: it leaked": 0.0}


def show(account: AccountView, now: datetime) -> None:
    """Logins and networks of an account, with their orders."""
    name = account.name
    logins = asked.credentials(name)
    left, right = st.columns([3, 2])
    with left, notices.aged("logins", logins):
        st.markdown("**Logins** :gray[:small[SMTP AUTH and the HTTP door]]")
        chosen = _table(logins.value, now)
        with st.container(horizontal=True):
            offer("Add login", _ADD.about(name), key="login_add", role=Role.ADMIN)
            if chosen:
                offer("New password", _ROTATE.about(chosen), key="login_rotate", role=Role.ADMIN)
                offer("Revoke", _REVOKE.about(chosen), key="login_revoke", role=Role.ADMIN)
            elif logins.value:
                st.caption("Choose a login to give it a new password or to revoke it.")
    with right:
        _networks(account)


def _table(logins: list[CredentialView], now: datetime) -> str:
    if not logins:
        st.caption("No login: this account comes in by its networks only, or not at all.")
        return ""
    chosen = table(pd.DataFrame([_row(one, now) for one in logins]), _LOGINS, key="logins", ids="login")
    return chosen if any(one.login == chosen and not one.is_revoked for one in logins) else ""


def _row(one: CredentialView, now: datetime) -> dict[str, Any]:
    state = "Revoked" if one.is_revoked else "OK"
    if one.previous_until and one.previous_until > now:
        state += f"; old password {until(one.previous_until, now)}"
    return {
        "login": one.login,
        "state": state,
        "bound": ", ".join([*one.networks, *one.sender_domains, *([one.end_sender] if one.end_sender else [])]),
        "last_used_at": one.last_used_at,
        "last_used_ip": one.last_used_ip,
        "created_at": one.created_at,
    }


def _networks(account: AccountView) -> None:
    st.markdown("**Networks** :gray[:small[clients that need no login]]")
    if account.networks:
        frame = pd.DataFrame({"network": account.networks})
        chosen = table(frame, [Column("network", "Network")], key="networks", ids="network")
    else:
        chosen = ""
        st.caption("None: everybody has to log in.")
    with st.container(horizontal=True):
        offer("Allow network", _ALLOW.about(account.name), key="network_add", role=Role.ADMIN)
        if chosen in account.networks:
            offer("Take it back", _DISALLOW.about(chosen), key="network_remove", role=Role.ADMIN)


def _add(account: str) -> None:
    login = st.text_input("Login", placeholder=f"{account}-web2", key="add_login")
    domains = st.text_input("Only for sender domains", placeholder="all; else divided by blanks", key="add_domains")
    networks = st.text_input("Only from networks", placeholder="all; else like 192.0.2.0/24", key="add_networks")
    if do_it("Add", "add", is_ready=bool(login.strip())):
        new = views.NewCredential(login=login.strip(), sender_domains=domains.split(), networks=networks.split())
        _told(attempt(lambda relay: relay.add_credential(account, new)), f"Login {code(login.strip())} is there.")


def _rotate(login: str) -> None:
    lasts = st.selectbox("The password before stays good for", list(_OVERLAPS), key="rotate_overlap")
    st.markdown(f"{code(login)} gets a new password, good at once. Nobody is logged out; the next login counts.")
    if do_it("Make a new password", "key"):
        order = views.Rotation(overlap_seconds=_OVERLAPS[lasts])
        _told(attempt(lambda relay: relay.rotate_credential(login, order)), f"{code(login)} has a new password.")


def _revoke(login: str) -> None:
    st.markdown(
        f"{code(login)}\n- It is refused from the next login on, for good: there is no way back but a new login.\n"
        f"- Mail it has handed in already is delivered. {_AUDITED.format(data.reader().principal.id)}"
    )
    if do_it("Revoke", "key_off"):
        finish(attempt(lambda relay: relay.revoke_credential(login)), f"Login {login} was revoked.")


def _allow(account: str) -> None:
    network = st.text_input("Network", placeholder="192.0.2.0/24", key="allow_network").strip()
    st.caption(f"Whoever connects from there is {code(account)}, without a login.")
    if do_it("Allow", "lan", is_ready=bool(network)):
        new = views.NewNetwork(network=network)
        finish(attempt(lambda relay: relay.allow(account, new)), f"{network} is {account} now.")


def _disallow(network: str) -> None:
    st.markdown(f"Clients of {code(network)} have to log in from now on.")
    if do_it("Take it back", "remove"):
        order = views.NewNetwork(network=network)
        finish(attempt(lambda relay: relay.disallow(order)), f"{network} is not allowed any more.")


def _told(done: Secret | None, words: str) -> None:
    finish(
        done,
        f"{words} The password is shown this once.",
        ("Login", done.login if done else ""),
        ("Password", done.password if done else ""),
        ("Key of the HTTP door", done.bearer if done else ""),
    )


_AUDITED = "The audit log keeps it under `{}`."
_ADD = Order("Add a login", "add", _add)
_ROTATE = Order("A new password", "key", _rotate)
_REVOKE = Order("Revoke this login", "key_off", _revoke)
_ALLOW = Order("Allow a network", "lan", _allow)
_DISALLOW = Order("Take a network back", "remove", _disallow)
