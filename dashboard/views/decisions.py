"""Decisions: who was stopped, why, how sure, and every answer a person can give; one case, or many at once."""

from collections.abc import Callable
from datetime import timedelta

import pandas as pd
import streamlit as st

from dashboard import actions, data
from dashboard.actions import Kind
from dashboard.components import cards, case, notices, places
from dashboard.components.table import Column, clear, many, table
from dashboard.components.table import Kind as Cell
from dashboard.components.words import count, plain, sender_parts, share
from dashboard.data import Reading
from dashboard.theme import look
from relay.control.views import DecisionView
from relay.notices.texts import redacted
from relay.policy.decisions.decision import AUTOMATIC, Effect
from relay.tree import Role

_CARDS = 5  # whole cards on one page; more cases are worked from the table
_TABS = {"open": "Open", "auto": "Auto-released", "undone": "Undone", "all": "All", "texts": "Parked texts"}
_SURE = {"any": 0.0, "at least 90 %": 0.9, "at least 99 %": 0.99, "at least 99.9 %": 0.999}
_AGES = {"any": None, "last hour": timedelta(hours=1), "last day": timedelta(days=1), "last week": timedelta(days=7)}
_COLUMNS = [
    Column("since", "Since", Cell.INSTANT),
    Column("state", "State"),
    Column("sender", "Sender", width="medium"),
    Column("account", "Account"),
    Column("certainty", "How sure", Cell.SHARE),
    Column("held", "Parked", Cell.COUNT),
    Column("reason", "Because", width="large"),
    Column("answered", "Answered by"),  # the last: open ones have no answer yet
]
_TEXTS = [
    Column("subject", "Latest subject", width="large"),
    Column("messages", "Messages", Cell.COUNT),
    Column("senders", "Senders", Cell.COUNT),
    Column("recipients", "Recipients", Cell.COUNT),
    Column("score_to", "Score up to", Cell.SCORE),
    Column("last_at", "Last", Cell.INSTANT),
]


@st.fragment(run_every=2)
def _live() -> None:
    actions.rerun_if_requested()
    now = data.now()
    if wanted := st.query_params.get("decision"):
        _one(wanted)
        return
    places.header("Decisions", now)
    every = data.decisions(limit=1000)
    notices.troubles(now, analytics=[], relay=[every])
    about = [row for row in every.value if row.effect not in (Effect.RELEASE, Effect.CONFIRM)]
    shown = _tabs(about, is_known=every.as_of is not None)
    with notices.aged("decisions", every):
        if every.as_of is not None and not about:
            notices.empty(
                "Nobody was ever stopped. When a sender's mail turns to spam, its case opens here with the reason "
                "in words. To stop one by hand, open its page, or:",
                command="mailweir sender hold 'account|kind|value'",
                icon="verified_user",
            )
        elif shown == "texts":
            _texts()
        else:
            rows = _filtered([row for row in about if _BELONGS[shown](row)])
            # statements: a bare expression in a page's own file is written onto the page
            if shown == "open":
                _open(rows, every)
            else:
                _table(rows, key=f"cases_{shown}")
    _overturned()


_BELONGS: dict[str, Callable[[DecisionView], bool]] = {
    "open": lambda row: row.is_open,
    "auto": lambda row: not row.is_open and row.released_by in ("", AUTOMATIC),
    "undone": lambda row: row.released_by not in ("", AUTOMATIC),
    "all": lambda row: True,
}


def _tabs(about: list[DecisionView], *, is_known: bool) -> str:
    sizes = {name: sum(belongs(row) for row in about) for name, belongs in _BELONGS.items()} if is_known else {}
    wanted = st.query_params.get("show", "open")  # not bound: the words have counts in them, which the address must not
    shown = st.segmented_control(
        "Show",
        list(_TABS),
        default=wanted if wanted in _TABS else "open",
        key="shown_tab",
        required=True,
        label_visibility="collapsed",
        format_func=lambda name: f"{_TABS[name]} · {sizes[name]}" if name in sizes else _TABS[name],
    )
    if shown and shown != wanted:
        st.query_params["show"] = shown
    return str(shown or "open")


def _filtered(rows: list[DecisionView]) -> list[DecisionView]:
    """Those that fit the filters, which stand in the address; newest first."""
    effects = ["any", *dict.fromkeys(look(row.effect).word for row in rows)]
    accounts = ["any", *sorted({row.account for row in rows})]
    with st.container(horizontal=True, gap="small"):
        effect = _choice("Action", effects, "action")
        account = _choice("Account", accounts, "of_account")
        sure = _choice("How sure", list(_SURE), "sure")
        age = _choice("Age", list(_AGES), "age")
    since = _AGES.get(age)
    return [
        row
        for row in rows
        if effect in ("any", look(row.effect).word)
        and account in ("any", row.account)
        and (sure == "any" or (row.certainty or 0.0) >= _SURE.get(sure, 0.0))
        and (since is None or data.now() - row.starts_at <= since)
    ]


def _choice(label: str, options: list[str], key: str) -> str:
    wanted = st.query_params.get(key, "")
    options = options if wanted in ("", *options) else [*options, wanted]  # nothing of that kind now: an empty list
    chosen = st.selectbox(label, options, key=key, bind="query-params", width=170)
    return str(chosen or "any")


def _open(rows: list[DecisionView], every: Reading[list[DecisionView]]) -> None:
    if not rows and every.as_of is not None:
        st.markdown(
            ":green-badge[:material/check_circle: No open decisions] "
            ":gray[None fits these filters; past cases are under All.]"
        )
        return
    stops = [row for row in rows if cards.stops_mail(row)]
    if len(rows) > 1 and data.reader().may(Role.ABUSE):
        ticked = many(_frame(rows), _COLUMNS[:-1], key="cases_open", ids="id", name="open-decisions")
        _bulk([row for row in rows if row.id in ticked], is_stale=not every.is_fresh)
    for row in (stops + [row for row in rows if row not in stops])[:_CARDS]:
        cards.card(row, is_stale=not every.is_fresh)


def _bulk(ticked: list[DecisionView], *, is_stale: bool) -> None:
    """What can be done with the ticked cases together."""
    if not ticked:
        st.caption("Tick cases to open one, or to answer several at once.")
        return
    ids = tuple(row.id for row in ticked)
    stops = tuple(row.id for row in ticked if cards.needs_somebody(row))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if len(ticked) == 1:
            places.decision_link(ids[0], label=f"Open {ids[0]}")
        _all(f"Confirm {count(len(stops))}", Kind.CONFIRM_MANY, "gavel", stops, is_stale=is_stale)
        _all(f"Not spam: release {count(len(ids))}", Kind.RELEASE_MANY, "lock_open", ids, is_stale=is_stale)


def _all(label: str, kind: Kind, icon: str, ids: tuple[str, ...], *, is_stale: bool) -> None:
    st.button(
        label,
        key=f"bulk-{kind.value}",
        icon=f":material/{icon}:",
        disabled=is_stale or not ids,
        on_click=actions.request,
        args=(kind, "", "", ids),
    )


def _texts() -> None:
    """Parked mail by its text, whoever sent it: one answer for a campaign."""
    groups = data.held_groups("cluster")
    if not groups.value:
        st.markdown(":gray-badge[:material/inbox: No mail is parked]" if groups.is_fresh else ":gray[Not known.]")
        return
    frame = pd.DataFrame(
        [
            {
                "key": group.key,
                "subject": redacted(group.subject) or "(no subject)",
                "messages": group.messages,
                "senders": group.senders,
                "recipients": group.recipients,
                "score_to": group.score_to,
                "last_at": group.last_at,
            }
            for group in groups.value
        ]
    )
    with notices.aged("texts", groups):
        ticked = many(frame, _TEXTS, key="texts", ids="key", name="parked-texts")
    if not data.reader().may(Role.ABUSE):
        return
    st.caption("Nearly equal texts are one row. What is released goes out; its senders stay as they stand.")
    words = f"Not spam: release {count(len(ticked))} text{'' if len(ticked) == 1 else 's'}"
    is_stale = not groups.is_fresh
    with st.container(horizontal=True, gap="small"):
        _all(words, Kind.RELEASE_TEXTS, "lock_open", tuple(one for one in ticked if one), is_stale=is_stale)
        st.button(
            "Release by score",
            key="release-scores",
            icon=":material/lock_open:",
            disabled=is_stale,
            on_click=actions.request,
            args=(Kind.RELEASE_SCORES, "", ""),
        )


def _table(rows: list[DecisionView], *, key: str) -> None:
    """Cases as rows; a click opens the case."""
    if not rows:
        st.markdown(
            ":gray-badge[:material/inbox: None] :gray[No case fits; what is over stays here with who ended it.]"
        )
        return
    if found := table(_frame(rows), _COLUMNS, key=key, ids="id", name="decisions"):
        st.session_state["open_decision"] = found
        clear(key)
        st.rerun(scope="app")
    st.caption("Choose a row to open its case.")


def _frame(rows: list[DecisionView]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "since": row.starts_at,
                "state": cards.state_of(row).word,
                "sender": sender_parts(row.sender)[2],
                "account": row.account,
                "certainty": row.certainty,
                "held": row.held,
                "reason": row.reason,
                "answered": row.released_by or row.confirmed_by or "–",
                "id": row.id,
            }
            for row in rows
        ]
    )


def _overturned() -> None:
    """How often people say that the relay was wrong, by week."""
    weeks = data.query("overturned", fresh_seconds=data.SLOW_FRESH_SECONDS)
    if weeks.value.empty:
        return
    with notices.aged("overturned", weeks):
        st.markdown("**Overturned by people** :gray[:small[of what the relay decided by itself: stops called no spam]]")
        known = [
            f"Week of {pd.Timestamp(row.week_at):%-d %b}: {share(float(row.overturned), float(row.decided))}"
            for row in weeks.value.head(6).itertuples()
        ]
        st.markdown(" · ".join(known))


def _one(decision_id: str) -> None:
    now = data.now()
    places.header(f"Decision {decision_id}", now)
    places.back("All decisions", "decision")
    reading = data.decision(decision_id)
    if reading.value is None:
        if reading.as_of is None and reading.trouble and data.relay_status().is_fresh:
            notices.empty(
                f"{plain(reading.trouble)}. It may belong to another node, or the link is cut off.", icon="search_off"
            )
        else:
            notices.troubles(now, analytics=[], relay=[reading])
        return
    notices.troubles(now, analytics=[], relay=[reading])
    with notices.aged("decision", reading):
        cards.card(reading.value, is_stale=not reading.is_fresh, place="alone")
        if cards.stops_mail(reading.value):
            case.evidence(reading.value)


if chosen_id := st.session_state.pop("open_decision", None):
    st.query_params["decision"] = chosen_id
_live()
