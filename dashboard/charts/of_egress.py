"""The pictures of addresses: reputation by provider, listings by list, warm-up plans against what was sent."""

from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.of_delivery import dressed, legend, y_axis
from dashboard.theme import Palette

ROW, TOP = 46, 52  # pixels of a row of a matrix, and of what stands above the rows
_TILE_PIXELS = 58  # the least that its three lines need
_HEAT_ROW = 62  # of one with three lines in each tile, which eight providers have room for at 900 pixels
# names of hosts on two lines, broken at their first dot
_DOT = "indexof(datum.label, '.')"
_IS_WHOLE = f"{_DOT} < 1 || test(/^[0-9.]+$/, datum.label)"  # an address is no host's name
_TWO_LINES = f"{_IS_WHOLE} ? datum.label : [substring(datum.label, 0, {_DOT}), substring(datum.label, {_DOT})]"
HEIGHT = 190
PICKED = "tile"  # the selection of a heat map: fields address and destination


def heat(frame: pd.DataFrame, palette: Palette) -> alt.LayerChart:
    """Reputation of each address at each destination: the score in words on teal, grey where nobody knows.

    frame: address, destination, label, below str, score float64 (NaN: unknown), range str, n int64.
    """
    base = alt.Chart(frame).encode(
        x=alt.X("destination:N", sort=None, axis=_names(orient="top", labelExpr=_TWO_LINES)),
        y=alt.Y("address:N", sort=None, axis=_names(minExtent=90)),
        tooltip=[
            alt.Tooltip("address:N", title="Address"),
            alt.Tooltip("destination:N", title="At"),
            alt.Tooltip("label:N", title="Score"),
            alt.Tooltip("range:N", title="90 % interval"),
            alt.Tooltip("n:Q", title="Messages", format=",.0f"),
        ],
    )
    picked = alt.selection_point(name=PICKED, fields=["address", "destination"], empty=False)
    tiles = base.mark_rect(strokeWidth=3, cornerRadius=4, cursor="pointer").encode(
        stroke=alt.condition(picked, alt.value(palette.ink), alt.value(palette.background)),
        color=alt.condition(
            "isValid(datum.score)",
            alt.Color("score:Q", scale=alt.Scale(domain=[0, 100], range=list(palette.sequence)), legend=None),
            alt.value(palette.grid),
        ),
    )
    tiles = tiles.add_params(picked)
    dark_from = 55  # the score from which a tile is dark (on white) or bright (on black): its words turn
    ink = alt.condition(f"datum.score >= {dark_from}", alt.value(palette.background), alt.value(palette.text))
    is_narrow = f"width < {_TILE_PIXELS * max(1, frame['destination'].nunique())}"  # there the tooltip says it
    words = base.mark_text(fontSize=alt.ExprRef(f"{is_narrow} ? 10 : 13"), fontWeight=600, dy=-12).encode(
        text="label:N", color=ink
    )
    shown = alt.ExprRef(f"{is_narrow} ? 0 : 1")
    below = base.mark_text(fontSize=10, dy=-1, baseline="top", lineBreak="\n", opacity=shown)
    below = below.encode(text="below:N", color=ink)
    return dressed([tiles, words, below], _height(frame, _HEAT_ROW))


def matrix(frame: pd.DataFrame, palette: Palette) -> alt.LayerChart:
    """What each list says of each address, in words; colour repeats them.

    frame: address, zone, label, below, state, answer str.
    """
    states = ["listed", "seen once", "clean", "refused", "parked", "unknown"]
    colours = [palette.refused, palette.held, palette.accepted, palette.neutral, palette.neutral, palette.neutral]
    base = alt.Chart(frame).encode(
        x=alt.X("zone:N", sort=None, axis=_names(orient="top", labelExpr=_TWO_LINES)),
        y=alt.Y("address:N", sort=None, axis=_names(minExtent=90)),
        tooltip=[
            alt.Tooltip("address:N", title="Address"),
            alt.Tooltip("zone:N", title="List"),
            alt.Tooltip("label:N", title="Says"),
            alt.Tooltip("below:N", title="Since"),
            alt.Tooltip("answer:N", title="Answer"),
        ],
    )
    colour = alt.Color("state:N", scale=alt.Scale(domain=states, range=colours), legend=None)
    tiles = base.mark_rect(stroke=palette.background, strokeWidth=3, cornerRadius=4).encode(
        color=colour, opacity=alt.condition("datum.state == 'listed'", alt.value(1.0), alt.value(0.22))
    )
    ink = alt.condition("datum.state == 'listed'", alt.value(palette.background), alt.value(palette.text))
    words = base.mark_text(fontSize=12, fontWeight=600, dy=-6).encode(text="label:N", color=ink)
    below = base.mark_text(fontSize=10, dy=9).encode(text="below:N", color=ink)
    return dressed([tiles, words, below], _height(frame))


def plans(frame: pd.DataFrame, palette: Palette) -> alt.LayerChart:
    """Warm-up today: what was sent of each provider's quota, and where tomorrow's cap lies.

    frame: provider str, sent, quota, tomorrow float64, last str.
    """
    base = alt.Chart(frame).encode(y=alt.Y("provider:N", sort=None, axis=_names(minExtent=90)))
    tooltip = [
        alt.Tooltip("provider:N", title="Provider"),
        alt.Tooltip("sent:Q", title="Sent today", format=",.0f"),
        alt.Tooltip("quota:Q", title="Today's cap", format=",.0f"),
        alt.Tooltip("tomorrow:Q", title="Next day's cap, as it stands", format=",.0f"),
        alt.Tooltip("last:N", title="Last day"),
    ]
    x_axis = alt.Axis(title=None, grid=True, format=",.0f", tickCount=6)
    quota = base.mark_bar(color=palette.grid, height=22).encode(x=alt.X("quota:Q", axis=x_axis), tooltip=tooltip)
    sent = base.mark_bar(color=palette.ink, height=10).encode(x="sent:Q", tooltip=tooltip)
    tomorrow = base.mark_tick(color=palette.held, thickness=3, size=26).encode(x="tomorrow:Q", tooltip=tooltip)
    return dressed([quota, sent, tomorrow], max(1, len(frame)) * 34 + 30)


def days(frame: pd.DataFrame, palette: Palette) -> alt.LayerChart:
    """What left an address by day, and the plan that a stage a day would have been.

    frame: day_at instant, sent float64, plan float64.
    """
    x = alt.X(
        "utcyearmonthdate(day_at):O",
        axis=alt.Axis(title=None, format="%-d %b", grid=False, labelOverlap=True, labelAngle=0),
    )
    tooltip = [
        alt.Tooltip("utcyearmonthdate(day_at):T", title="Day", format="%-d %b"),
        alt.Tooltip("sent:Q", title="Sent", format=",.0f"),
        alt.Tooltip("plan:Q", title="Plan", format=",.0f"),
    ]
    base = alt.Chart(frame)
    y = alt.Y("sent:Q", axis=y_axis(format=",.0f", tickMinStep=1))
    names = alt.Scale(domain=["sent", "plan: a stage a day"], range=[palette.accepted, palette.held])
    bars = base.transform_calculate(part="'sent'").mark_bar()
    line = base.transform_calculate(part="'plan: a stage a day'").mark_line(
        strokeDash=[4, 3], strokeWidth=2, point=True
    )
    colour = alt.Color("part:N", scale=names, legend=legend())
    return dressed(
        [
            bars.encode(x=x, y=y, color=colour, tooltip=tooltip),
            line.encode(x=x, y="plan:Q", color=colour, tooltip=tooltip),
        ],
        HEIGHT,
    )


def _names(**more: Any) -> alt.Axis:
    return alt.Axis(title=None, labelAngle=0, domain=False, ticks=False, labelLimit=170, labelFlush=False, **more)


def _height(frame: pd.DataFrame, row: int = ROW) -> int:
    return max(1, int(frame["address"].nunique())) * row + TOP
