"""Webhooks: which endpoints are called for what, a test call, and the log of the calls that were made."""

from datetime import datetime

import pandas as pd
import streamlit as st

from analytics.webhooks.trial import call_once
from dashboard import data
from dashboard.components import notices
from dashboard.components.orders import Order, Reach, attempt, do_it, finish, may, offer
from dashboard.components.places import window
from dashboard.components.table import Column, Kind, table
from dashboard.components.words import code, count, plain, seconds, share
from dashboard.setup import asked
from relay.control.webhooks.conditions import CONDITIONS
from relay.control.webhooks.views import NewWebhook, WebhookView
from relay.tree import Role

_TEST = "webhook_tried"
_ENDPOINTS = [
    Column("url", "Calls", width="large"),
    Column("account", "For account"),
    Column("conditions", "For", width="medium"),
    Column("created_at", "Since", Kind.INSTANT),
    Column("id", "Webhook"),
]
_CALLS = [
    Column("logged_at", "At", Kind.INSTANT),
    Column("condition", "Condition", width="medium"),
    Column("sender", "Sender", width="medium"),
    Column("how", "How it went", width="medium"),
    Column("attempt", "Try", Kind.COUNT),
    Column("seconds", "Took", Kind.SECONDS),
    Column("url", "Endpoint", width="medium"),
]


def show(now: datetime) -> None:
    """Endpoints with their orders, and below them the calls of the window."""
    if not may(Role.ABUSE):
        st.info("Webhooks are shown from the role abuse on.", icon=":material/lock:")
        return
    hooks = asked.webhooks()
    calls = data.query("webhook_calls", window())
    notices.troubles(now, analytics=[calls], relay=[hooks])
    offer("Add webhook", _ADD, key="webhook_add", kind="primary")
    chosen = ""
    if hooks.value:
        with notices.aged("webhooks", hooks):
            chosen = table(pd.DataFrame([_row(one) for one in hooks.value]), _ENDPOINTS, key="webhooks", ids="id")
        _buttons(next((one for one in hooks.value if one.id == chosen), None))
    elif hooks.is_fresh:
        notices.empty(
            "No webhook yet. An endpoint of yours is called when a sender is stopped or released, or an alarm rises.",
            command="mailweir webhook add https://hooks.example.org/mail --account acme",
            icon="webhook",
        )
    _tried()
    with notices.aged("calls", calls):
        _calls(calls.value, chosen)


def _row(one: WebhookView) -> dict[str, object]:
    return {
        "id": one.id,
        "url": one.url,
        "account": one.account or "all",
        "conditions": ", ".join(one.conditions) or "everything",
        "created_at": one.created_at,
    }


def _buttons(one: WebhookView | None) -> None:
    if one is None:
        st.caption("Choose a webhook to test or remove it, and to see its calls only.")
        return
    with st.container(horizontal=True):
        if may(Role.OPERATOR, Reach.WHOLE):  # a test is signed, and who signs must know the secrets
            st.button("Test it", key="webhook_test", icon=":material/send:", on_click=_try, args=(one.id,))
        offer("Remove", _REMOVE.about(one.id), key="webhook_remove")


def _try(webhook: str) -> None:
    st.session_state[_TEST] = webhook


def _tried() -> None:
    webhook = st.session_state.pop(_TEST, "")
    if not webhook:
        return
    with st.spinner("Calling"):
        keys = attempt(lambda relay: relay.webhook_keys())
        key = next((one for one in keys or [] if one.id == webhook), None)
        if key is None:
            return
        answer = call_once(data.settings(), key)
    if answer.is_delivered:
        st.success(
            f"{code(key.url)} answered {answer.code} after {seconds(answer.seconds)}.", icon=":material/check_circle:"
        )
    else:
        st.error(f"{code(key.url)}: {plain(answer.error)}, after {seconds(answer.seconds)}.", icon=":material/error:")


def _calls(calls: pd.DataFrame, webhook: str) -> None:
    st.markdown(
        f"**Calls** :gray[:small[{window().words}{', of this webhook' if webhook else ''}; tests are not in it]]"
    )
    shown = calls[calls["webhook"] == webhook] if webhook else calls
    if shown.empty:
        st.caption("No calls: nothing happened that an endpoint asked for.")
        return
    final = shown[shown["is_final"].astype(bool)]
    delivered = int(final["is_delivered"].astype(bool).sum())
    st.caption(f"{count(len(final))} ended; taken by their endpoint: {share(delivered, len(final))}")
    table(shown.assign(how=[_how(row) for row in shown.itertuples()]), _CALLS, key="calls", name="webhook-calls")


def _how(row: object) -> str:
    if getattr(row, "is_delivered", False):
        return f"answered {getattr(row, 'code', 0):.0f}"
    given_up = getattr(row, "is_final", False) and getattr(row, "attempt", 0)
    return f"{getattr(row, 'error', '')}{'; given up' if given_up else '; tried again'}"


def _add(_target: str) -> None:
    accounts = sorted(one.name for one in asked.accounts().value)
    is_whole = data.reader().sees_everything
    url = st.text_input("URL", placeholder="https://hooks.example.org/mail", key="webhook_url").strip()
    choices = ["", *accounts] if is_whole else accounts
    account = st.selectbox("For account", choices, format_func=lambda one: one or "all accounts", key="webhook_account")
    conditions = st.multiselect(
        "Only for", list(CONDITIONS), format_func=CONDITIONS.__getitem__, placeholder="everything", key="webhook_for"
    )
    if do_it("Add", "add", is_ready=bool(url) and account is not None):
        new = NewWebhook(url=url, account=account or "", conditions=conditions)
        done = attempt(lambda relay: relay.add_webhook(new))
        secret = done.secret if done else ""
        finish(done, "It is called from now on. The secret is shown this once.", ("Calls are signed with", secret))


def _remove(webhook: str) -> None:
    st.markdown(
        f"{code(webhook)} is called no more; what waits for it is not sent. Added again it gets another secret."
    )
    if do_it("Remove", "delete"):
        finish(attempt(lambda relay: relay.remove_webhook(webhook)), f"Webhook {webhook} was removed.")


_ADD = Order("Add a webhook", "webhook", _add)
_REMOVE = Order("Remove this webhook", "delete", _remove)
