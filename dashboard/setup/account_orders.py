"""The dialogs about resellers, accounts and their limits; each says what will happen before it does it."""

from typing import Any

import streamlit as st

from dashboard import data
from dashboard.components.orders import Order, attempt, do_it, finish
from dashboard.components.words import code, count, label_of, plain
from dashboard.setup import asked
from relay.control.accounts import views
from relay.control.accounts.views import AccountChanged
from relay.policy.limits.levels import Level

_LIMITS = list(views.Limits.__struct_fields__)


def _add(_target: str) -> None:
    name = st.text_input("Name", placeholder="acme", key="new_account", help="Short; it stands in every sender's key.")
    resellers = [one.name for one in asked.resellers().value]
    own = data.reader().principal.scope.reseller
    reseller = own or st.selectbox("Reseller", ["", *resellers], format_func=lambda one: one or "none", key="new_of")
    is_shared = st.toggle(
        "A shared host: many people send through its login", key="new_shared", help="A web server, a panel."
    )
    contact = st.text_input("Contact", placeholder="postmaster@acme.example", key="new_contact")
    login = st.text_input("Login", value="", placeholder="the same as the name", key="new_login")
    is_ready = bool(name.strip())
    if do_it("Add", "add", is_ready=is_ready):
        new = views.NewAccount(
            name=name.strip(),
            reseller=reseller or "",
            shared_host=is_shared,
            contact=contact.strip(),
            login=login.strip() or name.strip(),
        )
        done = attempt(lambda relay: relay.add_account(new))
        secret = done.secret if done else None
        finish(
            done,
            f"Account {code(name.strip())} is there. Its password is shown this once.",
            ("Login", secret.login if secret else ""),
            ("Password", secret.password if secret else ""),
            ("Key of the HTTP door", secret.bearer if secret else ""),
        )


def _add_reseller(_target: str) -> None:
    name = st.text_input("Name", placeholder="northmail", key="new_reseller")
    if do_it("Add", "add", is_ready=bool(name.strip())):
        new = views.NewReseller(name=name.strip())
        finish(attempt(lambda relay: relay.add_reseller(new)), f"Reseller {name.strip()} is there.")


def _change(name: str) -> None:
    account = attempt(lambda relay: relay.account(name))
    if account is None:
        return
    contact = st.text_input("Contact", value=account.contact, key="change_contact")
    is_shared = st.toggle("A shared host: many people send through its login", value=account.shared_host, key="shared")
    adds_links = st.toggle(
        "Add List-Unsubscribe to mail without one", value=account.list_unsubscribe, key="change_list"
    )
    ends = st.toggle("Repair bare line ends instead of refusing them", value=account.normalises_line_ends, key="ends")
    change = views.AccountChange(
        contact=contact.strip(), shared_host=is_shared, list_unsubscribe=adds_links, normalises_line_ends=ends
    )
    if do_it("Change", "edit"):
        finish(attempt(lambda relay: relay.change_account(name, change)), f"Account {name} was changed.")


def _suspend(name: str) -> None:
    _stand(
        name,
        "- All its new mail is refused at once, and what waits is parked; nothing is deleted.\n"
        "- Its logins and settings stay. Resume frees the parked mail again.",
        is_suspended=True,
    )


def _resume(name: str) -> None:
    _stand(name, "- It may send again at once, and its parked mail goes to delivery.", is_suspended=False)


def _stand(name: str, words: str, *, is_suspended: bool) -> None:
    st.markdown(f"{code(name)}\n{words}\n- Nobody else is touched. {_audited()}")
    word = "Suspend" if is_suspended else "Resume"
    if do_it(word, "do_not_disturb_on" if is_suspended else "play_arrow"):
        done: AccountChanged | None = attempt(
            lambda relay: relay.suspend_account(name) if is_suspended else relay.resume_account(name)
        )
        finish(done, f"Account {name} was {'suspended' if is_suspended else 'resumed'}.")


def _remove(name: str) -> None:
    seen = attempt(lambda relay: relay.remove_account(name, views.Order(dry_run=True, force=True)))
    if seen is None:
        return
    st.markdown(
        f"{code(name)}\n- Its logins are revoked and its networks forgotten. Its history stays.\n"
        f"- **{count(seen.waiting)}** messages wait and are still delivered, **{count(seen.held)}** are parked and "
        f"stay until somebody decides.\n- {_audited()}"
    )
    is_meant = st.text_input("Write its name to remove it", key="remove_name").strip() == name
    if do_it("Remove", "delete", is_ready=is_meant):
        order = views.Order(force=True)
        finish(attempt(lambda relay: relay.remove_account(name, order)), f"Account {name} was removed.")


def _suspend_reseller(name: str) -> None:
    accounts = _accounts_of(name)
    st.markdown(
        f"{code(name)}\n- All mail of its **{count(len(accounts))}** accounts is refused at once: "
        f"{plain(', '.join(accounts[:12]) or 'none')}{' …' if len(accounts) > 12 else ''}\n- {_audited()}"
    )
    if do_it("Suspend", "do_not_disturb_on"):
        finish(attempt(lambda relay: relay.suspend_reseller(name)), f"Reseller {name} was suspended.")


def _resume_reseller(name: str) -> None:
    st.markdown(f"{code(name)}\n- Its accounts may send again, except those that are suspended themselves.")
    if do_it("Resume", "play_arrow"):
        finish(attempt(lambda relay: relay.resume_reseller(name)), f"Reseller {name} was resumed.")


def _set_limits(target: str) -> None:
    """`target` is the level and its key, with a blank between."""
    level, _, key = target.partition(" ")
    known = attempt(lambda relay: relay.limits())
    if known is None:
        return
    now = next((one for one in known if (one.level, one.key) == (Level(level), key)), views.Limits())
    st.markdown(f"{label_of(level)} {code(key)}  \nEmpty gives a limit back to the wider level, 0 lifts it.")
    values: dict[str, Any] = {}
    for name in _LIMITS:
        words = label_of(name).replace("rcpts", "recipients").replace("Rcpts", "Recipients")
        values[name] = st.number_input(
            words, min_value=0, step=1, value=getattr(now, name), placeholder="as wider", key=f"limit-{name}"
        )
    is_changed = any(values[name] != getattr(now, name) for name in _LIMITS)
    if do_it("Set limits", "speed", is_ready=is_changed):
        order = views.LimitOrder(level=Level(level), key=key, **values)
        finish(attempt(lambda relay: relay.set_limits(order)), f"Limits of {key} were set.")


def _accounts_of(reseller: str) -> list[str]:
    accounts = asked.accounts().value
    return sorted(one.name for one in accounts if one.reseller == reseller)


def _audited() -> str:
    return f"The audit log keeps it under {code(data.reader().principal.id)}."


ADD = Order("Add an account", "add", _add)
ADD_RESELLER = Order("Add a reseller", "storefront", _add_reseller)
CHANGE = Order("Change this account", "edit", _change)
SUSPEND = Order("Suspend this account", "do_not_disturb_on", _suspend)
RESUME = Order("Resume this account", "play_arrow", _resume)
REMOVE = Order("Remove this account", "delete", _remove)
SUSPEND_RESELLER = Order("Suspend this reseller", "do_not_disturb_on", _suspend_reseller)
RESUME_RESELLER = Order("Resume this reseller", "play_arrow", _resume_reseller)
LIMITS = Order("Set limits", "speed", _set_limits)
