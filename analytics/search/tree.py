"""What a search is once it is read: conditions under AND, OR and NOT, and the fault of one that cannot be read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from analytics.search.fields import Field


class Fault(Exception):
    """A query that cannot be read: where, why, and what to write instead. Offsets count characters from 0."""

    def __init__(self, start: int, length: int, problem: str, fix: str) -> None:
        super().__init__(f"{problem}; {fix}")
        self.start, self.length, self.problem, self.fix = start, length, problem, fix

    def pointed(self, text: str) -> str:
        """The line of the query, carets below what is wrong, and the fix.

        >>> print(Fault(0, 5, "there is no field `sendr`", "did you mean `sender`?").pointed("sendr:a"))
        sendr:a
        ^^^^^
        there is no field `sendr`; did you mean `sender`?
        """
        shown = "".join(" " if sign.isspace() else sign for sign in text)  # a caret needs one line
        return f"{shown}\n{' ' * self.start}{'^' * max(1, self.length)}\n{self.problem}; {self.fix}"


@dataclass(frozen=True, slots=True)
class Like:
    """Text: equal to, or where `*` and `?` stand like, `pattern` (SQL's LIKE, escaped by a backslash, lower case)."""

    pattern: str
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, None: no end. Ends belong to it unless `above` or `below` is set."""

    low: float | datetime | None = None
    high: float | datetime | None = None
    above: bool = False
    below: bool = False


@dataclass(frozen=True, slots=True)
class Is:
    """Yes or no."""

    yes: bool


@dataclass(frozen=True, slots=True)
class Inside:
    """An IPv4 network, by its first and last address as numbers."""

    first: int
    last: int


Test = Like | Range | Is | Inside


@dataclass(frozen=True, slots=True)
class Condition:
    """One field under any of these tests."""

    field: Field
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """A word without a field: part of one of the texts that people look for."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Not:
    part: "Tree"


@dataclass(frozen=True, slots=True)
class And:
    parts: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    parts: "tuple[Tree, ...]"


Tree = Condition | Words | Not | And | Or


def conditions(tree: Tree) -> Iterator[Condition | Words]:
    """Every leaf of it."""
    match tree:
        case And(parts) | Or(parts):
            for part in parts:
                yield from conditions(part)
        case Not(part):
            yield from conditions(part)
        case _:
            yield tree
