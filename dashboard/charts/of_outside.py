"""The pictures of what others say: rates against the lines that providers draw, and DMARC by day."""

import altair as alt
import pandas as pd

from dashboard.charts.of_delivery import HEIGHT, dressed, legend, y_axis
from dashboard.theme import Palette

LINES = (0.001, 0.003, 0.005)  # Google: stay below 0.1 %, never reach 0.3 %; SES reviews at 0.1 and pauses at 0.5 %


def rates(frame: pd.DataFrame, palette: Palette) -> alt.LayerChart:
    """Complaint rates by day, a line for each `part`, with the lines of providers.

    frame: day_at instant, part str, rate float64 in [0, 1], words str.
    """
    parts = list(dict.fromkeys(frame["part"]))
    top = max(0.006, float(frame["rate"].max()) * 1.1 if len(frame) else 0.0)
    colours = alt.Scale(domain=parts, range=_inks(palette, len(parts)))
    dashes = alt.Scale(domain=parts, range=[[1, 0], [5, 3], [2, 2], [8, 3, 2, 3]][: len(parts)])
    drawn = (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=25, filled=True), strokeWidth=1.8)
        .encode(
            x=_day(),
            y=alt.Y(
                "rate:Q", scale=alt.Scale(domain=[0, top]), axis=y_axis(format=".1%", values=[0, *LINES, round(top, 3)])
            ),
            color=alt.Color("part:N", scale=colours, legend=legend()),
            strokeDash=alt.StrokeDash("part:N", scale=dashes, legend=legend()),
            tooltip=[
                alt.Tooltip("utcyearmonthdate(day_at):T", title="Day", format="%-d %b"),
                alt.Tooltip("part:N", title="Of"),
                alt.Tooltip("words:N", title="Rate"),
            ],
        )
    )
    marks = alt.Chart(
        pd.DataFrame({"line": LINES, "words": ["0.1 %: stay below", "0.3 %: never reach", "0.5 %: paused"]})
    )
    rule = marks.mark_rule(strokeDash=[4, 4], strokeWidth=1.2, color=palette.held).encode(y="line:Q")
    words = marks.mark_text(align="left", dx=4, dy=-6, fontSize=10, color=palette.neutral).encode(
        y="line:Q", x=alt.value(0), text="words:N"
    )
    return dressed([drawn, rule, words], HEIGHT + 20)


def dmarc(frame: pd.DataFrame, palette: Palette) -> alt.LayerChart:
    """Messages by day that passed DMARC, and that did not. frame: day_at instant, aligned and failed float64."""
    counted = frame[["day_at", "aligned", "failed"]]
    long = counted.melt(["day_at"], ["aligned", "failed"], "part", "messages")
    long["part"] = long["part"].map({"aligned": "passed", "failed": "failed"})
    long["place"] = (long["part"] == "failed").astype(int)
    bars = (
        alt.Chart(long)
        .mark_bar()
        .encode(
            x=_day(),
            y=alt.Y("messages:Q", axis=y_axis(format=",.0f")),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=["passed", "failed"], range=[palette.accepted, palette.refused]),
                legend=legend(symbolType="square"),
            ),
            order="place:Q",
            tooltip=[
                alt.Tooltip("utcyearmonthdate(day_at):T", title="Day", format="%-d %b"),
                alt.Tooltip("part:N", title="DMARC"),
                alt.Tooltip("messages:Q", title="Messages", format=",.0f"),
            ],
        )
    )
    return dressed([bars], HEIGHT)


def _day() -> alt.X:
    axis = alt.Axis(title=None, format="%-d %b", grid=False, labelOverlap=True, labelAngle=0)
    return alt.X("utcyearmonthdate(day_at):O", axis=axis)


def _inks(palette: Palette, number: int) -> list[str]:
    return [palette.ink, palette.neutral, palette.accepted, palette.refused][:number]
