"""The pictures: frames in, Altair charts out. One time axis in UTC, verdict colours, event marks where something began.

Buckets without mail are filled in with zeros, so that the axis spans the whole window without a fixed domain: a live
chart then only gets new data and is not drawn anew every two seconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import altair as alt
import pandas as pd

from dashboard.data import Window
from dashboard.theme import Palette

AXIS_WIDTH = 46  # of every y axis, so that charts above each other share their time axis to the pixel
WORDS = {"accepted": "Accepted", "held": "Held", "refused": "Refused"}
_NO_EVENTS = pd.DataFrame({"starts_at": pd.Series(dtype="datetime64[ns, UTC]"), "event": pd.Series(dtype="str")})


@dataclass(frozen=True, slots=True)
class Event:
    """Something that began: a mark on the time axis."""

    starts_at: datetime
    words: str


def filled(
    frame: pd.DataFrame, window: Window, now: datetime, columns: Sequence[str], gap: float | None = 0
) -> pd.DataFrame:
    """Return one row per bucket of the window: bucket_at, bucket_end, when (text) and `columns`, `gap` where none was.

    bucket_at and bucket_end datetime64[ns, UTC], columns float64.
    """
    step = pd.Timedelta(seconds=window.bucket_seconds)
    buckets = pd.date_range(window.since(now), now, freq=step, name="bucket_at")
    if frame.empty:
        known = pd.DataFrame(index=buckets, columns=list(columns), dtype="float64")
    else:
        at = pd.to_datetime(frame["bucket_at"], utc=True).dt.floor(step)
        known = frame[list(columns)].astype("float64").groupby(at).sum(min_count=1).reindex(buckets)
    if gap is not None:
        known = known.fillna(gap)
    known = known.reset_index()
    known["bucket_end"] = known["bucket_at"] + step
    shown = "%H:%M" if window.span <= timedelta(hours=24) else "%a %-d %b %H:%M"
    known["when"] = known["bucket_at"].dt.strftime(shown) + " – " + known["bucket_end"].dt.strftime("%H:%M UTC")
    return known


def flow(frame: pd.DataFrame, palette: Palette, events: Iterable[Event] = (), height: int = 210) -> alt.LayerChart:
    """What was decided per bucket, stacked, and as a line what was delivered. Frame as `filled` returns it."""
    long = frame.melt(
        id_vars=["bucket_at", "bucket_end", "when"], value_vars=list(WORDS), var_name="verdict", value_name="messages"
    )
    long["verdict"] = long["verdict"].map(WORDS)
    long["place"] = long["verdict"].map({"Accepted": 0, "Held": 1, "Refused": 2})
    colours = alt.Scale(
        domain=[*WORDS.values(), "Delivered"],
        range=[palette.accepted, palette.held, palette.refused, palette.ink],
    )
    legend = alt.Legend(title=None, orient="top", direction="horizontal", offset=4, symbolType="square")
    bars = (
        alt.Chart(long)
        .mark_bar(stroke=palette.background, strokeWidth=0.6)
        .encode(
            x=_time("bucket_at"),
            x2="bucket_end:T",
            y=_count("messages:Q", "messages"),
            color=alt.Color("verdict:N", scale=colours, legend=legend),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("when:N", title="Time"),
                alt.Tooltip("verdict:N", title="Verdict"),
                alt.Tooltip("messages:Q", title="Messages", format=",.0f"),
            ],
        )
    )
    middle = frame.assign(
        middle=frame["bucket_at"] + (frame["bucket_end"] - frame["bucket_at"]) / 2, verdict="Delivered"
    )
    line = (
        alt.Chart(middle)
        .mark_line(strokeWidth=1.8, interpolate="monotone")
        .encode(
            x=_time("middle"),
            y=alt.Y("delivered:Q"),
            color=alt.Color("verdict:N", scale=colours, legend=legend),
            tooltip=[
                alt.Tooltip("when:N", title="Time"),
                alt.Tooltip("delivered:Q", title="Delivered to recipients", format=",.0f"),
            ],
        )
    )
    return _dressed(alt.layer(bars, line, *_marks(events, palette)), height)


def delay(frame: pd.DataFrame, palette: Palette, events: Iterable[Event] = (), height: int = 120) -> alt.LayerChart:
    """From acceptance to delivery: the median and what 95 % stay below. Gaps are buckets without deliveries."""
    long = frame.melt(
        id_vars=["bucket_at", "bucket_end", "when"],
        value_vars=["p95_seconds", "p50_seconds"],
        var_name="part",
        value_name="seconds",
    )
    long["part"] = long["part"].map({"p95_seconds": "95 % within", "p50_seconds": "half within"})
    long["middle"] = long["bucket_at"] + (long["bucket_end"] - long["bucket_at"]) / 2
    line = (
        alt.Chart(long)
        .mark_line(strokeWidth=1.8, interpolate="monotone", point=alt.OverlayMarkDef(size=14, filled=True))
        .encode(
            x=_time("middle"),
            y=alt.Y("seconds:Q", axis=_y_axis("seconds"), scale=alt.Scale(zero=True, nice=True)),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=["95 % within", "half within"], range=[palette.ink, palette.neutral]),
                legend=alt.Legend(title=None, orient="top", direction="horizontal", offset=4, symbolType="stroke"),
            ),
            strokeDash=alt.StrokeDash(
                "part:N", scale=alt.Scale(domain=["95 % within", "half within"], range=[[1, 0], [4, 3]]), legend=None
            ),
            tooltip=[
                alt.Tooltip("when:N", title="Time"),
                alt.Tooltip("part:N", title="Delay"),
                alt.Tooltip("seconds:Q", title="Seconds", format=",.2f"),
            ],
        )
    )
    return _dressed(alt.layer(line, *_marks(events, palette)), height)


def scores(messages: pd.DataFrame, hold_line: float, palette: Palette, height: int = 190) -> alt.LayerChart:
    """Every recent message by time and spam score, with the line from which a message is held.

    messages: received_at datetime64[ns, UTC], score float64, verdict str, subject str.
    """
    verdicts = ["Accepted", "Held", "Deferred", "Refused"]
    points = (
        alt.Chart(messages)
        .mark_point(size=55, filled=True, opacity=0.8)
        .encode(
            x=_time("received_at"),
            y=alt.Y("score:Q", scale=alt.Scale(domain=[0, 1]), axis=_y_axis("spam score", values=[0, 0.5, 1])),
            color=alt.Color(
                "verdict:N",
                scale=alt.Scale(
                    domain=verdicts, range=[palette.accepted, palette.held, palette.neutral, palette.refused]
                ),
                legend=alt.Legend(title=None, orient="top", direction="horizontal", offset=4),
            ),
            shape=alt.Shape(
                "verdict:N",
                scale=alt.Scale(domain=verdicts, range=["circle", "square", "triangle-up", "cross"]),
                legend=alt.Legend(title=None, orient="top", direction="horizontal", offset=4),
            ),
            tooltip=[
                alt.Tooltip("when:N", title="Received"),
                alt.Tooltip("score:Q", title="Score", format=".3f"),
                alt.Tooltip("verdict:N", title="Verdict"),
                alt.Tooltip("subject:N", title="Subject"),
            ],
        )
    )
    line = alt.Chart(pd.DataFrame({"line": [hold_line], "words": [f"held from {hold_line:g}"]}))
    rule = line.mark_rule(strokeDash=[5, 4], color=palette.held, strokeWidth=1.5).encode(y="line:Q")
    words = line.mark_text(align="left", dx=4, dy=-7, color=palette.neutral, fontSize=11).encode(
        y="line:Q", x=alt.value(0), text="words:N"
    )
    return _dressed(alt.layer(points, rule, words), height)


def _marks(events: Iterable[Event], palette: Palette) -> list[alt.Chart]:
    """A dashed rule and a flag for each event, always present, so that the first event does not redraw the chart."""
    frame = pd.DataFrame([{"starts_at": e.starts_at, "event": e.words} for e in events]) if events else _NO_EVENTS
    if not frame.empty:
        frame["starts_at"] = pd.to_datetime(frame["starts_at"], utc=True)
        frame["when"] = frame["starts_at"].dt.strftime("%H:%M:%S UTC")
    else:
        frame = _NO_EVENTS.assign(when=pd.Series(dtype="str"))
    base = alt.Chart(frame)
    tooltip = [alt.Tooltip("when:N", title="Since"), alt.Tooltip("event:N", title="Decision")]
    rule = base.mark_rule(color=palette.neutral, strokeDash=[3, 3], strokeWidth=1.2).encode(
        x=_time("starts_at"), tooltip=tooltip
    )
    flag = base.mark_point(shape="triangle-down", filled=True, size=90, color=palette.held, opacity=1).encode(
        x=_time("starts_at"), y=alt.value(4), tooltip=tooltip
    )
    return [rule, flag]


def _time(column: str) -> alt.X:
    return alt.X(
        f"{column}:T",
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(
            title="UTC", titleAnchor="end", titleFontWeight="normal", grid=False, labelOverlap=True, tickCount=8
        ),
    )


def _count(field: str, title: str) -> alt.Y:
    return alt.Y(field, stack="zero", axis=_y_axis(title, format=",.0f"), scale=alt.Scale(nice=True))


def _y_axis(title: str, **more: object) -> alt.Axis:
    return alt.Axis(
        title=title,
        titleFontWeight="normal",
        minExtent=AXIS_WIDTH,
        maxExtent=AXIS_WIDTH,
        tickCount=4,
        domain=False,
        ticks=False,
        **more,
    )


def _dressed(chart: alt.LayerChart, height: int) -> alt.LayerChart:
    dressed: alt.LayerChart = chart.properties(height=height).configure_view(strokeWidth=0)
    return dressed


def instants(values: pd.Series) -> pd.Series:
    """A frame's column as datetime64[ns, UTC]."""
    return pd.to_datetime(values, utc=True)


def utc(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)
