"""Pictures of one sender: its hours against what is usual, its unique recipients, what is believed of its rates."""

import math
from datetime import datetime, timedelta
from typing import Any

import altair as alt
import pandas as pd

from dashboard import zone
from dashboard.charts import AXIS_WIDTH, spans
from dashboard.theme import Palette
from relay.cases.views import RateView

HEIGHT, CURVE_HEIGHT = 190, 120
_POINTS = 160
_HOUR = pd.Timedelta(hours=1)


def volume(hours: pd.DataFrame, now: datetime, palette: Palette, hold_from: datetime | None = None) -> alt.LayerChart:
    """Recipients of each hour as bars before the band that is usual at that hour. `hold_from`: a mark, with a flag.

    On a root scale: an attack is ten times what is usual, which must still be seen.

    hours: bucket_at datetime64[ns, UTC], recipients, low, usual, high float64; the last three NaN while nothing is
    known.
    """
    frame = _hourly(hours, now)
    frame["is_above"] = frame["recipients"] > frame["high"].fillna(math.inf)
    frame["kind"] = frame["is_above"].map({True: "more than usual", False: "recipients"})
    scale = alt.Scale(domain=["recipients", "more than usual"], range=[palette.accepted, palette.held])
    tooltip = [
        alt.Tooltip("when:N", title="Hour"),
        alt.Tooltip("recipients:Q", title="Recipients", format=",.0f"),
        alt.Tooltip("usual_words:N", title="Usual (5–95 %)"),
    ]
    band = (
        alt.Chart(frame.dropna(subset=["low", "high"]))
        .mark_area(color=palette.neutral, opacity=0.22, interpolate="step-after")
        .encode(x=_time("bucket_at"), y=alt.Y("low:Q"), y2="high:Q")
    )
    bars = (
        alt.Chart(frame)
        .mark_rect(stroke=palette.background, strokeWidth=0.5)
        .encode(
            x=_time("bucket_at"),
            x2="bucket_end:T",
            y=alt.Y("recipients:Q", axis=_y_axis(), scale=alt.Scale(type="sqrt", zero=True, nice=True)),
            y2="floor:Q",
            color=alt.Color("kind:N", scale=scale, legend=_legend()),
            opacity=alt.condition("datum.is_open", alt.value(0.5), alt.value(1.0)),
            tooltip=tooltip,
        )
    )
    return _dressed([_day(now), band, bars, *_marks(hold_from, palette)], HEIGHT)


def unique(hours: pd.DataFrame, now: datetime, palette: Palette) -> alt.LayerChart:
    """Recipients of each hour, and how many of them are different.

    hours: bucket_at datetime64[ns, UTC], recipients, unique_recipients float64.
    """
    frame = _hourly(hours, now)
    scale = alt.Scale(domain=["recipients", "different ones"], range=[palette.neutral, palette.ink])
    parts = [_day(now)]
    for column, word, opacity in (("recipients", "recipients", 0.45), ("unique_recipients", "different ones", 1.0)):
        parts.append(
            alt.Chart(frame.assign(kind=word))
            .mark_rect(opacity=opacity, stroke=palette.background, strokeWidth=0.5)
            .encode(
                x=_time("bucket_at"),
                x2="bucket_end:T",
                y=alt.Y(f"{column}:Q", axis=_y_axis(), scale=alt.Scale(zero=True, nice=True)),
                y2="floor:Q",
                color=alt.Color("kind:N", scale=scale, legend=_legend()),
                tooltip=[
                    alt.Tooltip("when:N", title="Hour"),
                    alt.Tooltip("recipients:Q", title="Recipients", format=",.0f"),
                    alt.Tooltip("unique_recipients:Q", title="Different", format=",.0f"),
                ],
            )
        )
    return _dressed(parts, HEIGHT)


def curve(rate: RateView, palette: Palette) -> alt.LayerChart:
    """What is believed of a rate after what was seen, with the line above which its sender is stopped."""
    frame = density(rate)
    frame["above"] = frame["rate"] >= rate.line
    x = alt.X(
        "rate:Q",
        axis=alt.Axis(title=None, format="~%", grid=False, tickCount=5),
        scale=alt.Scale(domain=[0, float(frame["rate"].max())], nice=False),
    )
    y = alt.Y("density:Q", axis=None, scale=alt.Scale(domain=[0, 1.08]))
    layers = [
        alt.Chart(frame[frame["rate"] <= rate.line]).mark_area(color=palette.accepted, opacity=0.55).encode(x=x, y=y),
        alt.Chart(frame[frame["above"]]).mark_area(color=palette.refused, opacity=0.75).encode(x=x, y=y),
        alt.Chart(frame).mark_line(color=palette.ink, strokeWidth=1.4).encode(x=x, y=y),
    ]
    line = alt.Chart(pd.DataFrame({"rate": [rate.line], "words": [f"stop line {rate.line:.3g}"]}))
    layers.append(line.mark_rule(color=palette.held, strokeDash=[5, 4], strokeWidth=1.8).encode(x=x))
    return _dressed(layers, CURVE_HEIGHT)


def density(rate: RateView) -> pd.DataFrame:
    """The Beta posterior of a rate, its highest point scaled to 1: rate float64 in (0, 1), density float64."""
    a, b = rate.prior_bad + rate.bad, rate.prior_good + max(rate.seen - rate.bad, 0.0)
    mean = a / (a + b)
    spread = math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1)))
    right = min(max(rate.line * 2, mean + 4 * spread), 0.999)
    rates = [right * (n + 0.5) / _POINTS for n in range(_POINTS)]
    logs = [(a - 1) * math.log(x) + (b - 1) * math.log1p(-x) for x in rates]
    # a density without bound at 0 (a < 1) would flatten the rest: it is cut where its first hundredth ends
    top = max(logs[2:])
    return pd.DataFrame({"rate": rates, "density": [math.exp(min(one - top, 0.0)) for one in logs]})


def _hourly(frame: pd.DataFrame, now: datetime) -> pd.DataFrame:
    known = frame.copy()
    known["bucket_at"] = pd.to_datetime(known["bucket_at"], utc=True)
    for name in known.columns.drop("bucket_at"):
        known[name] = pd.to_numeric(known[name], errors="coerce").astype("float64")
    known["floor"] = 0.0
    known["bucket_end"] = known["bucket_at"] + _HOUR
    known["is_open"] = known["bucket_end"] > pd.Timestamp(now)
    known["when"] = spans(known, now, "%a %-d %b %H:%M")
    if "high" in known:
        known["usual_words"] = [
            "not known yet" if high != high else f"{low:,.0f} to {high:,.0f}"
            for low, high in zip(known["low"], known["high"], strict=True)
        ]
    return known


def _day(now: datetime) -> alt.Chart:
    """Nothing to see, from a day ago until now: a sender's first hour is no block that fills the picture."""
    ends = pd.DataFrame({"bucket_at": pd.to_datetime([now - timedelta(days=1), now], utc=True)})
    span: alt.Chart = alt.Chart(ends).mark_point(opacity=0).encode(x=_time("bucket_at"))
    return span


def _marks(since: datetime | None, palette: Palette) -> list[alt.Chart]:
    frame = pd.DataFrame({"starts_at": [since] if since else []})
    frame["starts_at"] = pd.to_datetime(frame["starts_at"], utc=True)
    base = alt.Chart(frame)
    rule = base.mark_rule(color=palette.neutral, strokeDash=[3, 3]).encode(x=_time("starts_at"))
    flag = base.mark_point(shape="triangle-down", filled=True, size=90, color=palette.held, opacity=1).encode(
        x=_time("starts_at"), y=alt.value(4)
    )
    return [rule, flag]


def _time(column: str) -> alt.X:
    axis = alt.Axis(title=None, format="%a %H:%M", grid=False, labelOverlap=True, tickCount=7)
    return alt.X(f"{column}:T", scale=alt.Scale(type=zone.axis(), nice=False), axis=axis)


def _y_axis(**more: Any) -> alt.Axis:
    return alt.Axis(
        title=None, minExtent=AXIS_WIDTH, maxExtent=AXIS_WIDTH, tickCount=4, domain=False, ticks=False,
        format=",.0f", tickMinStep=1, **more,
    )  # fmt: skip


def _legend() -> alt.Legend:
    return alt.Legend(title=None, orient="top", direction="horizontal", symbolType="square", offset=2)


def _dressed(layers: list[Any], height: int) -> alt.LayerChart:
    dressed: alt.LayerChart = alt.LayerChart(layer=layers).properties(height=height).configure_view(strokeWidth=0)
    return dressed
