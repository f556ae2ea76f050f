"""Accounts and resellers: the tree in one table, and one account with its limits, logins and networks below it."""

from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.components import notices
from dashboard.components.orders import Order, Reach, offer
from dashboard.components.table import Column, Kind, table
from dashboard.components.tiles import facts
from dashboard.components.words import code, count, label_of, plain, when
from dashboard.data import Reading
from dashboard.setup import account_orders as orders
from dashboard.setup import asked, logins
from dashboard.theme import look
from relay.control.accounts.views import AccountView, Limits, LimitView, ResellerView
from relay.policy.limits.levels import Level
from relay.tree import Role

_PARAM = "account"
_COLUMNS = [
    Column("reseller", "Reseller"),
    Column("name", "Account", width="medium"),
    Column("state", "State"),
    Column("hosts", "Senders", help="many: a shared host, its users named one by one; one: the customer itself"),
    Column("per_hour", "Recipients/h", help="its limit on all it sends; default: that of the settings"),
    Column("logins", "Logins", Kind.COUNT),
    Column("networks", "Networks", Kind.COUNT),
    Column("domains", "Domains", Kind.COUNT),
]
_LIMITS = list(Limits.__struct_fields__)


def show(now: datetime) -> None:
    """The tree, and the account that was chosen, by a click or in the address."""
    accounts = asked.accounts()
    resellers = asked.resellers()
    notices.troubles(now, analytics=[], relay=[accounts, resellers])
    with st.container(horizontal=True):
        offer("Add account", orders.ADD, key="account_add", role=Role.ADMIN, kind="primary", reach=Reach.RESELLER)
        offer("Add reseller", orders.ADD_RESELLER, key="reseller_add", role=Role.ADMIN, reach=Reach.WHOLE)
    with notices.aged("accounts", accounts, resellers):
        _resellers(resellers)
        name = _tree(accounts)
    account = next((one for one in accounts.value if one.name == name), None)
    if account is not None:
        _account(account, now)
    elif name:
        st.caption(f"There is no account {code(name)} in your part of the installation.")


def _tree(accounts: Reading[list[AccountView]]) -> str:
    if not accounts.value:
        if accounts.is_fresh:
            notices.empty(
                "No account yet. One account is one customer: it gets a login, or its servers' addresses are allowed.",
                command="mailweir account add acme --login acme",
                icon="apartment",
            )
        return ""
    rows = sorted(accounts.value, key=lambda one: (one.reseller, one.name))
    chosen = table(pd.DataFrame(map(_row, rows)), _COLUMNS, key="accounts", ids="name")
    if chosen and chosen != st.session_state.get("accounts_shown"):
        st.query_params[_PARAM] = st.session_state["accounts_shown"] = chosen
    name = st.query_params.get(_PARAM, "")
    if not name:
        st.caption("Choose an account to see its limits, logins and networks.")
    return name


def _row(account: AccountView) -> dict[str, Any]:
    whole = next((one for one in account.limits if one.level is Level.ACCOUNT), None)
    return {
        "reseller": account.reseller or "–",
        "name": account.name,
        "state": "Reseller suspended" if account.is_reseller_suspended else look(_state(account)).word,
        "hosts": "many" if account.shared_host else "one",
        "per_hour": _limit(whole.rcpts_per_hour if whole else None),
        "logins": len(account.logins),
        "networks": len(account.networks),
        "domains": len(account.domains),
    }


def _resellers(resellers: Reading[list[ResellerView]]) -> None:
    for one in resellers.value:
        with st.container(horizontal=True, vertical_alignment="center"):
            badge = look("suspended" if one.is_suspended else "ok").badge
            st.markdown(
                f":material/storefront: **{plain(one.name)}** {badge} "
                f":gray[{count(one.accounts)} account{'' if one.accounts == 1 else 's'}{_an_hour(one)}]",
                width="content",
            )
            order = orders.RESUME_RESELLER if one.is_suspended else orders.SUSPEND_RESELLER
            offer(
                "Resume" if one.is_suspended else "Suspend",
                order.about(one.name),
                key=f"reseller-stand-{one.name}",
                role=Role.ADMIN,
                kind="tertiary",
                reach=Reach.WHOLE,
            )
            offer(
                "Limits",
                orders.LIMITS.about(f"{Level.RESELLER.value} {one.name}"),
                key=f"reseller-limits-{one.name}",
                kind="tertiary",
                reach=Reach.WHOLE,
            )


def _an_hour(reseller: ResellerView) -> str:
    limit = reseller.limits.rcpts_per_hour
    return "" if limit is None else f", {_limit(limit)}" + (" recipients an hour" if limit else "")


def _account(account: AccountView, now: datetime) -> None:
    with st.container(border=True):
        st.subheader(f"{plain(account.name)} {look(_state(account)).badge}", anchor=False)
        facts(
            [
                ("Reseller", plain(account.reseller or "none")),
                ("Senders", "many, one by one" if account.shared_host else "the customer itself"),
                ("Contact", plain(account.contact or "none")),
                ("Pool", plain(account.pool or "that of all")),
                ("Identity rules", plain(", ".join(account.identity_rules) or "the usual order")),
                ("List-Unsubscribe", "added" if account.list_unsubscribe else "left as it is"),
                ("Since", when(account.created_at, now)),
            ]
        )
        _account_buttons(account)
    _limits(account)
    logins.show(account, now)


def _account_buttons(account: AccountView) -> None:
    name = account.name
    order: Order = orders.RESUME if account.is_suspended else orders.SUSPEND
    with st.container(horizontal=True):
        offer("Change", orders.CHANGE.about(name), key="account_change", role=Role.ADMIN)
        offer(
            "Resume" if account.is_suspended else "Suspend",
            order.about(name),
            key="account_stand",
            role=Role.ADMIN,
            reach=Reach.RESELLER,
        )
        offer("Remove", orders.REMOVE.about(name), key="account_remove", role=Role.ADMIN, reach=Reach.RESELLER)


def _limits(account: AccountView) -> None:
    st.markdown(
        "**Limits** :gray[:small[empty: the wider level's or the settings'; the narrowest that is reached counts]]"
    )
    if account.limits:
        columns = [Column("level", "Of"), Column("key", "Which", width="medium")]
        columns += [Column(name, label_of(name).replace("Rcpts", "Recipients")) for name in _LIMITS]
        table(pd.DataFrame(map(_limit_row, account.limits)), columns, key="limits")
    else:
        st.caption("No limits of its own: those of the settings hold.")
    with st.container(horizontal=True):
        for level, words in ((Level.ACCOUNT, "Limit all it sends"), (Level.SENDERS, "Limit each of its senders")):
            offer(
                words,
                orders.LIMITS.about(f"{level.value} {account.name}"),
                key=f"limit_{level.value}",
                reach=Reach.RESELLER,
            )


def _limit_row(one: LimitView) -> dict[str, str]:
    row = {"level": label_of(one.level.value), "key": one.key}
    return row | {name: _limit(getattr(one, name), "") for name in _LIMITS}


def _limit(value: int | None, none: str = "default") -> str:
    return none if value is None else "no limit" if value == 0 else count(value)


def _state(account: AccountView) -> str:
    return "suspended" if account.is_suspended or account.is_reseller_suspended else "ok"
