"""Draws a simulated month as SVG: for each address that is warmed up and each provider, the plan as a line, what was
sent as bars, on a logarithmic scale; refusals and rests below the axis."""

import math
from collections.abc import Iterator
from html import escape

from bench.days_figures import Figures, Row

_PROVIDERS = ("google", "office365", "outlook", "yahoo", "others")
_WIDTH, _HEIGHT, _GAP, _LEFT, _TOP = 420, 120, 58, 60, 84
_PLAN, _SENT, _REFUSED, _REST, _INK, _GRID = "#1f5fa8", "#9db8d6", "#c2402a", "#e0a030", "#333", "#ddd"
_MARK = 5  # height of what stands below the axis


def draw(figures: Figures) -> str:
    """Return the picture."""
    sources = sorted({row.source for row in figures.rows if row.quota})
    rows = {(row.day, row.source, row.provider): row for row in figures.rows}
    width = _LEFT + len(sources) * (_WIDTH + _GAP)
    height = _TOP + len(_PROVIDERS) * (_HEIGHT + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12" fill="{_INK}"><rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="24" font-size="16">Warm-up of two addresses in {figures.days} simulated days: '
        "messages a day, planned and sent</text>",
        *_legend(),
    ]
    for across, source in enumerate(sources):
        for down, provider in enumerate(_PROVIDERS):
            days = [rows.get((day, source, provider), Row(day, source, provider)) for day in range(1, figures.days + 1)]
            place = _LEFT + across * (_WIDTH + _GAP), _TOP + down * (_HEIGHT + _GAP)
            parts.append(f'<g transform="translate({place[0]},{place[1]})">')
            parts += [*_panel(f"{source} to {provider}", days), "</g>"]
    return "\n".join([*parts, "</svg>\n"])


def _legend() -> Iterator[str]:
    words = ((_PLAN, "the plan's quota"), (_SENT, "sent"), (_REFUSED, "refused by the provider"), (_REST, "resting"))
    for number, (colour, word) in enumerate(words):
        x = _LEFT + number * 180
        yield f'<rect x="{x}" y="40" width="14" height="10" fill="{colour}"/><text x="{x + 20}" y="49">{word}</text>'


def _panel(title: str, days: list[Row]) -> Iterator[str]:
    top = 10 ** math.ceil(math.log10(max(10, *(max(row.quota, row.sent) for row in days))))
    step = _WIDTH / len(days)

    def y(value: float) -> float:
        return round(_HEIGHT * (1 - math.log10(max(value, 0.7) / 0.7) / math.log10(top / 0.7)), 1)

    yield f'<text x="0" y="-6" font-weight="bold">{escape(title)}</text>'
    for power in range(round(math.log10(top)) + 1):
        line = y(10**power)
        yield f'<line x1="0" x2="{_WIDTH}" y1="{line}" y2="{line}" stroke="{_GRID}"/>'
        yield f'<text x="-6" y="{line + 4}" text-anchor="end">{10**power:,}</text>'
    for place, row in enumerate(days):
        x = round(place * step, 1)
        if row.sent:
            yield _bar(x + 0.15 * step, 0.7 * step, y(row.sent), _HEIGHT - y(row.sent), _SENT)
        if row.refused:
            yield _bar(x, step, _HEIGHT + 2, _MARK, _REFUSED)
        if row.resting:
            yield _bar(x, step * min(1.0, row.resting / 24), _HEIGHT + 3 + _MARK, _MARK, _REST)
        if row.day % 5 == 0 or row.day == 1:
            yield f'<text x="{x + step / 2:.1f}" y="{_HEIGHT + 26}" text-anchor="middle">{row.day}</text>'
    yield from _steps(days, step, y)


def _steps(days: list[Row], step: float, y) -> Iterator[str]:  # type: ignore[no-untyped-def]
    """The plan: a level for each day on which there is one."""
    for place, row in enumerate(days):
        if not row.quota:
            continue
        here, x = y(row.quota), place * step
        path = f"M{x:.1f},{here}H{x + step:.1f}"
        if place + 1 < len(days) and days[place + 1].quota:
            path += f"V{y(days[place + 1].quota)}"
        yield f'<path d="{path}" stroke="{_PLAN}" stroke-width="2" fill="none"/>'


def _bar(x: float, width: float, y: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
