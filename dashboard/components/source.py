"""One address: how it stands, its warm-up against the plan, who hurt it, and what can be done."""

from datetime import datetime, timedelta

import streamlit as st

from dashboard import asking, data
from dashboard.asking import Wanted
from dashboard.charts import of_egress
from dashboard.components import listings, notices, places, reputation, source_orders, warmup
from dashboard.components.table import Column, Kind, table
from dashboard.components.tiles import facts
from dashboard.components.words import ago, code, plain, sender_parts, until, when
from dashboard.data import delivery
from dashboard.theme import Look, look, palette
from relay.control.egress.views import SourceView, WarmupView
from relay.delivery.egress.sources import SourceState

_OTHERS = "all providers"
_CULPRITS = [
    Column("sender", "Sender", width="medium"),
    Column("account", "Account"),
    Column("probability", "Caused it", Kind.SHARE, help="The probability that this sender caused it, see the docs."),
    Column("mails", "Mails", Kind.COUNT),
    Column("spam", "Spam", Kind.NUMBER, format="%.1f", help="Sum of the scores, each to the power of four."),
    Column("complaints", "Complaints", Kind.COUNT),
    Column("traps", "Like traps", Kind.COUNT, help="Hard bounces of recipients its account never wrote to."),
    Column("strangers", "Never seen", Kind.COUNT, help="Recipients its account never wrote to."),
]
_PLANS = [
    Column("provider", "Provider"),
    Column("stage", "Stage"),
    Column("sent", "Sent today", Kind.COUNT),
    Column("quota", "Cap today", Kind.COUNT),
    Column("tomorrow", "Next day's cap", Kind.COUNT, help="Of the next day of sending, if this one ended now."),
    Column("why", "Because", width="medium"),
    Column("deferred", "Put off", Kind.COUNT),
    Column("blocked", "Blocked", Kind.COUNT),
    Column("last", "Last day", width="medium"),
]


def state_of(row: SourceView) -> Look:
    """Warming and resting show before active; what is out of use shows before both."""
    if row.state is not SourceState.ACTIVE:
        return look(row.state.value)
    if row.is_warming:
        return look("warming")
    return look("active")


def troubles_in_words(row: SourceView, now: datetime) -> str:
    """Where it rests, is degraded, or has a poor or bad name: a kind, its end, and the destinations alike in both."""
    alike: dict[str, list[str]] = {}
    for trouble in row.troubles:
        end = f" {until(trouble.until_at, now)}" if trouble.until_at else ""
        alike.setdefault(f"{trouble.kind}{end}", []).append(trouble.destination)
    return "; ".join(f"{', '.join(places)}: {words}" for words, places in alike.items())


@st.fragment(run_every=10)
def page(name: str) -> None:
    """Everything about one address."""
    asking.rerun_if_wanted()
    now = data.now()
    places.header(f"Address {name}", now)
    with st.container(horizontal=True, vertical_alignment="center"):
        places.back("All addresses", "source")
        if address := next((one.address for one in delivery.sources().value if one.name == name), ""):
            places.search_link("Messages that left from it", f"source:{address}")
    sources, warmups = delivery.sources(), delivery.warmups()
    notices.troubles(now, analytics=[], relay=[sources, warmups])
    row = next((one for one in sources.value if one.name == name), None)
    if row is None:
        if sources.as_of is not None:
            notices.empty(f"There is no source {plain(name)}.", command="mailweir ip ls", icon="search_off")
        return
    with notices.aged("source", sources):
        _state(row, now)
    plans = next((one for one in warmups.value if one.source == name), None)
    if plans is not None and (row.is_warming or plans.plans):
        with notices.aged("warm-up", warmups):
            _warmup(row, plans, now)
    reputation.waterfall("ip", row.address)
    _listings(row, now)
    _culprits(row, now)


def _state(row: SourceView, now: datetime) -> None:
    st.markdown(f"{state_of(row).badge} {code(row.address)} :gray[{plain(row.ehlo or 'the node’s name')}]")
    if asking.may_act(f"mailweir ip quarantine {row.name} --reason '...'"):
        with st.container(horizontal=True):
            if row.state is SourceState.ACTIVE:
                asking.button("Take out of use", "do_not_disturb_on", Wanted(source_orders.QUARANTINE, row.name))
            else:
                asking.button("Take back into use", "play_circle", Wanted(source_orders.ACTIVATE, row.name))
            asking.button("Other pools", "swap_horiz", Wanted(source_orders.POOLS, row.name))
            if row.is_warming:
                asking.button("Other stage", "stairs", Wanted(source_orders.STAGE, row.name))
                asking.button("End warm-up", "trending_flat", Wanted(source_orders.COOL, row.name))
            else:
                asking.button("Start warm-up", "trending_up", Wanted(source_orders.WARM, row.name))
            if row.state is SourceState.QUARANTINED:
                asking.button("Retire", "history", Wanted(source_orders.RETIRE, row.name))
    facts(
        [
            ("Pools", plain(", ".join(f"{pool} × {weight}" for pool, weight in row.pools.items()) or "none")),
            ("Since", when(row.created_at, now)),
            ("At destinations", plain(troubles_in_words(row, now) or "nothing known against it")),
        ]
    )


def _warmup(row: SourceView, view: WarmupView, now: datetime) -> None:
    st.subheader("Warm-up", anchor=False)
    if not view.plans:
        st.caption("Its plans are counted in the relay; it has not answered yet.")
        return
    today = warmup.today(view.plans)
    places.chart_title("Today", "messages; pale: the cap, dark: sent, amber: the next day's cap as things stand")
    st.altair_chart(of_egress.plans(today[~today["is_warm"]], palette()), key="plans", alt="Warm-up today")
    table(today, _PLANS, key="plans_table", name=f"warm-up-{row.name}")
    sent = data.query("source_days", fresh_seconds=data.SLOW_FRESH_SECONDS)
    ours = sent.value[sent.value["address"] == row.address]
    names = [plan.provider for plan in view.plans]
    chosen = st.selectbox("Provider", [_OTHERS, *names], key="plan_provider", bind="query-params", width=240)
    of = names if chosen == _OTHERS else [chosen]
    drawn = warmup.against_plan(ours, row.created_at or now - timedelta(days=29), now, of)
    first = data.instant(ours["day_at"].min()) if len(ours) else None
    if first is not None and row.created_at is not None and first < row.created_at:
        drawn = warmup.against_plan(ours, first, now, of)
    places.chart_title("Day by day", "messages a day; bars: sent, dashed: the plan, had every day advanced")
    with notices.aged("days", sent):
        st.altair_chart(of_egress.days(drawn, palette()), key="days", alt="Sent by day against the plan")


def _listings(row: SourceView, now: datetime) -> None:
    listed = data.query("listings", fresh_seconds=data.SLOW_FRESH_SECONDS)
    mine = listings.matrix(listed.value, now)
    mine = mine[mine["address"] == row.address]
    st.subheader("What others say", anchor=False)
    lines = [
        f"- {look(one.state).badge} {plain(one.zone)}, since {one.below} :gray[{plain(one.answer)}]"
        for one in mine.itertuples()
        if one.state in ("listed", "seen once")
    ]
    snds = data.query("snds", limit=500, fresh_seconds=data.SLOW_FRESH_SECONDS).value
    latest = snds[snds["ip"] == row.address].head(1)
    lines += [
        f"- {listings.colour(one.result).badge} Microsoft SNDS, {when(data.instant(one.begin_at), now)}, "
        f"{one.recipients:,} recipients, {one.trap_hits} trap hits"
        for one in latest.itertuples()
    ]
    events = data.query("ip_events", limit=100, fresh_seconds=data.SLOW_FRESH_SECONDS).value
    lines += [
        f"- :orange-badge[:material/sms_failed: Named in {_replies(one.times)}] of {plain(str(one.place))}, blames the "
        f"{plain(str(one.blames))}, last {ago(data.instant(one.last_at), now)}"
        for one in events[(events["address"] == row.address) & (events["kind"] == "reply")].itertuples()
    ]
    clean = int((mine["state"] == "clean").sum())
    lines.append(f"- {clean} of {len(mine)} lists say clean." if len(mine) else "- No DNS list is asked.")
    st.markdown("\n".join(lines))


def _replies(times: int) -> str:
    return f"{times} repl{'y' if times == 1 else 'ies'}"


def _culprits(row: SourceView, now: datetime) -> None:
    reading = data.query("culprits", address=row.address, limit=10, fresh_seconds=data.SLOW_FRESH_SECONDS)
    st.subheader("Who caused it", anchor=False)
    frame = reading.value
    known = frame[frame["sender"] != ""]
    if frame.empty or known.empty:
        st.caption("Nobody stands out: nothing suspect left from it in the 24 hours looked at.")
        return
    moment = data.instant(frame["until_at"].iloc[0])
    nobody = float(frame.loc[frame["sender"] == "", "probability"].sum())
    st.caption(
        f"Mail of the 24 h before {when(moment, now)}: when it was listed last, else named in a reply, else now. "
        f"Somebody else, like the address's last owner: {nobody:.0%}."
    )
    shown = known.assign(key=known["sender"], sender=[sender_parts(str(key))[2] for key in known["sender"]])
    with notices.aged("culprits", reading):
        if chosen := table(shown, _CULPRITS, key="culprits", ids="key", name=f"culprits-{row.name}"):
            st.session_state["open_sender"] = chosen
            st.rerun(scope="app")
