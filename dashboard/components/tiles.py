"""One tile: a number, its change against the window before, and its sparkline."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from dashboard.components.words import UNKNOWN


@dataclass(frozen=True, slots=True)
class Tile:
    """`change` None: nothing to compare with. `colour` is that of the verdict the number is about."""

    label: str
    value: str
    change: str | None
    line: Sequence[float]
    colour: str = "gray"
    help: str = ""


def tiles(row: Sequence[Tile], compared_with: str) -> None:
    """Show tiles side by side; they wrap on a narrow page."""
    for column, tile in zip(st.columns(len(row)), row, strict=True):
        column.metric(
            tile.label,
            tile.value,
            (tile.change or "no change") if tile.value != UNKNOWN else None,
            delta_color=tile.colour,  # type: ignore[arg-type]  # of the sparkline too: verdict colours only
            delta_arrow="auto" if tile.change else "off",
            delta_description=compared_with if tile.value != UNKNOWN else None,
            chart_data=list(tile.line) if tile.value != UNKNOWN else None,
            chart_type="area",
            border=True,
            help=tile.help or None,
            height="stretch",
        )
