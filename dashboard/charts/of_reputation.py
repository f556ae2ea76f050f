"""The picture of why a reputation is what it is: what each signal took from 100, as a waterfall."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.of_delivery import dressed
from dashboard.theme import Palette

_ROW, _EDGE = 30, 34  # pixels of a step, and of the axis below them
_NAMES_PIXELS, _WORDS_PIXELS = 150, 420
_WORDS_AT, _WIDE = 104, 230  # the words stand right of 100, where no bar comes
RESULT = "score"
_UNITS = {
    "spam": ("scored as spam", "messages"),
    "hard_bounce": ("hard bounces", "recipients"),
    "complaint": ("complaints", "delivered"),
    "block": ("refused for reputation", "tries"),
    "listing": ("listed by a DNS list", ""),
}
_HOURS = 3600


def steps(signals: pd.DataFrame, now: Mapping[str, Any]) -> pd.DataFrame:
    """What each signal took, the dearest first, and what is left: name, kind, words, shown str; from_score,
    to_score, low, high float64.

    signals: signal str, points, score_before, score_after, bad, seen, rate, low, high float64, half_life_seconds int;
    `now`: score, low, high of the reputation. `low` and `high` are known of the last row only.
    """
    rows = [
        {
            "name": _UNITS.get(str(row.signal), (str(row.signal), ""))[0],
            "from_score": row.score_before,
            "to_score": row.score_after,
            "low": None,
            "high": None,
            "kind": "took",
            "words": _counted(row),
            "shown": _joined(_loss(row.score_before - row.score_after), _counted(row)),
        }
        for row in signals.itertuples()
    ]
    left = {"name": RESULT, "from_score": 0.0, "to_score": now["score"], "low": now["low"], "high": now["high"]}
    words = f"90 % interval {now['low']:.0f}–{now['high']:.0f}"
    rows.append(left | {"kind": "left", "words": words, "shown": _joined(f"{now['score']:.0f}", words)})
    return pd.DataFrame(rows).astype({"low": "float64", "high": "float64"})


def fall(frame: pd.DataFrame, palette: Palette) -> alt.LayerChart:
    """Draw the steps. Frame as `steps` returns it."""
    names = alt.Axis(title=None, domain=False, ticks=False, labelLimit=_NAMES_PIXELS, minExtent=_NAMES_PIXELS)
    across = alt.Scale(domain=[0, _WIDE], nice=False)
    base = alt.Chart(frame).encode(
        y=alt.Y("name:N", sort=None, axis=names),
        tooltip=[alt.Tooltip("name:N", title="Signal"), alt.Tooltip("words:N", title="Counted")],
    )
    axis = alt.Axis(title=None, values=[0, 30, 60, 80, 100], domain=False)  # where bands begin
    colour = alt.Color(
        "kind:N", scale=alt.Scale(domain=["took", "left"], range=[palette.held, palette.accepted]), legend=None
    )
    bars = base.mark_bar(height=16).encode(
        x=alt.X("from_score:Q", scale=across, axis=axis), x2="to_score:Q", color=colour
    )
    ends = base.mark_tick(thickness=2, height=22, color=palette.ink).encode(x=alt.X("to_score:Q", scale=across))
    span = base.mark_rule(strokeWidth=2, color=palette.ink).encode(x=alt.X("low:Q", scale=across), x2="high:Q")
    beside = base.mark_text(align="left", fontSize=12, color=palette.text, limit=_WORDS_PIXELS)
    words = beside.encode(x=alt.datum(_WORDS_AT, scale=across), text="shown:N")
    return dressed([bars, span, ends, words], len(frame) * _ROW + _EDGE)


def _counted(row: Any) -> str:
    """What it was counted from, and its rate with the 90 % interval; a listing has none."""
    if not row.half_life_seconds:
        return ""
    hours = row.half_life_seconds / _HOURS
    span = f"{hours:g} h" if hours <= 24 else f"{hours / 24:g} days"
    unit = _UNITS.get(str(row.signal), ("", ""))[1]
    digits = 2 if row.high < 0.01 else 1
    rate = f"{100 * row.low:.{digits}f}–{100 * row.high:.{digits}f} %"
    return f"{row.bad:,.1f} of {row.seen:,.1f} {unit} ({rate}), half-life {span}"


def _loss(points: float) -> str:
    return f"−{points:.0f}" if points >= 0.5 else "costs nothing"


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)
