"""The pictures: frames in, Altair charts out. One time axis in the reader's zone, verdict colours, marks where
something began.

Buckets without mail are filled in with zeros, so that the axis spans the whole window without a fixed domain: a live
chart then only gets new data and is not drawn anew every two seconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import altair as alt
import pandas as pd

from dashboard import zone
from dashboard.components.words import clock, zone_of
from dashboard.data import Window
from dashboard.theme import Palette

AXIS_WIDTH = 46  # of every y axis, so that charts above each other share their time axis to the pixel
FLOW_HEIGHT, STRIP_HEIGHT = 230, 140
_SHORTEST_SECONDS, _MINUTE = 0.01, 60.0  # the delay axis reaches from here at least to a minute: 1 s looks like 1 s
_DELAY_TICKS = (0.01, 0.1, 1, 10, 60, 600, 3600, 36000)
_DELAY_LABELS = (
    "datum.value < 60 ? datum.value + ' s' : datum.value < 3600 ? datum.value / 60 + ' min' : datum.value / 3600 + ' h'"
)
WORDS = {"accepted": "Accepted", "held": "Held", "refused": "Refused"}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that began: a mark on the time axis."""

    starts_at: datetime
    words: str


def filled(
    frame: pd.DataFrame, window: Window, now: datetime, columns: Sequence[str], gap: float | None = 0
) -> pd.DataFrame:
    """Return one row per bucket of the window; `columns` hold `gap` where nothing was.

    Beside them bucket_at and bucket_end, is_open bool (not over yet) and when str.

    bucket_at and bucket_end datetime64[ns, UTC], columns float64.
    """
    step = pd.Timedelta(seconds=window.bucket_seconds)
    buckets = pd.date_range(window.since(now), now, freq=step, name="bucket_at").tz_convert("UTC")
    if frame.empty:
        known = pd.DataFrame(index=buckets, columns=list(columns), dtype="float64")
    else:
        at = pd.to_datetime(frame["bucket_at"], utc=True).dt.floor(step)
        known = frame[list(columns)].astype("float64").groupby(at).sum(min_count=1).reindex(buckets)
    if gap is not None:
        known = known.fillna(gap)
    known = known.reset_index()
    known["bucket_end"] = known["bucket_at"] + step
    known["is_open"] = known["bucket_end"] > now
    shown = "%H:%M" if window.span <= timedelta(hours=24) else "%a %-d %b %H:%M"
    known["when"] = spans(known, now, shown)
    return known


def spans(frame: pd.DataFrame, now: datetime, shown: str) -> list[str]:
    """From bucket_at, written as strftime's `shown`, to bucket_end, in the zone of `now`."""
    begins, ends = (frame[name].dt.tz_convert(now.tzinfo) for name in ("bucket_at", "bucket_end"))
    return [f"{one:{shown}} – {other:%H:%M} {zone_of(other)}" for one, other in zip(begins, ends, strict=True)]


def flow(
    frame: pd.DataFrame, window: Window, palette: Palette, events: Iterable[Event] = (), legend_columns: int = 4
) -> alt.LayerChart:
    """What was decided per bucket, stacked, and as a line what was delivered. Frame as `filled` returns it.

    The bucket that is not over yet is drawn pale and has no line: half a minute would look like a drop.
    """
    colours = alt.Scale(
        domain=[*WORDS.values(), "Delivered"],
        range=[palette.accepted, palette.held, palette.refused, palette.ink],
    )
    bars = (
        alt.Chart(_stacked(frame))
        .mark_rect(stroke=palette.background, strokeWidth=0.5)
        .encode(
            x=_time("bucket_at", window),
            x2="bucket_end:T",
            y=alt.Y("low:Q", axis=_y_axis(format=",.0f", tickMinStep=1), scale=alt.Scale(nice=True, zero=True)),
            y2="high:Q",
            color=alt.Color("verdict:N", scale=colours, legend=_legend(symbolType="square", columns=legend_columns)),
            opacity=alt.Opacity("strength:Q", scale=None, legend=None),
            tooltip=[
                alt.Tooltip("when:N", title="Time"),
                alt.Tooltip("verdict:N", title="Verdict"),
                alt.Tooltip("messages:Q", title="Messages", format=",.0f"),
            ],
        )
    )
    line = (
        alt.Chart(_middles(frame[~frame["is_open"]]).assign(verdict="Delivered"))
        .mark_line(strokeWidth=1.8, interpolate="monotone")
        .encode(
            x=_time("middle", window),
            y=alt.Y("delivered:Q"),
            color=alt.Color("verdict:N", scale=colours),
            tooltip=[
                alt.Tooltip("when:N", title="Time"),
                alt.Tooltip("delivered:Q", title="Delivered to recipients", format=",.0f"),
            ],
        )
    )
    return _dressed([bars, line, *_marks(events, window, palette)], FLOW_HEIGHT)


def delay(frame: pd.DataFrame, window: Window, palette: Palette, events: Iterable[Event] = ()) -> alt.LayerChart:
    """From acceptance to delivery: the median and what 95 % stay below, on a log scale. Gaps: nothing was delivered."""
    parts = {"p95_seconds": "95 % within", "p50_seconds": "half within"}
    long = _middles(frame).melt(
        id_vars=["middle", "when"], value_vars=list(parts), var_name="part", value_name="seconds"
    )
    long["part"] = long["part"].map(parts)
    long["seconds"] = long["seconds"].clip(lower=_SHORTEST_SECONDS)
    longest = max(_MINUTE, long["seconds"].max(skipna=True) if long["seconds"].notna().any() else 0.0)
    line = (
        alt.Chart(long)
        .mark_line(strokeWidth=1.8, interpolate="monotone", point=alt.OverlayMarkDef(size=12, filled=True))
        .encode(
            x=_time("middle", window),
            y=alt.Y(
                "seconds:Q",
                axis=_y_axis(values=[tick for tick in _DELAY_TICKS if tick <= longest], labelExpr=_DELAY_LABELS),
                scale=alt.Scale(type="log", domain=[_SHORTEST_SECONDS, longest], nice=False),
            ),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=list(parts.values()), range=[palette.ink, palette.neutral]),
                legend=None,  # the line above the chart says it: a legend would take half of the strip
            ),
            strokeDash=alt.StrokeDash(
                "part:N", scale=alt.Scale(domain=list(parts.values()), range=[[1, 0], [4, 3]]), legend=None
            ),
            tooltip=[
                alt.Tooltip("when:N", title="Time"),
                alt.Tooltip("part:N", title="Delay"),
                alt.Tooltip("seconds:Q", title="Seconds", format=",.2f"),
            ],
        )
    )
    return _dressed([line, *_marks(events, window, palette)], STRIP_HEIGHT)


def scores(messages: pd.DataFrame, window: Window, now: datetime, hold_line: float, palette: Palette) -> alt.LayerChart:
    """Every recent message by time and spam score, with the line from which a message is held.

    messages: received_at datetime64[ns, UTC], when str, score float64, verdict str, subject str.
    """
    verdicts = ["Accepted", "Held", "Deferred", "Refused"]
    points = (
        alt.Chart(messages)
        .mark_point(size=45, filled=True, opacity=0.8)
        .encode(
            x=_time("received_at", window),
            y=alt.Y("score:Q", scale=alt.Scale(domain=[0, 1]), axis=_y_axis(values=[0, 0.5, 1])),
            color=alt.Color(
                "verdict:N",
                scale=alt.Scale(
                    domain=verdicts, range=[palette.accepted, palette.held, palette.neutral, palette.refused]
                ),
                legend=_legend(columns=2),
            ),
            shape=alt.Shape(
                "verdict:N",
                scale=alt.Scale(domain=verdicts, range=["circle", "square", "triangle-up", "cross"]),
                legend=_legend(columns=2),
            ),
            tooltip=[
                alt.Tooltip("when:N", title="Received"),
                alt.Tooltip("score:Q", title="Score", format=".3f"),
                alt.Tooltip("verdict:N", title="Verdict"),
                alt.Tooltip("subject:N", title="Subject"),
            ],
        )
    )
    ends = alt.Chart(pd.DataFrame({"received_at": pd.to_datetime([window.since(now), now], utc=True)}))
    span = ends.mark_point(opacity=0).encode(x=_time("received_at", window))  # the same axis as the chart beside it
    line = alt.Chart(pd.DataFrame({"line": [hold_line], "words": [f"held from {hold_line:g}"]}))
    rule = line.mark_rule(strokeDash=[5, 4], color=palette.held, strokeWidth=1.5).encode(y="line:Q")
    words = line.mark_text(align="left", dx=4, dy=10, color=palette.neutral, fontSize=11).encode(
        y="line:Q", x=alt.value(0), text="words:N"
    )
    return _dressed([span, points, rule, words], FLOW_HEIGHT)


def _stacked(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per bucket and verdict with the bounds of its block. Stacked here: Vega stacks no ranged marks."""
    parts, floor = [], pd.Series(0.0, index=frame.index)
    for name, word in WORDS.items():
        block = frame[["bucket_at", "bucket_end", "when"]].assign(
            verdict=word, messages=frame[name], low=floor, high=floor + frame[name]
        )
        block["strength"] = frame["is_open"].map({True: 0.45, False: 1.0})
        parts.append(block)
        floor = floor + frame[name]
    return pd.concat(parts, ignore_index=True)


def _middles(frame: pd.DataFrame) -> pd.DataFrame:
    """Lines go through the middle of their bucket, where the bar is."""
    return frame.assign(middle=frame["bucket_at"] + (frame["bucket_end"] - frame["bucket_at"]) / 2)


def _marks(events: Iterable[Event], window: Window, palette: Palette) -> list[alt.Chart]:
    """A dashed rule and a flag for each event; the layers are there without any too, so that one more is only data."""
    here = datetime.now(zone.zone())
    rows = [(event.starts_at, event.words, clock(event.starts_at, here)) for event in events]
    frame = pd.DataFrame(rows, columns=["starts_at", "event", "when"])
    frame["starts_at"] = pd.to_datetime(frame["starts_at"], utc=True)
    base = alt.Chart(frame)
    tooltip = [alt.Tooltip("when:N", title="Since"), alt.Tooltip("event:N", title="Decision")]
    rule = base.mark_rule(color=palette.neutral, strokeDash=[3, 3], strokeWidth=1.2).encode(
        x=_time("starts_at", window), tooltip=tooltip
    )
    flag = base.mark_point(shape="triangle-down", filled=True, size=90, color=palette.held, opacity=1).encode(
        x=_time("starts_at", window), y=alt.value(4), tooltip=tooltip
    )
    return [rule, flag]


def _time(column: str, window: Window) -> alt.X:
    shown = "%H:%M" if window.span <= timedelta(hours=24) else "%a %-d %b"
    return alt.X(
        f"{column}:T",
        scale=alt.Scale(type=zone.axis(), nice=False),
        axis=alt.Axis(title=None, format=shown, grid=False, labelOverlap=True, tickCount=8),
    )


def _y_axis(**more: Any) -> alt.Axis:
    return alt.Axis(
        title=None, minExtent=AXIS_WIDTH, maxExtent=AXIS_WIDTH, tickCount=4, domain=False, ticks=False, **more
    )


def _legend(**more: Any) -> alt.Legend:
    return alt.Legend(title=None, orient="top", direction="horizontal", offset=2, **more)


def _dressed(layers: list[alt.Chart], height: int) -> alt.LayerChart:
    dressed: alt.LayerChart = alt.LayerChart(layer=layers).properties(height=height).configure_view(strokeWidth=0)
    return dressed
