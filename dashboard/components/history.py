"""Where a sender stood, as a strip: one bar for each decision, from its beginning to its end."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import altair as alt
import pandas as pd

from dashboard import zone
from dashboard.components.words import when
from dashboard.theme import Palette, look
from relay.control.views import DecisionView
from relay.policy.decisions.decision import STANDING_OF, Effect

DAYS = 30
_HEIGHT = 64
_ORDER = ["Suspended", "Blocked", "Held", "Throttled", "Watched"]


def spans(decisions: Sequence[DecisionView], now: datetime) -> pd.DataFrame:
    """The stops of the last 30 days: state str, begins and ends datetime64[ns, UTC], words str; oldest first."""
    ended = {row.supersedes: row for row in decisions if row.effect is Effect.RELEASE}
    rows = []
    for row in decisions:
        if row.effect not in STANDING_OF:
            continue
        release = ended.get(row.id)
        ends = [one for one in (row.ends_at, release.starts_at if release else None, now) if one is not None]
        end = min(ends)
        if end < now - timedelta(days=DAYS):
            continue
        how = f"released by {release.author}" if release else "in force" if row.is_open else "ended by itself"
        words = f"{when(row.starts_at, now)} to {'now' if end == now else when(end, now)}, {how}: {row.reason}"
        rows.append((look(row.effect).word, max(row.starts_at, now - timedelta(days=DAYS)), end, words))
    frame = pd.DataFrame(rows, columns=["state", "begins", "ends", "words"])
    for name in ("begins", "ends"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame.sort_values("begins", ignore_index=True)


def strip(frame: pd.DataFrame, now: datetime, palette: Palette) -> alt.LayerChart:
    """Draw them, on a green ground where nothing was in force. Frame as `spans` returns it."""
    colours = [palette.refused, palette.refused, palette.held, palette.held, palette.neutral]
    oldest = frame["begins"].min()
    margin = max((pd.Timestamp(now) - oldest) * 0.15, pd.Timedelta(hours=1))
    edge = pd.to_datetime([max(pd.Timestamp(now) - pd.Timedelta(days=DAYS), oldest - margin), now], utc=True)
    ground = pd.DataFrame({"begins": [edge[0]], "ends": [edge[1]]})
    shown = "%-d %b" if edge[1] - edge[0] > pd.Timedelta(days=4) else "%a %H:%M"
    axis = alt.Axis(title=None, format=shown, grid=False, tickCount=8)
    scale = alt.Scale(type=zone.axis(), nice=False, domain=[one.isoformat() for one in edge])
    x = alt.X("begins:T", scale=scale, axis=axis)
    free = alt.Chart(ground).mark_rect(color=palette.accepted, opacity=0.25, height=14).encode(x=x, x2="ends:T")
    bars = (
        alt.Chart(frame)
        .mark_rect(height=26, stroke=palette.background, strokeWidth=0.5)
        .encode(
            x=x,
            x2="ends:T",
            color=alt.Color(
                "state:N",
                scale=alt.Scale(domain=_ORDER, range=colours),
                legend=alt.Legend(title=None, orient="top", direction="horizontal", symbolType="square", offset=0),
            ),
            tooltip=[alt.Tooltip("state:N", title="State"), alt.Tooltip("words:N", title="When and why")],
        )
    )
    room = (edge[1] - edge[0]) * 0.12  # of a word
    wide = _named(frame[frame["ends"] - frame["begins"] > room], room)
    words = (
        alt.Chart(wide)
        .mark_text(align="left", dx=6, fontSize=11, fontWeight="bold", color=palette.background)
        .encode(x=x, text="state:N")
    )
    starts = alt.Chart(frame).mark_tick(thickness=2, height=30, color=palette.ink).encode(x=x)
    drawn: alt.LayerChart = (
        alt.LayerChart(layer=[free, bars, starts, words]).properties(height=_HEIGHT).configure_view(strokeWidth=0)
    )
    return drawn


def _named(frame: pd.DataFrame, room: pd.Timedelta) -> pd.DataFrame:
    """Of states that began within this time of each other, the gravest: their words would lie over each other."""
    kept: list[int] = []
    for place in frame["state"].map(_ORDER.index).sort_values(kind="stable").index:
        if all(abs(frame.loc[one, "begins"] - frame.loc[place, "begins"]) >= room for one in kept):
            kept.append(place)
    return frame.loc[sorted(kept)]
