"""Draws what each regulator let through as SVG: one row an attack, a bar each, on a logarithmic scale."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from analytics.simulation.trial.summary import Summary

_WIDTH, _LEFT, _TOP, _BAR, _GAP = 620, 150, 76, 11, 16
_COLOURS = ("#1f5fa8", "#b9b9b9", "#e0a030", "#8fb08c", "#c2402a")
_INK, _GRID = "#333", "#ddd"
_MOST = 10_000


def draw(summaries: Sequence[Summary]) -> str:
    """Return the picture."""
    attacks = [one for one in summaries if one.is_attack]
    names = list(dict.fromkeys(one.regulator for one in attacks))
    worlds = list(dict.fromkeys(one.world for one in attacks))
    step = _BAR * len(names) + _GAP
    height = _TOP + step * len(worlds) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 80} {height}" '
        f'font-family="sans-serif" font-size="12" fill="{_INK}"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="22" font-size="16">Abusive messages delivered in all, nobody looking (median of '
        f"{attacks[0].seeds if attacks else 0} seeds)</text>",
        *_legend(names),
        *_scale(height),
    ]
    for row, world in enumerate(worlds):
        top = _TOP + row * step
        parts.append(f'<text x="{_LEFT - 8}" y="{top + step / 2 - 4}" text-anchor="end">{escape(world)}</text>')
        found = {one.regulator: one for one in attacks if one.world == world}
        for number, name in enumerate(names):
            if name in found:
                parts += _bar(found[name].delivered.median, top + number * _BAR, _COLOURS[number % len(_COLOURS)])
    return "\n".join([*parts, "</svg>\n"])


def _legend(names: Sequence[str]) -> Iterator[str]:
    x = 10
    for number, name in enumerate(names):
        yield f'<rect x="{x}" y="36" width="11" height="11" fill="{_COLOURS[number % len(_COLOURS)]}"/>'
        yield f'<text x="{x + 15}" y="46">{escape(name)}</text>'
        x += 34 + round(6.4 * len(name))


def _scale(height: float) -> Iterator[str]:
    for power in range(5):
        x = _LEFT + _place(10**power)
        yield f'<line x1="{x}" y1="{_TOP - 8}" x2="{x}" y2="{height - 22}" stroke="{_GRID}"/>'
        yield f'<text x="{x}" y="{height - 8}" text-anchor="middle">{10**power:,}</text>'


def _bar(value: float, top: float, colour: str) -> Iterator[str]:
    width = _place(value) if value >= 1 else 1
    yield f'<rect x="{_LEFT}" y="{top}" width="{max(width, 1):.1f}" height="{_BAR - 2}" fill="{colour}"/>'
    yield f'<text x="{_LEFT + max(width, 1) + 4:.1f}" y="{top + 8}" font-size="9">{value:,.0f}</text>'


def _place(value: float) -> float:
    return _WIDTH * math.log10(max(value, 1.0)) / math.log10(_MOST)
