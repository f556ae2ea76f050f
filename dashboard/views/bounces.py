"""Bounces and suppression: what fails, why, at whom, and who is not written to any more."""

from typing import Any

import streamlit as st

from dashboard import asking, charts, data, zone
from dashboard.charts import of_delivery
from dashboard.components import notices, places, replies, suppression
from dashboard.components.table import Column, Kind, table
from dashboard.components.tiles import facts
from dashboard.components.words import plain, sender_parts, share, short
from dashboard.data import delivery
from dashboard.theme import Palette, mixed, palette

_SHOWN = 7  # classes in the chart; the rest is one
_OTHER = "all other classes"
_GROUPS = {"account": "Account", "destination": "Provider", "domain": "Domain", "sender": "Sender"}
_COLUMNS = [
    Column("shown", "", width="medium"),
    Column("ended", "Recipients", Kind.COUNT, help="Delivered or failed for good in the window."),
    Column("bounced", "Failed", Kind.COUNT),
    Column("rate", "Of all", Kind.SHARE),
    Column("hard", "Do not exist", Kind.COUNT, help="Hard bounces: the address does not exist."),
    Column("blocked", "Blocked", Kind.COUNT, help="Refused for reputation, policy or content."),
    Column("unclassified", "No class", Kind.COUNT),
    Column("top_category", "Mostly"),
]


@st.fragment(run_every=10)
def _live() -> None:
    asking.rerun_if_wanted()
    now, window = data.now(), places.window()
    places.header("Bounces and suppression", now)
    account, destination = _filters()
    asked = {"account": account, "destination": destination}
    totals = data.query("bounce_totals", window, fresh_seconds=data.SLOW_FRESH_SECONDS, **asked)
    notices.troubles(now, analytics=[totals], relay=[])
    found = data.row(totals)
    if totals.as_of is not None and not found.get("bounced"):
        few = "Nothing ended" if not found.get("ended") else f"All {found['ended']:,} recipients were delivered"
        st.markdown(f":gray-badge[:material/inbox: No bounces] :gray[{few} in {window.words}.]")
    elif found:
        with notices.aged("totals", totals):
            _totals(found)
            _classes(asked)
            _groups(asked)
            _unclassified(found, destination)
    suppression.section()


def _filters() -> tuple[str, str]:
    figures = data.query("destination_figures", places.window(), limit=200, fresh_seconds=30.0).value
    accounts = delivery.account_names()
    with st.container(horizontal=True):
        account = st.selectbox(
            "Account",
            ["", *accounts],
            key="account",
            bind="query-params",
            format_func=lambda one: one or "all",
            width=220,
        )
        destination = st.selectbox(
            "Provider",
            ["", *[str(name) for name in figures["destination"]]],
            key="provider",
            bind="query-params",
            format_func=lambda one: one or "all",
            width=220,
        )
    return str(account or ""), str(destination or "")


def _totals(found: dict[str, Any]) -> None:
    facts(
        [
            ("Failed", plain(share(found["bounced"], found["ended"]))),
            ("Address does not exist", plain(share(found["hard"], found["ended"]))),
            ("Blocked", plain(share(found["blocked"], found["ended"]))),
            ("Without a class", plain(share(found["unclassified"], found["bounced"]))),
        ]
    )


def _classes(asked: dict[str, str]) -> None:
    window = places.window()
    reading = data.query(
        "bounce_classes",
        window,
        bucket_seconds=window.bucket_seconds,
        fresh_seconds=data.SLOW_FRESH_SECONDS,
        **asked,
    )
    if reading.value.empty:
        return
    frame = reading.value
    top = list(frame.groupby("category")["recipients"].sum().sort_values(ascending=False).index)
    named = top[:_SHOWN]
    frame = frame.assign(part=[name if name in named else _OTHER for name in frame["category"]])
    wide = frame.pivot_table(index="bucket_at", columns="part", values="recipients", aggfunc="sum", fill_value=0)
    parts = [*named, *([_OTHER] if len(top) > _SHOWN else [])]
    drawn = charts.filled(wide.reset_index(), window, data.now(), parts)
    places.chart_title("Classes", f"recipients that failed {window.bucket_words}, {zone.name()}")
    st.altair_chart(
        of_delivery.stacked(drawn, window, {name: name for name in parts}, _shades(parts, palette()), "Class"),
        key="classes",
        alt="Failed recipients by class over time",
    )


def _shades(parts: list[str], colours: Palette) -> dict[str, str]:
    """Classes are no verdicts: ink, ever paler, and grey for what has none."""
    shades = {name: mixed(colours.ink, colours.background, place / (_SHOWN + 1)) for place, name in enumerate(parts)}
    return shades | {name: colours.neutral for name in ("Unclassified", _OTHER) if name in shades}


def _groups(asked: dict[str, str]) -> None:
    st.subheader("Where it fails", anchor=False)
    by = st.segmented_control(
        "By",
        list(_GROUPS),
        default="account",
        key="by",
        bind="query-params",
        required=True,
        format_func=lambda one: _GROUPS[one],
        label_visibility="collapsed",
    )
    reading = data.query(
        "bounce_groups", places.window(), by=by, limit=100, fresh_seconds=data.SLOW_FRESH_SECONDS, **asked
    )
    frame = reading.value
    shown = frame.assign(
        rate=frame["bounced"] / frame["ended"].where(frame["ended"] > 0),
        shown=[sender_parts(str(name))[2] if by == "sender" else name for name in frame["name"]],
    )
    columns = [Column("shown", _GROUPS[by], width="medium"), *_COLUMNS[1:]]
    chosen = table(shown, columns, key=f"groups_{by}", ids="name", name=f"bounces-by-{by}")
    if not chosen:
        st.caption("Choose a row to see the single failures.")
        return
    if by == "sender":
        places.sender_link(chosen, label=f"All about {plain(short(sender_parts(chosen)[2], 60))}")
    wanted = asked | {by: chosen}
    replies.tries(outcome="failed", **{name: value for name, value in wanted.items() if value})


def _unclassified(found: dict[str, Any], destination: str) -> None:
    if not found["unclassified"]:
        return
    with st.expander(f"Replies without a class: {found['unclassified']:,}", icon=":material/help:"):
        st.caption("Words no rule knows. A line in relay/rules/bounces.toml gives them a class.")
        replies.table_of(destination, category="Unclassified", outcome="bounced", title="What they said")


asking.take()
_live()
asking.open_dialog(suppression.DIALOGS)
