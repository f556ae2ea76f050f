"""The words of a query with their places: field names with what follows them, values, parentheses, AND, OR, NOT."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from analytics.search.tree import Fault

MAX_CHARACTERS = 4000


class Sort(Enum):
    """What a token is."""

    FIELD = auto()  # `operator` says what stands behind the name
    VALUE = auto()
    COMMA = auto()
    OPEN = auto()
    CLOSE = auto()
    AND = auto()
    OR = auto()
    NOT = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """`text` without its quotes; backslashes are kept, they tell a literal star from a wildcard."""

    sort: Sort
    text: str
    start: int
    length: int
    operator: str = ""
    is_quoted: bool = False
    follows_space: bool = True


_SPACE = re.compile(r"\s*")
_FIELD = re.compile(r"([A-Za-z_]\w*)(>=|<=|[:=<>])(>=|<=|[=<>])?")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r'(?:[^\s()",\\]|\\.)+')
_SIGNS = {"(": Sort.OPEN, ")": Sort.CLOSE, ",": Sort.COMMA}
_OPERATORS = {"AND": Sort.AND, "OR": Sort.OR, "NOT": Sort.NOT}
_BEFORE_VALUE = (Sort.FIELD, Sort.COMMA)


def tokens(text: str) -> list[Token]:
    """Split a query; the last token is END. Raises Fault."""
    if len(text) > MAX_CHARACTERS:
        raise Fault(MAX_CHARACTERS, 1, f"a query has at most {MAX_CHARACTERS:,} characters", "make it shorter")
    found: list[Token] = []
    place = 0
    while True:
        after = _SPACE.match(text, place).end()  # type: ignore[union-attr]  # matches always
        if after == len(text):
            return [*found, Token(Sort.END, "", after, 1)]
        found.append(_next(text, after, found[-1].sort if found else Sort.AND, after > place or not found))
        place = found[-1].start + found[-1].length


def _next(text: str, at: int, before: Sort, follows_space: bool) -> Token:
    sign = text[at]
    if sign in _SIGNS:
        return Token(_SIGNS[sign], sign, at, 1, follows_space=follows_space)
    if sign == '"':
        return _quoted(text, at, follows_space)
    if before in _BEFORE_VALUE:
        return _bare(text, at, follows_space, is_value=not follows_space)
    if sign == "-" and at + 1 < len(text) and not text[at + 1].isspace():
        return Token(Sort.NOT, sign, at, 1)
    if named := _FIELD.match(text, at):
        operator = named[3] or named[2]  # `score:>0.9` and `score>0.9` are one
        return Token(Sort.FIELD, named[1], at, len(named[0]), operator=":" if operator == "=" else operator)
    return _bare(text, at, follows_space)


def _quoted(text: str, at: int, follows_space: bool) -> Token:
    found = _QUOTED.match(text, at)
    if found is None:
        raise Fault(at, 1, "this quote does not end", 'write the other `"` where the text ends')
    return Token(Sort.VALUE, found[1], at, len(found[0]), is_quoted=True, follows_space=follows_space)


def _bare(text: str, at: int, follows_space: bool, *, is_value: bool = False) -> Token:
    found = _BARE.match(text, at)
    if found is None:  # a single backslash at the end
        raise Fault(at, 1, "a backslash makes the next character plain, and there is none", "write two backslashes")
    sort = Sort.VALUE if is_value else _OPERATORS.get(found[0].upper(), Sort.VALUE)
    return Token(sort, found[0], at, len(found[0]), follows_space=follows_space)
