"""Now: is mail flowing, who was stopped, is anybody else late? Answered in one look, live."""

import pandas as pd
import streamlit as st

from dashboard import actions, charts, data, zone
from dashboard.components import cards, needs, notices, places
from dashboard.components.tiles import Tile, facts, tiles
from dashboard.components.words import change, count, plain, seconds, sender_parts, share, short
from dashboard.data import Reading, Window, delivery
from dashboard.theme import Colour, palette
from relay.control.views import DecisionView

_NEEDS = 6
SHOWN = 4  # of what needs somebody; the rest is one click away
LATE_FACTOR, LATE_SECONDS = 2.0, 5.0  # others are late when both are exceeded against the window's own median


@st.fragment(run_every=2)
def _live() -> None:
    actions.rerun_if_requested()
    window, now = places.window(), data.now()
    status, opened = data.relay_status(), data.decisions(open_only=True)
    stopped = [row for row in opened.value if cards.stops_mail(row)]
    except_for = stopped[0].sender if stopped else ""
    totals, flow = data.query("tiles", window), data.query("flow", window, bucket_seconds=window.bucket_seconds)
    delay = data.query("delay", window, bucket_seconds=window.bucket_seconds, exclude_sender=except_for)
    pace = charts.filled(delay.value, window, now, ["p50_seconds", "p95_seconds", "delivered"], gap=None)

    places.header("Now", now)
    notices.troubles(now, analytics=[totals, flow, delay], relay=[status, opened])
    with notices.aged("answers", totals, opened):
        _answers(
            _is_flowing(data.row(totals), status, window),
            _who_is_stopped(opened, stopped),
            _is_anybody_late(pace, stopped),
        )
    with notices.aged("tiles", totals, flow):
        _tiles(data.row(totals), charts.filled(flow.value, window, now, _FLOW), window)
    with notices.aged("needs", opened):
        _needs_you(opened)
    with notices.aged("charts", flow, delay):
        _charts(flow, pace, stopped, except_for, window)


_ROWS = {
    "accepted": "action:accept",
    "delivered": "delivered:Y",
    "held or refused": "stopped:Y",
    "bounced": "bounced:Y",
}
_FLOW = ["accepted", "held", "refused", "delivered"]


def _answers(*answers: tuple[Colour, str, str]) -> None:
    st.markdown(" ".join(f":{colour}-badge[:material/{icon}: {words}]" for colour, icon, words in answers))


def _is_flowing(
    totals: dict[str, float], status: Reading[dict[str, object]], window: Window
) -> tuple[Colour, str, str]:
    if not status.is_fresh:
        return "red", "cloud_off", "The relay does not answer"
    if not totals:
        return "gray", "help", "Nobody knows whether mail flows: analytics has not answered yet"
    if not totals["accepted"] and not totals["held"]:
        return "gray", "hourglass_empty", f"No mail came in {window.words}"
    if not totals["delivered"]:
        return "orange", "schedule", "Mail comes in, but none was delivered yet"
    return "green", "check_circle", "Mail is flowing"


def _who_is_stopped(opened: Reading[list[DecisionView]], stopped: list[DecisionView]) -> tuple[Colour, str, str]:
    if opened.as_of is None:
        return "gray", "help", "Nobody knows who is stopped: the relay has not answered yet"
    if not stopped:
        return "green", "check_circle", "Nobody is stopped"
    if len(stopped) == 1:
        return "orange", "front_hand", f"1 sender stopped: {plain(short(sender_parts(stopped[0].sender)[2], 44))}"
    return "orange", "front_hand", f"{len(stopped)} senders stopped"


def _is_anybody_late(pace: pd.DataFrame, stopped: list[DecisionView]) -> tuple[Colour, str, str]:
    if stuck := delivery.deferring():
        names = ", ".join(plain(one.destination) for one in stuck[:2]) + (" …" if len(stuck) > 2 else "")
        return "orange", "schedule", f"Mail waits: {names} put{'s' if len(stuck) == 1 else ''} nearly all of it off"
    known = pace.loc[~pace["is_open"], "p95_seconds"].dropna()
    who = "Nobody else" if stopped else "Nobody"
    if known.empty:
        return "gray", "help", "No deliveries to judge delay by"
    latest, usual = known.iloc[-5:].median(), known.median()  # one greylisted mail in a quiet minute is no delay
    if latest > usual * LATE_FACTOR and latest > usual + LATE_SECONDS:
        return "orange", "schedule", f"Others wait: 95 % within {seconds(latest)}, usually {seconds(usual)}"
    return "green", "check_circle", f"{who} is late: 95 % within {seconds(latest)}"


def _tiles(totals: dict[str, float], flow: pd.DataFrame, window: Window) -> None:
    flow = flow[~flow["is_open"]]

    def of(name: str) -> float | None:
        return totals.get(name)

    stopped, before = _sum(of("held"), of("refused")), _sum(of("prev_held"), of("prev_refused"))
    tiles(
        [
            Tile(
                "Accepted",
                count(of("accepted")),
                change(of("accepted"), of("prev_accepted")),
                flow["accepted"].tolist(),
                "green",
                "Messages taken and passed on for delivery.",
            ),
            Tile(
                "Delivered",
                count(of("delivered")),
                change(of("delivered"), of("prev_delivered")),
                flow["delivered"].tolist(),
                "green",
                f"Recipients whose mail server took the message, 95 % within {seconds(of('p95_delay_seconds'))}, half "
                f"within {seconds(of('p50_delay_seconds'))} of its acceptance.",
            ),
            Tile(
                "Held and refused",
                count(stopped),
                change(stopped, before),
                (flow["held"] + flow["refused"]).tolist(),
                "orange",
                f"{count(of('held'))} held, {count(of('refused'))} refused. Held mail is parked, not lost.",
            ),
            Tile(
                "Complaints",
                count(of("complaints")),
                change(of("complaints"), of("prev_complaints")),
                [],
                "orange",
                "Recipients who called it spam, as their provider reports it.",
            ),
        ],
        f"against {window.name} before",
    )
    _rates(totals, window)
    _behind(window)


def _behind(window: Window) -> None:
    """Each number leads to its rows."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("The messages:", width="content")
        for label, query in _ROWS.items():
            places.search_link(label, f"{query} time:{window.name}", "mail")
        places.page_link("views/complaints.py", "complaints", "thumb_down")


def _rates(totals: dict[str, float], window: Window) -> None:
    """The same as rates, with their 95 % intervals, and how long delivery takes."""
    if not totals:
        return
    of = {name: float(value or 0) for name, value in totals.items()}
    stopped, taken = of["held"] + of["refused"], of["accepted"] + of["held"] + of["refused"]
    ended = of["delivered"] + of["bounced"]
    p95, before = totals.get("p95_delay_seconds"), totals.get("prev_p95_delay_seconds")
    slower = _slower(p95, before)
    facts(
        [
            ("95 % delivered within", seconds(p95) + (f" ({slower} against {window.name} before)" if slower else "")),
            ("Of all messages held or refused", share(stopped, taken)),
            ("Of all recipients bounced", share(of["bounced"], ended)),
            ("Of those delivered complained", share(of["complaints"], of["delivered"])),
        ]
    )


def _needs_you(opened: Reading[list[DecisionView]]) -> None:
    waiting = [row for row in opened.value if cards.needs_somebody(row)]
    others, answered = needs.waiting()
    total = len(waiting) + len(others)
    st.subheader(f"Needs you · {total}" if total else "Needs you", anchor=False)
    silent = [name for name, one in (("the relay", opened), ("analytics", data.query("ingest"))) if one.is_down]
    if silent:
        words = (
            f"What else needs you is not known while {' and '.join(silent)} do{'' if silent[1:] else 'es'} not answer."
        )
        st.markdown(f":gray-badge[:material/help: Unknown] :gray[{words}]")
    elif not total and opened.as_of is not None:
        st.markdown(
            ":green-badge[:material/check_circle: Nothing needs you] "
            ":gray[A stopped sender would stand here, with its reason and a button.]"
        )
    for row in waiting[:SHOWN]:
        cards.line(row, is_stale=not opened.is_fresh)
    if len(waiting) > SHOWN:
        places.page_link(places.DECISIONS_PAGE, f"All {len(waiting)} open decisions", "gavel")
    needs.rows(others[:_NEEDS])
    if more := others[_NEEDS:]:
        with st.expander(f"{len(more)} more", icon=":material/more_horiz:"):
            needs.rows(more)
    if answered:
        with st.expander(f"Answered already: {len(answered)}", icon=":material/notifications_paused:"):
            st.markdown("\n".join(f"- {one}" for one in answered))


def _charts(
    flow: Reading[pd.DataFrame], pace: pd.DataFrame, stopped: list[DecisionView], except_for: str, window: Window
) -> None:
    now, colours = data.now(), palette()
    events = [
        charts.Event(row.starts_at, f"{sender_parts(row.sender)[2]} {row.effect}: {row.reason}")
        for row in stopped
        if row.starts_at >= window.since(now)
    ]
    if flow.as_of is None:
        st.markdown(":gray-badge[:material/help: Unknown] :gray[The charts appear when analytics answers.]")
        return
    if not flow.value[_FLOW].to_numpy(dtype="float64", na_value=0).any():
        notices.empty(
            f"No mail in {window.words}. Send a first message, or choose a longer window:",
            command="mailweir send-test you@example.com",
        )
        return
    drawn = charts.filled(flow.value, window, now, _FLOW)
    places.chart_title("Flow", f"messages {window.bucket_words}, {zone.name()}")
    st.altair_chart(charts.flow(drawn, window, colours, events), key="flow", alt="Messages by verdict over time")
    title = "Delay of everybody else" if except_for else "Delay"
    places.chart_title(title, f"from acceptance to delivery, {zone.name()}; solid: 95 % within, dashed: half within")
    strip = charts.delay(pace[~pace["is_open"]], window, colours, events)
    st.altair_chart(strip, key="delay", alt="Delivery delay over time")


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _slower(now_seconds: float | None, before: float | None) -> str | None:
    if now_seconds is None or before is None:
        return None
    slower = now_seconds - before
    return f"{'+' if slower > 0 else '−'}{seconds(abs(slower))}" if abs(slower) >= 0.05 else None


_live()
