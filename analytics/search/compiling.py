"""From a tree to SQL conditions with parameters: no value ever becomes part of the SQL. Pure.

What is known of the message alone is kept apart from what needs its recipients or their outcome, so that the costly
part is done for few messages only.
"""

from dataclasses import dataclass, field
from datetime import datetime

from analytics.search.fields import FIELDS, Field, Kind, Level
from analytics.search.tree import And, Condition, Inside, Is, Like, Not, Or, Range, Test, Tree, Words, conditions

Values = dict[str, str | float | datetime]


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions by what must be read for them, each a piece of SQL; `values` are their parameters, by name."""

    of_message: str = "true"
    of_way: str = "true"
    values: Values = field(default_factory=dict)

    @property
    def is_of_ways(self) -> bool:
        return self.of_way != "true"


@dataclass(frozen=True, slots=True)
class Span:
    """The time a tree can find something in; None: no end."""

    since: datetime | None = None
    until: datetime | None = None


def compiled(tree: Tree | None) -> Filters:
    """The SQL of a tree."""
    values: Values = {}
    by_level: dict[Level, list[str]] = {Level.MESSAGE: [], Level.WAY: []}
    parts: tuple[Tree, ...] = () if tree is None else tree.parts if isinstance(tree, And) else (tree,)
    for part in parts:
        is_of_ways = any(_level(leaf) is Level.WAY for leaf in conditions(part))
        by_level[Level.WAY if is_of_ways else Level.MESSAGE].append(_sql(part, values))
    message, way = (" AND ".join(found) or "true" for found in by_level.values())
    return Filters(message, way, values)


def span(tree: Tree | None) -> Span:
    """The hull of the times it names: nothing outside can match. A time under NOT says nothing."""
    match tree:
        case And(parts):
            spans = [span(part) for part in parts]
            lows = [one.since for one in spans if one.since]
            highs = [one.until for one in spans if one.until]
            return Span(max(lows, default=None), min(highs, default=None))
        case Or(parts):
            return _hull([span(part) for part in parts])
        case Condition(named, tests) if named.name == "time":
            return _hull([_of(test) for test in tests if isinstance(test, Range)])
        case _:
            return Span()


def names_message(tree: Tree | None) -> bool:
    """Tell whether only messages of given ids can match: then no time need bound the search."""
    match tree:
        case And(parts):
            return any(names_message(part) for part in parts)
        case Or(parts):
            return all(names_message(part) for part in parts)
        case Condition(named, tests):
            return named.name == "id" and all(isinstance(test, Like) and test.is_exact for test in tests)
        case _:
            return False


def _hull(spans: list[Span]) -> Span:
    lows, highs = [one.since for one in spans], [one.until for one in spans]
    since = min((low for low in lows if low), default=None) if None not in lows else None
    until = max((high for high in highs if high), default=None) if None not in highs else None
    return Span(since, until)


def _of(test: Range) -> Span:
    low, high = test.low, test.high
    return Span(low if isinstance(low, datetime) else None, high if isinstance(high, datetime) else None)


def _level(leaf: Condition | Words) -> Level:
    return Level.WAY if isinstance(leaf, Words) else leaf.field.level


def _sql(tree: Tree, values: Values) -> str:
    match tree:
        case And(parts):
            return f"({' AND '.join(_sql(part, values) for part in parts)})"
        case Or(parts):
            return f"({' OR '.join(_sql(part, values) for part in parts)})"
        case Not(part):  # what is not known is not so
            return f"(NOT coalesce({_sql(part, values)}, false))"
        case Words(pattern):
            return _words(pattern, values)
        case Condition(named, tests):
            return f"({' OR '.join(_test(named, test, values) for test in tests)})"


def _words(pattern: str, values: Values) -> str:
    whole = _given(values, f"%{pattern}%")
    looked = (FIELDS[name].sql for name in ("subject", "from", "to", "sender", "id"))
    return f"({' OR '.join(f'lower({sql}) LIKE {whole} ESCAPE {_BACKSLASH}' for sql in looked)})"


_BACKSLASH = "'\\'"


def _test(named: Field, test: Test, values: Values) -> str:
    match test:
        case Is(yes):
            return named.sql if yes else f"(NOT coalesce({named.sql}, false))"
        case Range():
            return _range(named, test, values)
        case Inside(first, last):
            return f"{_IPV4.format(named.sql)} BETWEEN {_given(values, first)} AND {_given(values, last)}"
        case Like(pattern, is_exact):
            return _like(named, pattern, is_exact, values)


# the address as a number; NULL for one of IPv6
_IPV4 = (
    "list_reduce(list_transform(TRY_CAST(string_split({}, '.') AS BIGINT[]), lambda part: part), "
    "lambda sum, part: sum * 256 + part)"
)


def _range(named: Field, test: Range, values: Values) -> str:
    parts = []
    if test.low is not None:
        parts.append(f"{named.sql} {'>' if test.above else '>='} {_given(values, test.low)}")
    if test.high is not None:
        parts.append(f"{named.sql} {'<' if test.below else '<='} {_given(values, test.high)}")
    return f"({' AND '.join(parts)})"


def _like(named: Field, pattern: str, is_exact: bool, values: Values) -> str:
    if pattern == "%" and not is_exact:  # a star alone: there is one
        return f"coalesce({named.sql}, '') <> ''"
    if is_exact and not pattern:
        return f"coalesce({named.sql}, '') = ''"
    if named.kind is Kind.PART:
        wanted = f"%{_escaped(pattern)}%" if is_exact else pattern
        return f"lower({named.sql}) LIKE {_given(values, wanted)} ESCAPE {_BACKSLASH}"
    if named.kind is Kind.SENDER and pattern.count("|") < 2:  # not its whole key: what the key names
        ending = _escaped(pattern) if is_exact else pattern
        return f"lower({named.sql}) LIKE {_given(values, f'%|%|{ending}')} ESCAPE {_BACKSLASH}"
    if is_exact:
        return f"lower({named.sql}) = {_given(values, pattern)}"
    return f"lower({named.sql}) LIKE {_given(values, pattern)} ESCAPE {_BACKSLASH}"


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "%_\\" else sign for sign in text)


def _given(values: Values, value: str | float | datetime) -> str:
    name = f"q{len(values)}"
    values[name] = value
    return f"${name}"
