"""Pictures of a model on mail that people have labelled: calibration, ROC curve, and how its scores move by day."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analytics.learning.reliability import Bin, Curve
from dashboard.theme import Palette

_HEIGHT = 260
_SHARE = alt.Axis(format="%", titleFontWeight="normal")


def calibration(bins: Sequence[Bin], palette: Palette) -> alt.LayerChart:
    """What the model said against what it was; on the line it is right. Bars are 95 % intervals."""
    frame = pd.DataFrame(
        [
            {
                "said": one.mean_score,
                "was": one.rate,
                "low": one.low,
                "high": one.high,
                "words": f"{one.bad} of {one.messages} were spam",
            }
            for one in bins
        ]
    )
    x = alt.X("said:Q", title="mean score", scale=alt.Scale(domain=[0, 1]))
    base = alt.Chart(frame).encode(x=x, tooltip=["words:N", alt.Tooltip("said:Q", format=".2f", title="mean score")])
    bars = base.mark_rule(color=palette.neutral, strokeWidth=2).encode(
        y=alt.Y("low:Q", title="share that was spam", axis=_SHARE, scale=alt.Scale(domain=[0, 1])), y2="high:Q"
    )
    points = base.mark_point(filled=True, size=70, color=palette.ink, opacity=1).encode(y="was:Q")
    return _dressed([_diagonal(palette), bars, points])


def roc(curve: Curve, palette: Palette) -> alt.LayerChart:
    """Spam found against good mail wrongly above the line, for every line; the band is the 95 % interval of recall."""
    frame = pd.DataFrame(
        {
            "wrong": curve.false_positive_rate,
            "found": curve.recall,
            "low": curve.low,
            "high": curve.high,
            "step": range(len(curve.recall)),
        }
    )
    x = alt.X("wrong:Q", title="good mail above the line", axis=_SHARE, scale=alt.Scale(domain=[0, 1]))
    base = alt.Chart(frame).encode(x=x, order="step:Q")
    band = base.mark_area(color=palette.neutral, opacity=0.25).encode(
        y=alt.Y("low:Q", title="spam above the line", axis=_SHARE, scale=alt.Scale(domain=[0, 1])), y2="high:Q"
    )
    tip = [alt.Tooltip("wrong:Q", format=".2%", title="good mail"), alt.Tooltip("found:Q", format=".1%", title="spam")]
    line = base.mark_line(color=palette.ink, point={"size": 25, "color": palette.ink}).encode(y="found:Q", tooltip=tip)
    return _dressed([_diagonal(palette), band, line])


def score_days(frame: pd.DataFrame, palette: Palette) -> alt.LayerChart:
    """Shares of the day's scored mail by tenth of the score. Frame: day str, bin str, share in [0, 1], messages."""
    tip = ["day:N", alt.Tooltip("bin:N", title="score"), alt.Tooltip("messages:Q", format=","), _share_tip()]
    cells = (
        alt.Chart(frame)
        .mark_rect()
        .encode(
            x=alt.X("day:O", title=None, axis=alt.Axis(labelAngle=0), sort=None),
            y=alt.Y("bin:O", title="score", sort="descending"),
            color=alt.Color(
                "share:Q",
                title="of the day's mail",
                scale=alt.Scale(type="sqrt", domain=[0, 1], range=[palette.grid, palette.accepted]),
                legend=alt.Legend(format="%", orient="right"),
            ),
            tooltip=tip,
        )
    )
    return _dressed([cells])


def _share_tip() -> alt.Tooltip:
    return alt.Tooltip("share:Q", format=".1%", title="of the day")


def _diagonal(palette: Palette) -> alt.Chart:
    ends = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    line = alt.Chart(ends).mark_line(color=palette.neutral, strokeDash=[4, 4], strokeWidth=1)
    chart: alt.Chart = line.encode(x="x:Q", y="y:Q")
    return chart


def _dressed(layers: list[Any]) -> alt.LayerChart:
    return alt.LayerChart(layer=layers, height=_HEIGHT)
