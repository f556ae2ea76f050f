"""The pictures about delivery: frames in, Altair charts out, in the manner of those of traffic (dashboard.charts).

Verdict colours mean verdicts only; classes and providers are told apart by ink, dashes and words. A heat map is one
sequence of teal, and what nobody knows is grey with a word in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from dashboard import zone
from dashboard.charts import AXIS_WIDTH
from dashboard.data import Window
from dashboard.theme import Palette

HEIGHT = 200
_SHORTEST, _TICKS = 0.1, (0.1, 1, 10, 60, 600, 3600, 36_000, 172_800)
_TICK_WORDS = (
    "datum.value < 60 ? datum.value + ' s' : datum.value < 3600 ? datum.value / 60 + ' min' : datum.value / 3600 + ' h'"
)
WHO = {"innocent": "everybody else", "stopped": "stopped senders"}


def delays(frame: pd.DataFrame, palette: Palette) -> alt.LayerChart:
    """How large a share was delivered within a delay: one line for senders that were stopped, one for everybody else.

    frame: who str, share float64 in [0, 1], seconds float64, messages int64.
    """
    drawn = frame.assign(who=frame["who"].map(WHO), seconds=frame["seconds"].clip(lower=_SHORTEST))
    longest = max(60.0, float(drawn["seconds"].max()) if len(drawn) else 0.0)
    people = list(WHO.values())
    scale = alt.Scale(domain=people, range=[palette.ink, palette.held])
    dashes = alt.Scale(domain=people, range=[[1, 0], [5, 3]])
    line = (
        alt.Chart(drawn)
        .mark_line(strokeWidth=2, interpolate="monotone")
        .encode(
            x=alt.X(
                "seconds:Q",
                scale=alt.Scale(type="log", domain=[_SHORTEST, longest], nice=False),
                axis=alt.Axis(
                    title=None,
                    grid=False,
                    values=[tick for tick in _TICKS if tick <= longest],
                    labelExpr=_TICK_WORDS,
                ),
            ),
            y=alt.Y("share:Q", scale=alt.Scale(domain=[0, 1]), axis=y_axis(format="%", values=[0, 0.5, 0.95])),
            color=alt.Color("who:N", scale=scale, legend=legend()),
            strokeDash=alt.StrokeDash("who:N", scale=dashes, legend=legend()),
            tooltip=[
                alt.Tooltip("who:N", title="Senders"),
                alt.Tooltip("share:Q", title="Share", format=".0%"),
                alt.Tooltip("seconds:Q", title="Within seconds", format=",.1f"),
                alt.Tooltip("messages:Q", title="Recipients", format=",.0f"),
            ],
        )
    )
    return dressed([line], HEIGHT)


def stacked(
    frame: pd.DataFrame, window: Window, parts: Mapping[str, str], shades: Mapping[str, str], units: str
) -> alt.LayerChart:
    """Blocks over time, the first of `parts` (column -> word) lowest. `shades`: word -> colour.

    frame: bucket_at and bucket_end instants, when str, and the columns of `parts` float64, as charts.filled gives them.
    """
    blocks, floor = [], pd.Series(0.0, index=frame.index)
    for name, word in parts.items():  # stacked here: Vega stacks no ranged marks
        block = frame[["bucket_at", "bucket_end", "when"]].assign(part=word, number=frame[name], low=floor)
        floor = floor + frame[name]
        blocks.append(block.assign(high=floor))
    drawn = pd.concat(blocks, ignore_index=True)
    shown = "%H:%M" if window.span.total_seconds() <= 86_400 else "%a %-d %b"
    bars = (
        alt.Chart(drawn[drawn["number"] > 0])
        .mark_rect()
        .encode(
            x=alt.X(
                "bucket_at:T",
                scale=alt.Scale(type=zone.axis(), nice=False),
                axis=alt.Axis(title=None, format=shown, grid=False, labelOverlap=True, tickCount=8),
            ),
            x2="bucket_end:T",
            y=alt.Y("low:Q", axis=y_axis(format=",.0f", tickMinStep=1), scale=alt.Scale(nice=True, zero=True)),
            y2="high:Q",
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=list(shades), range=list(shades.values())),
                legend=legend(symbolType="square", columns=3),
            ),
            tooltip=[
                alt.Tooltip("when:N", title="Time"),
                alt.Tooltip("part:N", title=units),
                alt.Tooltip("number:Q", title="Number", format=",.0f"),
            ],
        )
    )
    ends = drawn[["bucket_at"]].iloc[[0, -1]].assign(low=0.0) if len(drawn) else drawn
    span = alt.Chart(ends).mark_point(opacity=0).encode(x="bucket_at:T", y="low:Q")  # quiet ends belong to the window
    return dressed([span, bars], HEIGHT)


def y_axis(**more: Any) -> alt.Axis:
    return alt.Axis(
        title=None, minExtent=AXIS_WIDTH, maxExtent=AXIS_WIDTH, tickCount=4, domain=False, ticks=False, **more
    )


def legend(**more: Any) -> alt.Legend:
    return alt.Legend(title=None, orient="top", direction="horizontal", offset=2, labelLimit=260, **more)


def dressed(layers: Sequence[alt.Chart], height: int) -> alt.LayerChart:
    chart: alt.LayerChart = alt.LayerChart(layer=list(layers)).properties(height=height).configure_view(strokeWidth=0)
    return chart
