"""Numbers on a page: tiles with their change and sparkline, and named facts."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from dashboard.components.words import UNKNOWN
from dashboard.theme import Colour


@dataclass(frozen=True, slots=True)
class Tile:
    """`change` None: nothing to compare with. `colour` is that of the verdict the number is about."""

    label: str
    value: str
    change: str | None
    line: Sequence[float]
    colour: Colour = "gray"
    help: str = ""


def tiles(row: Sequence[Tile], compared_with: str) -> None:
    """Show tiles side by side; they wrap on a narrow page."""
    with st.container(horizontal=True):
        for tile in row:
            is_known = tile.value != UNKNOWN
            st.metric(
                tile.label,
                tile.value,
                (tile.change or "no change") if is_known else None,
                delta_color=tile.colour,  # of the sparkline too: verdict colours only
                delta_arrow="auto" if tile.change else "off",
                delta_description=compared_with if is_known else None,
                chart_data=list(tile.line) if is_known and tile.line else None,
                chart_type="area",
                border=True,
                height="stretch",
                help=tile.help or None,
            )


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Show named values, each below its name, as many in a line as fit. Both are Markdown."""
    with st.container(horizontal=True, gap="small"):
        for label, value in pairs:
            st.markdown(f":gray[:small[{label}\u2003]]  \n{value}", width="content")
