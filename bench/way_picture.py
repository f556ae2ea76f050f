"""Draws the way of one message for docs/concepts.md: `python -m bench.way_picture > docs/pictures/way.svg`."""

from collections.abc import Iterator
from html import escape

_WIDTH, _HEIGHT = 980, 452
_INK, _LINE, _QUIET = "#333", "#8a8f98", "#6b7280"
_BLUE, _GREEN, _AMBER, _RED, _GREY = "#e8f0fa", "#e6f4ea", "#fdf1d8", "#fbe4e1", "#f3f4f6"
_STEP_TOP, _STEP_HEIGHT = 92, 76
# name, what it asks, colour; in the order a message meets them (relay/reception/pipeline.py)
_STEPS = (
    ("door", ("SMTP or HTTP,", "login or network"), _BLUE),
    ("identity", ("which end sender", "is it really?"), _BLUE),
    ("limits", ("is there room,", "at each level?"), _BLUE),
    ("content", ("score, rules,", "fingerprint"), _BLUE),
    ("verdict", ("signals, standing,", "lines of the policy"), _BLUE),
    ("spool", ("fsync, and only", "then 250"), _GREEN),
    ("delivery", ("fair queues, pool,", "pace, DKIM"), _GREEN),
)
_STEP_WIDTH, _STEP_GAP, _LEFT = 112, 22, 22


def draw() -> str:
    """Return the picture as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="{_INK}"><rect width="100%" height="100%" fill="white"/>',
        f'<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{_LINE}"/></marker></defs>',
        '<text x="22" y="32" font-size="17">The way of one message</text>',
        f'<text x="22" y="54" fill="{_QUIET}">relay: one process, nothing waits for the other two</text>',
        *_journey(),
        *_ends(),
        *_around(),
    ]
    return "\n".join([*parts, "</svg>\n"])


def _journey() -> Iterator[str]:
    for number, (name, asks, colour) in enumerate(_STEPS):
        left = _left(number)
        yield _box(left, _STEP_TOP, _STEP_WIDTH, _STEP_HEIGHT, colour, name, asks)
        if number:
            yield _arrow((left - _STEP_GAP, _STEP_TOP + 38), (left - 2, _STEP_TOP + 38))
    end = _left(len(_STEPS) - 1) + _STEP_WIDTH
    yield _arrow((end, _STEP_TOP + 38), (_WIDTH - 4, _STEP_TOP + 38))
    yield f'<text x="{_WIDTH - 4}" y="{_STEP_TOP + 24}" text-anchor="end" fill="{_QUIET}">MX</text>'


def _ends() -> Iterator[str]:
    """What can become of it but delivery."""
    top, middle = 214, _left(4) + _STEP_WIDTH / 2
    yield _box(
        _left(2),
        top,
        150,
        58,
        _RED,
        "451 later, 550 never",
        ("the server keeps it, or", "its author reads why"),
    )
    yield _arrow((_left(2) + 56, _STEP_TOP + _STEP_HEIGHT), (_left(2) + 56, top - 2))
    yield _arrow((middle - 20, _STEP_TOP + _STEP_HEIGHT), (_left(2) + 128, top - 2))
    yield _box(_left(4), top, 150, 58, _AMBER, "held", ("taken with 250, parked:", "person or time decides"))
    yield _arrow((middle + 10, _STEP_TOP + _STEP_HEIGHT), (middle + 10, top - 2))
    yield _arrow((_left(4) + 150, top + 22), (_left(6) + 20, _STEP_TOP + _STEP_HEIGHT + 2))
    yield f'<text x="{_left(5) + 62}" y="{top + 26}" fill="{_QUIET}">release</text>'
    yield _box(_left(6), top, _STEP_WIDTH, 58, _GREY, "4yz, 5yz", ("tried again, or", "reported"))
    yield _arrow((_left(6) + 80, _STEP_TOP + _STEP_HEIGHT), (_left(6) + 80, top - 2))


def _around() -> Iterator[str]:
    """What looks on, and what comes back from it."""
    top = 352
    yield f'<line x1="22" y1="302" x2="{_WIDTH - 22}" y2="302" stroke="{_LINE}" stroke-dasharray="4 3"/>'
    yield f'<text x="22" y="322" fill="{_QUIET}">journal: every step writes one record</text>'
    yield _box(
        _left(1),
        top,
        246,
        76,
        _GREY,
        "analytics",
        ("reads the journal, exactly once;", "reputation, bounces, complaints, lists"),
    )
    yield _arrow((_left(2), 302), (_left(2), top - 2))
    yield _box(
        _left(5),
        top,
        246,
        76,
        _GREY,
        "dashboard, command line",
        ("what a person sees and decides;", "asked why, answered, audited"),
    )
    yield _arrow((_left(1) + 246, top + 38), (_left(5) - 2, top + 38))
    yield f'<text x="{_left(3) + 72}" y="{top + 28}" fill="{_QUIET}">questions, Arrow</text>'
    for start in (_left(1) + 230, _left(5) + 20):
        yield _arrow((start, top), (_left(4) + 60, 276))
    yield f'<text x="{_left(4) + 22}" y="340" fill="{_QUIET}">decisions</text>'


def _left(number: int) -> float:
    return _LEFT + number * (_STEP_WIDTH + _STEP_GAP)


def _box(left: float, top: float, width: float, height: float, colour: str, name: str, lines: tuple[str, ...]) -> str:
    text = [f'<text x="{left + 9}" y="{top + 20}" font-weight="bold">{escape(name)}</text>']
    text += [
        f'<text x="{left + 9}" y="{top + 38 + 15 * row}" font-size="11">{escape(line)}</text>'
        for row, line in enumerate(lines)
    ]
    frame = f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="5" fill="{colour}" stroke="{_LINE}"/>'
    return "\n".join([frame, *text])


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    return (
        f'<line x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}" stroke="{_LINE}" stroke-width="1.4" '
        'marker-end="url(#a)"/>'
    )


if __name__ == "__main__":
    print(draw(), end="")
