"""Customers' domains: which sign, the records to publish, ready to copy, and what a look into DNS finds."""

from datetime import datetime

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.components import notices
from dashboard.components.orders import Order, attempt, do_it, finish, may, offer
from dashboard.components.table import Column, Kind, table
from dashboard.components.words import code, plain, until, when
from dashboard.setup import asked
from dashboard.theme import UNKNOWN, Look
from relay.delivery.signing.algorithm import Algorithm
from relay.domains.views import CheckReport, DomainOrder, DomainView, Finding, KeyState, KeyView, NewDomain
from relay.tree import Role

_PARAM = "domain"
_FOUND = "domain_report"
_COLUMNS = [
    Column("domain", "Domain", width="medium"),
    Column("account", "Account"),
    Column("signed", "DKIM"),
    Column("verified_at", "Proved", Kind.INSTANT, help="when DNS first proved that it is the account's"),
    Column("return_path_host", "Return path"),
]
_LOOKS = {
    Finding.OK: Look("OK", "check_circle", "green"),
    Finding.MISSING: Look("Missing", "error", "red"),
    Finding.WRONG: Look("Wrong", "error", "red"),
    Finding.UNKNOWN: UNKNOWN,
}
_ADVICE = Look("Optional", "lightbulb", "gray")
_KEYS = {
    KeyState.ACTIVE: Look("Signs", "verified", "green"),
    KeyState.PENDING: Look("Waits for its record", "hourglass_empty", "orange"),
    KeyState.RETIRED: Look("Retired", "history", "gray"),
}


def show(now: datetime) -> None:
    """All domains in the reader's part, and the one that was chosen with its records."""
    domains = asked.domains()
    notices.troubles(now, analytics=[], relay=[domains])
    with st.container(horizontal=True):
        offer("Add domain", _ADD, key="domain_add", role=Role.ADMIN, kind="primary")
    if not domains.value:
        if domains.is_fresh:
            notices.empty(
                "No domain yet. A domain gets a DKIM key of its own, and its records are checked.",
                command="mailweir domain add acme acme.example",
                icon="dns",
            )
        return
    with notices.aged("domains", domains):
        frame = pd.DataFrame([_row(one) for one in domains.value])
        chosen = table(frame, _COLUMNS, key="domains", ids="id", name="domains", height=260)
    if chosen and chosen != st.session_state.get("domains_shown"):
        st.query_params[_PARAM] = st.session_state["domains_shown"] = chosen
    known = {f"{one.account} {one.domain}" for one in domains.value}
    name = st.query_params.get(_PARAM, "")
    if name in known:
        _domain(name, now)
    else:
        st.caption("Choose a domain to see its records and to check them.")


def _row(one: DomainView) -> dict[str, object]:
    signing = [key.selector for key in one.keys if key.state is KeyState.ACTIVE]
    waiting = any(key.state is KeyState.PENDING for key in one.keys)
    return {
        "id": f"{one.account} {one.domain}",
        "domain": one.domain,
        "account": one.account,
        "signed": f"signs with {', '.join(signing)}" if signing else "waits for its record" if waiting else "no key",
        "verified_at": one.verified_at,
        "return_path_host": one.return_path_host,
    }


def _domain(target: str, now: datetime) -> None:
    """`target` is the account and the domain, with a blank between."""
    account, _, name = target.partition(" ")
    none: DomainView | None = None
    reading = data.ask_relay(f"domain {target}", lambda relay: relay.domain(name, account), none)
    view = reading.value
    if view is None:
        st.caption(plain(reading.trouble))
        return
    st.subheader(plain(view.domain), anchor=False)
    for key in view.keys:
        _key(key, target, now)
    if not view.keys:
        st.caption("It has no key: its mail is signed by the relay's own only.")
    with st.container(horizontal=True):
        if may(Role.OPERATOR):
            st.button(
                "Check now", key="domain_check", icon=":material/troubleshoot:", on_click=_ask_dns, args=(target,)
            )
        offer(
            "Make a key" if not view.keys else "Next key", _ROTATE.about(target), key="domain_rotate", role=Role.ADMIN
        )
        offer("Remove domain", _REMOVE.about(target), key="domain_remove", role=Role.ADMIN)
    report: CheckReport | None = st.session_state.get(_FOUND)
    if st.session_state.pop("domain_asked", "") == target:
        with st.spinner("Asking DNS"):
            report = attempt(lambda relay: relay.check_domain(name, DomainOrder(account=account)))
        st.session_state[_FOUND] = report
        data.memory().forget("relay")
    if report is not None and (report.account, report.domain) == (account, name):
        _report(report)
    _records(view)


def _ask_dns(target: str) -> None:
    st.session_state["domain_asked"] = target


def _key(key: KeyView, target: str, now: datetime) -> None:
    rest = f"since {when(key.seen_at, now)}" if key.seen_at else f"made {when(key.created_at, now)}"
    if key.keep_until and key.keep_until > now:
        rest = f"leave its record in DNS {until(key.keep_until, now)}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"{_KEYS[key.state].badge} {code(key.selector)} :gray[{plain(key.algorithm.value)}, {plain(rest)}]",
            width="content",
        )
        if key.state is not KeyState.RETIRED:
            offer(
                "End",
                _END.about(f"{target} {key.selector}"),
                key=f"end-{key.selector}",
                role=Role.ADMIN,
                kind="tertiary",
            )


def _report(report: CheckReport) -> None:
    with st.container(border=True):
        missing = [line for line in report.lines if line.is_needed and line.finding is not Finding.OK]
        st.markdown(
            "**All that is needed is there.**" if report.is_ok else f"**{len(missing)} to mend before it is right.**"
        )
        for line in report.lines:
            shown = _LOOKS[line.finding] if line.is_needed or line.finding is Finding.OK else _ADVICE
            st.markdown(f"{shown.badge} **{plain(line.what)}** {plain(line.text)}")
            if line.found and line.finding is not Finding.OK:
                st.markdown(f":gray[There is] {code(line.found)}")
            if line.wanted and line.finding is not Finding.OK:
                st.caption("It should be")
                st.code(line.wanted, language=None, wrap_lines=True)
        for words, selectors in (("signs from now on", report.activated), ("does not sign any more", report.retired)):
            for selector in selectors:
                st.markdown(f"{code(selector)} {words}.")


def _records(view: DomainView) -> None:
    if not view.records:
        return
    how = st.segmented_control(
        "Write the records for", ["a web form", "a zone file"], default="a web form", required=True, key="records"
    )
    if how == "a zone file":
        st.code("\n".join(f"; {one.why}\n{one.zone_line}" for one in view.records), language=None)
        return
    for one in view.records:
        with st.container(border=True):
            st.markdown(f"**{plain(one.kind)}** {plain(one.why)}")
            st.code(one.name, language=None)
            st.code(one.value, language=None, wrap_lines=True)


def _add(_target: str) -> None:
    accounts = sorted(one.name for one in asked.accounts().value)
    account = st.selectbox("Account", accounts, key="domain_account")
    name = st.text_input("Domain", placeholder="acme.example", key="domain_name").strip()
    algorithms = st.pills(
        "Keys",
        list(Algorithm),
        default=[Algorithm.RSA],
        selection_mode="multi",
        key="domain_keys",
        format_func=lambda one: one.value,
        help="Ed25519 alone is not enough: many receivers do not check it.",
    )
    if do_it("Add", "add", is_ready=bool(name and account and algorithms)):
        new = NewDomain(account=account, domain=name, algorithms=tuple(algorithms))
        done = attempt(lambda relay: relay.add_domain(new))
        if done is not None:
            st.query_params[_PARAM] = f"{done.account} {done.domain}"
        finish(done, f"{name} is there. Publish its records, then check it.")


def _rotate(target: str) -> None:
    account, _, name = target.partition(" ")
    known = next((one for one in asked.domains().value if (one.account, one.domain) == (account, name)), None)
    waits = next((key for key in known.keys if _is_next(key)), None) if known else None
    if waits is not None:
        st.markdown(
            f"{code(waits.selector)} still waits for its record: until that is seen in DNS there is no further key."
        )
    else:
        st.markdown(
            f"{code(name)} gets a further key. It signs once its record is seen in DNS; until then the one before goes "
            "on."
        )
    if do_it("Show its record" if waits else "Make the key", "key"):
        done = attempt(lambda relay: relay.rotate_key(name, DomainOrder(account=account)))
        finish(
            done,
            "The key is there; publish its record.",
            *(((r.why, r.zone_line) for r in done.records) if done else ()),
        )


def _is_next(key: KeyView) -> bool:
    """Tell whether the relay would answer with this one rather than make another."""
    return key.state is KeyState.PENDING and key.algorithm is Algorithm.RSA


def _end(target: str) -> None:
    account, name, selector = target.split(" ")
    st.markdown(
        f"{code(selector)} stops to sign, for good: its private half is forgotten. Leave its record in DNS as long as "
        "mail it signed may be on its way."
    )
    if do_it("End it", "key_off"):
        order = DomainOrder(account=account, selector=selector)
        finish(attempt(lambda relay: relay.end_key(name, order)), f"{selector} was ended.")


def _remove(target: str) -> None:
    account, _, name = target.partition(" ")
    st.markdown(
        f"{code(name)} is not {code(account)}'s any more; its keys stop to sign and wait in case it comes back."
    )
    if do_it("Remove", "delete"):
        done = attempt(lambda relay: relay.remove_domain(name, DomainOrder(account=account)))
        finish(done, f"{name} was removed.")


_ADD = Order("Add a domain", "add", _add)
_ROTATE = Order("A further key", "key", _rotate)
_END = Order("End this key", "key_off", _end)
_REMOVE = Order("Remove this domain", "delete", _remove)
