"""Destinations: how each provider takes our mail, what it may get now, why, and what can be done about it."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import asking, charts, data, zone
from dashboard.asking import Wanted
from dashboard.charts import of_delivery
from dashboard.components import destination_orders, limits, notices, places, replies
from dashboard.components.table import Column, Kind, table
from dashboard.components.tiles import facts
from dashboard.components.words import UNKNOWN, ago, code, count, plain, seconds, share, until, when
from dashboard.data import Reading, delivery
from dashboard.theme import palette
from relay.control.shaping.views import DestinationView

_COLUMNS = [
    Column("destination", "Destination"),
    Column("force", "In force", width="medium", help="What slows it down now. Empty: nothing."),
    Column("waiting", "Waiting", Kind.COUNT, help="Recipients in the queue."),
    Column("oldest", "Oldest waits", width="small"),
    Column("delivered", "Delivered", Kind.COUNT),
    Column("deferral", "Put off", Kind.SHARE, help="Tries that ended with “later”, of all tries."),
    Column("block", "Blocked", Kind.SHARE, help="Tries refused for reputation, policy or content, of all tries."),
    Column("p95", "95 % within", Kind.SECONDS, help="From acceptance to delivery."),
    Column("innocent", "95 % of others", Kind.SECONDS, help="The same without senders that were stopped meanwhile."),
]
_LIMIT_COLUMNS = [
    Column("limit", "Limit", width="medium"),
    Column("source", "From"),
    Column("now", "Now"),
    Column("configured", "Table", help="Of the table of providers."),
    Column("rule", "Set by"),
    Column("times", "Fired", help="How often the rule fired since."),
    Column("since", "Since"),
    Column("ends", "Until"),
]


@st.fragment(run_every=5)
def _list() -> None:
    asking.rerun_if_wanted()
    now, window = data.now(), places.window()
    places.header("Destinations", now)
    relay, status = delivery.destinations(), data.relay_queue()
    figures = data.query("destination_figures", window, limit=200, fresh_seconds=data.SLOW_FRESH_SECONDS)
    notices.troubles(now, analytics=[figures], relay=[relay, status])
    frame = _rows(figures, relay, now)
    if frame.empty:
        if relay.as_of is not None and figures.as_of is not None:
            notices.empty(
                "No mail went anywhere yet. Send a first message, or choose a longer window:",
                command="mailweir send-test you@example.com",
                icon="outgoing_mail",
            )
        return
    with notices.aged("destinations", figures, relay):
        _in_a_word(relay)
        if chosen := table(frame, _COLUMNS, key="destinations", ids="destination", name="destinations"):
            st.session_state["open_destination"] = chosen
            st.rerun(scope="app")
        st.caption("Choose a row: its limits and the rules behind them, replies, delays, and what you can do.")


def _in_a_word(relay: Reading[list[DestinationView]]) -> None:
    if relay.as_of is None:
        st.markdown(":gray-badge[:material/help: Unknown] :gray[what is in force: the relay has not answered yet]")
        return
    stopped = [view.destination for view in relay.value if limits.stop(view)]
    slowed = [view.destination for view in relay.value if view.effects and view.destination not in stopped]
    words = []
    if stopped:
        words.append(f":red-badge[:material/pause_circle: {len(stopped)} stopped: {plain(', '.join(stopped))}]")
    if slowed:
        words.append(f":orange-badge[:material/speed: {len(slowed)} slowed: {plain(', '.join(slowed))}]")
    st.markdown(" ".join(words) or ":green-badge[:material/check_circle: Nothing is stopped or slowed]")


def _rows(figures: Reading[pd.DataFrame], relay: Reading[list[DestinationView]], now: datetime) -> pd.DataFrame:
    """One row for every destination that any of the three sources knows; what one does not know stays empty."""
    known = {str(row.destination): row for row in figures.value.itertuples()}
    views, waits = {view.destination: view for view in relay.value}, delivery.queued_by_site()
    rows = []
    for name in dict.fromkeys([*known, *waits, *views]):
        row: Any = known.get(name)
        waiting = waits.get(name)
        rows.append(
            {
                "destination": name,
                "waiting": waiting.waiting if waiting else 0 if data.relay_queue().as_of else None,
                "oldest": _age(waiting.oldest_unix if waiting else None, now),
                "delivered": row.delivered if row else 0,
                "deferral": row.deferred / row.tries if row and row.tries else None,
                "block": row.blocked / row.tries if row and row.tries else None,
                "p95": row.p95_seconds if row else None,
                "innocent": row.innocent_p95_seconds if row else None,
                "force": limits.in_words(views[name].effects) if name in views else "",
            }
        )
    return pd.DataFrame(rows, columns=[column.name for column in _COLUMNS])


@st.fragment(run_every=5)
def _one(name: str) -> None:
    asking.rerun_if_wanted()
    now, window = data.now(), places.window()
    places.header(f"Destination {name}", now)
    with st.container(horizontal=True, vertical_alignment="center"):
        places.back("All destinations", "destination")
        places.page_link("views/ips.py", "Our addresses there", "lan")
        places.search_link("Messages for it", f"destination:{name}")
    relay = delivery.destinations()
    figures = data.query("destination_figures", window, limit=200, fresh_seconds=data.SLOW_FRESH_SECONDS)
    notices.troubles(now, analytics=[figures], relay=[relay])
    view = next((row for row in relay.value if row.destination == name), None) or delivery.destination(name)
    with notices.aged("state", relay):
        _state(name, view, relay, now)
        _figures(name, view, figures, now)
        if view is not None:
            _limits(view, now)
    with notices.aged("replies", figures):
        _flow(name)
        _pace(name)
        _delays(name)
        replies.table_of(name)


def _state(name: str, view: DestinationView | None, relay: Reading[Any], now: datetime) -> None:
    stop = limits.stop(view) if view else None
    if relay.as_of is None:
        st.markdown(":gray-badge[:material/help: Unknown]")
    elif stop is not None:
        who = f"by {plain(stop.author)}" if stop.author else f"by rule {plain(stop.rule)}"
        where = f" for mail from {code(stop.source)}" if stop.source else ""
        st.markdown(f":red-badge[:material/pause_circle: Stopped]{where} {who}, {until(stop.until_at, now)}.")
        st.markdown(f":gray[Because:] {plain(stop.reply)}")
    elif view and view.effects:
        st.markdown(f":orange-badge[:material/speed: Slowed] {plain(limits.in_words(view.effects))}")
    else:
        st.markdown(":green-badge[:material/check_circle: Nothing is in force] :gray[It gets what its table says.]")
    if asking.may_act(f"mailweir dest suspend {name} --reason '...'"):
        with st.container(horizontal=True):
            asking.button("Stop", "pause_circle", Wanted(destination_orders.SUSPEND, name))
            asking.button("Let it go on", "play_circle", Wanted(destination_orders.RESUME, name))
            asking.button("Other limits", "tune", Wanted(destination_orders.OVERRIDE, name))
            asking.button("Try now", "replay", Wanted(destination_orders.RETRY, name))


def _figures(name: str, view: DestinationView | None, figures: Reading[pd.DataFrame], now: datetime) -> None:
    found = figures.value[figures.value["destination"] == name]
    row: Any = next(found.itertuples(), None)
    waiting = delivery.queued_by_site().get(name, delivery.Waits())
    known = [
        ("Waiting", f"{count(waiting.waiting)}, {count(waiting.held)} held"),
        ("Oldest waits", _age(waiting.oldest_unix, now) or "nothing waits"),
        ("Connections now", count(view.active) if view else UNKNOWN),
    ]
    if row is not None:
        known += [
            ("Delivered", count(row.delivered)),
            ("Put off", share(row.deferred, row.tries)),
            ("Blocked", share(row.blocked, row.tries)),
            ("Half within", seconds(row.p50_seconds)),
            ("95 % within", seconds(row.p95_seconds)),
            ("Last try", ago(data.instant(row.last_at), now)),
        ]
    facts([(label, plain(value)) for label, value in known])


def _limits(view: DestinationView, now: datetime) -> None:
    st.subheader("What it may get", anchor=False)
    frame = pd.DataFrame([_limit_row(row, now) for row in limits.limits(view)])
    table(frame, _LIMIT_COLUMNS, key="limits", name=f"limits-{view.destination}")
    reasons = dict.fromkeys((effect.rule, effect.reply) for effect in view.effects if effect.reply)
    for rule, reply in reasons:
        st.markdown(f":gray[{plain(rule)}:] {plain(reply)}")


def _limit_row(row: limits.Limit, now: datetime) -> dict[str, str]:
    effect = row.effect
    return {
        "limit": row.words,
        "source": row.source or "each address",
        "now": "none" if row.now is None else f"{row.now:g}",
        "configured": "none" if row.configured is None else f"{row.configured:g}",
        "rule": (effect.author or effect.rule) if effect else "the table",
        "times": str(effect.times) if effect else "",
        "since": when(effect.since_at, now) if effect else "",
        "ends": (when(effect.until_at, now) if effect.until_at else "somebody ends it") if effect else "",
    }


def _flow(name: str) -> None:
    window, colours = places.window(), palette()
    reading = data.query(
        "destination_flow",
        window,
        destination=name,
        bucket_seconds=window.bucket_seconds,
        fresh_seconds=data.SLOW_FRESH_SECONDS,
    )
    if reading.value.empty:
        return
    places.chart_title("Tries", f"recipients {window.bucket_words}, by what the server said, {zone.name()}")
    parts = {"delivered": "Delivered", "deferred": "Put off", "bounced": "Refused"}
    drawn = charts.filled(reading.value, window, data.now(), list(parts))
    shades = {"Delivered": colours.accepted, "Put off": colours.held, "Refused": colours.refused}
    st.altair_chart(of_delivery.stacked(drawn, window, parts, shades, "Outcome"), key="flow", alt="Tries by outcome")


def _pace(name: str) -> None:
    """When it became slower; beside the tries above, why."""
    window = places.window()
    asked = {"destination": name, "bucket_seconds": window.bucket_seconds}
    reading = data.query("destination_pace", window, fresh_seconds=data.SLOW_FRESH_SECONDS, **asked)
    if reading.value.empty:
        return
    said = f"of senders that were not stopped, {zone.name()}; solid: 95 % within, dashed: half within; log scale"
    places.chart_title("Delay over time", said)
    pace = charts.filled(reading.value, window, data.now(), ["p50_seconds", "p95_seconds"], gap=None)
    drawn = charts.delay(pace[~pace["is_open"]], window, palette())
    st.altair_chart(drawn, key="pace", alt="Delay of deliveries over time")


def _delays(name: str) -> None:
    reading = data.query("destination_delays", places.window(), destination=name, fresh_seconds=data.SLOW_FRESH_SECONDS)
    places.chart_title(
        "Delay in the whole window", "share of recipients delivered within that time, from acceptance; log scale"
    )
    if reading.value.empty:
        st.caption(f"Nothing was delivered there in {places.window().words}.")
        return
    st.altair_chart(of_delivery.delays(reading.value, palette()), key="delays", alt="Share delivered by delay")


def _age(unix: float | None, now: datetime) -> str:
    return ago(datetime.fromtimestamp(unix, UTC), now).removesuffix(" ago") if unix else ""


asking.take()
if opened := st.session_state.pop("open_destination", None):
    st.query_params["destination"] = opened
if shown := st.query_params.get("destination"):
    _one(shown)
else:
    _list()
asking.open_dialog(destination_orders.DIALOGS)
