"""What a value means for its field: text with wildcards, numbers and sizes, spans of time, networks, yes and no.

An instant may be as coarse as a month: it is then the whole month. `2h` is the instant two hours ago.
"""

import ipaddress
import math
import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from analytics.search.fields import Field, Kind
from analytics.search.tree import Inside, Is, Like, Range, Test

_YES, _NO = frozenset({"y", "yes", "true", "1"}), frozenset({"n", "no", "false", "0"})
_COMPARISON = re.compile(r"(>=|<=|>|<)(.*)", re.DOTALL)
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)([a-zA-Z]*)")
_UNITS = {
    Kind.NUMBER: {"": 1.0},
    Kind.SIZE: {"": 1.0, "b": 1.0, "k": 1024.0, "kb": 1024.0, "m": 1048576.0, "mb": 1048576.0, "g": 1073741824.0},
    Kind.SECONDS: {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0},
}
_AGO = re.compile(r"(\d{1,6})([smhdw])")
_AGO_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DAY = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?")
_RANGED = frozenset({Kind.NUMBER, Kind.SIZE, Kind.SECONDS, Kind.INSTANT})


class Unfit(Exception):
    """A value its field cannot have."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}; {fix}")
        self.problem, self.fix = problem, fix


def read(field: Field, text: str, operator: str, now: datetime) -> Test:
    """The test of one value as it was written, without quotes. `operator` is `:` or a comparison. Raises Unfit."""
    if operator == ":" and (compared := _COMPARISON.fullmatch(text)) and field.kind in _RANGED:
        operator, text = compared[1], compared[2].strip()
    if field.kind in _RANGED:
        return _ranged(field, text, operator, now)
    if operator != ":":
        raise Unfit(
            f"`{field.name}` is no number, so there is no {operator}",
            f'write `{field.example}`; an empty one is `{field.name}:""`',
        )
    match field.kind:
        case Kind.FLAG:
            return _flag(field, text)
        case Kind.CHOICE:
            return _choice(field, text)
        case Kind.ADDRESS if "/" in text:
            return _network(text)
        case _:
            return like(text)


def like(text: str) -> Like:
    """Text with `*` and `?` as wildcards, each plain after a backslash.

    >>> like("50%*"), like(r"a\\\\*")
    (Like(pattern='50\\\\%%', is_exact=False), Like(pattern='a*', is_exact=True))
    """
    plain, pattern, is_exact, signs = "", "", True, iter(text.lower())
    for sign in signs:
        if sign in "*?":
            pattern += "%" if sign == "*" else "_"
            is_exact = False
            continue
        if sign == "\\":
            sign = next(signs, sign)
        plain += sign
        pattern += f"\\{sign}" if sign in "%_\\" else sign
    return Like(plain if is_exact else pattern, is_exact)


def _flag(field: Field, text: str) -> Is:
    if text.lower() in _YES or text.lower() in _NO:
        return Is(text.lower() in _YES)
    raise Unfit(f"`{field.name}` is yes or no, not `{text}`", f"write `{field.name}:Y` or `{field.name}:N`")


def _choice(field: Field, text: str) -> Like:
    if text.lower() in field.choices:
        return Like(text.lower(), True)
    near = get_close_matches(text.lower(), field.choices, n=1, cutoff=0.5)
    fix = f"did you mean `{near[0]}`?" if near else f"it is one of {', '.join(field.choices)}"
    raise Unfit(f"`{field.name}` is never `{text}`", fix)


def _network(text: str) -> Inside:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Unfit(f"`{text}` is no network", "write one like `192.0.2.0/24`") from None
    if network.version != 4:
        raise Unfit(f"`{text}` is a network of IPv6", "write the beginning and a star, as in `ip:2001:db8:*`")
    return Inside(int(network.network_address), int(network.broadcast_address))


def _ranged(field: Field, text: str, operator: str, now: datetime) -> Range:
    low, dots, high = text.partition("..")
    if operator == ":" and dots:
        return _from_to(field, text, low.strip(), high.strip(), now)
    if not text:
        raise Unfit(f"`{field.name}` has no value", f"write `{field.example}`")
    span = _span(field, text, now)
    match operator:
        case ">":
            return Range(span.end, None, above=not span.is_wide)
        case ">=":
            return Range(span.begin, None)
        case "<":
            return Range(None, span.begin, below=True)
        case "<=":
            return Range(None, span.end, below=span.is_wide)
        case _ if field.kind is Kind.INSTANT and not span.is_wide:  # `time:2h` is since then
            return Range(span.begin, None)
        case _:
            return Range(span.begin, span.end, below=span.is_wide)


def _from_to(field: Field, text: str, low: str, high: str, now: datetime) -> Range:
    if not low and not high:
        raise Unfit(f"`{text}` has no end", f"write `{field.example}`, or leave one side open, as in `5..`")
    first, last = (_span(field, side, now) if side else None for side in (low, high))
    begin, end = first.begin if first else None, last.end if last else None
    found = Range(begin, end, below=bool(last and last.is_wide))
    if first and last and _is_turned(first, last):
        raise Unfit(f"`{text}` ends before it begins", f"write `{high}..{low}`")
    return found


@dataclass(frozen=True, slots=True)
class _Span:
    """A value as a stretch: a number is a point, a day is from midnight to midnight (`is_wide`: its end is no part)."""

    begin: float | datetime
    end: float | datetime
    is_wide: bool = False


def _is_turned(first: _Span, last: _Span) -> bool:
    if isinstance(first.begin, datetime) and isinstance(last.end, datetime):
        return first.begin > last.end
    return not isinstance(first.begin, datetime) and not isinstance(last.end, datetime) and first.begin > last.end


def _span(field: Field, text: str, now: datetime) -> _Span:
    if field.kind is Kind.INSTANT:
        return _instants(field, text, now)
    units = _UNITS[field.kind]
    found = _NUMBER.fullmatch(text)
    if found is None or found[2].lower() not in units or not math.isfinite(float(found[1])):
        known = ", ".join(unit for unit in units if unit)
        raise Unfit(f"`{field.name}` is a number{f' with {known}' if known else ''}", f"write `{field.example}`")
    number = float(found[1]) * units[found[2].lower()]
    return _Span(number, number)


def _instants(field: Field, text: str, now: datetime) -> _Span:
    try:
        if text.lower() in ("now", "today", "yesterday"):
            return _named(text.lower(), now)
        if ago := _AGO.fullmatch(text.lower()):
            instant = now - timedelta(seconds=int(ago[1]) * _AGO_SECONDS[ago[2]])
            return _Span(instant, instant)
        if day := _DAY.fullmatch(text):
            return _days(int(day[1]), int(day[2]), int(day[3] or 0))
        instant = datetime.fromisoformat(text)
        instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        wide = timedelta(minutes=1) if text.count(":") == 1 and len(text) == 16 else timedelta(0)
        return _Span(instant, instant + wide, is_wide=bool(wide))
    except (ValueError, OverflowError):
        raise Unfit(
            f"`{text}` is no instant", f"write `{field.example}`, `{field.name}:2026-11-01T09:30` or `{field.name}:2h`"
        ) from None


def _named(word: str, now: datetime) -> _Span:
    if word == "now":
        return _Span(now, now)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begin = midnight - timedelta(days=word == "yesterday")
    return _Span(begin, begin + timedelta(days=1), is_wide=True)


def _days(year: int, month: int, day: int) -> _Span:
    """A day, or the whole month when `day` is 0. Raises ValueError, OverflowError."""
    begin = datetime(year, month, day or 1, tzinfo=UTC)
    length = 1 if day else monthrange(year, month)[1]
    return _Span(begin, begin + timedelta(days=length), is_wide=True)
