"""From the text of a query to its tree, or to the fault with its place. Pure.

    query  = either {OR either}
    either = each {[AND] each}
    each   = {NOT | -} ( "(" query ")" | field value {, value} | word )

AND, OR and NOT are words of the language in any case; quoted they are text.
"""

from datetime import datetime

from analytics.search.fields import ALIASES, FIELDS, nearest
from analytics.search.tokens import Sort, Token, tokens
from analytics.search.tree import And, Condition, Fault, Not, Or, Test, Tree, Words
from analytics.search.values import Unfit, like, read

MAX_CONDITIONS = 100
MAX_DEPTH = 20


def parse(text: str, now: datetime) -> Tree | None:
    """Read a query; None for one without a word: it finds everything. Raises Fault."""
    reader = _Reader(tokens(text), now)
    if reader.peek().sort is Sort.END:
        return None
    tree = reader.either(0)
    left = reader.peek()
    if left.sort is Sort.CLOSE:
        raise Fault(left.start, 1, "this parenthesis was never opened", "take it out, or open one before")
    if left.sort is not Sort.END:
        raise Fault(left.start, left.length, f"`{left.text}` cannot stand here", "a comma stands between two values")
    return tree


class _Reader:
    def __init__(self, found: list[Token], now: datetime) -> None:
        self._tokens, self._now, self._at, self._conditions = found, now, 0, 0

    def peek(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.sort is not Sort.END
        return token

    def either(self, depth: int) -> Tree:
        parts = [self._every(depth)]
        while self.peek().sort is Sort.OR:
            self._take()
            parts.append(self._every(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _every(self, depth: int) -> Tree:
        parts = [self._one(depth)]
        while self.peek().sort in (Sort.AND, Sort.FIELD, Sort.VALUE, Sort.OPEN, Sort.NOT):
            if self.peek().sort is Sort.AND:
                self._take()
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self, depth: int) -> Tree:
        token = self._take()
        if depth > MAX_DEPTH:
            raise Fault(token.start, token.length, f"this lies more than {MAX_DEPTH} levels deep", "write it flatter")
        match token.sort:
            case Sort.NOT:
                return Not(self._one(depth + 1))
            case Sort.OPEN:
                return self._inside(token, depth)
            case Sort.FIELD:
                self._count(token)
                return self._condition(token)
            case Sort.VALUE:
                self._count(token)
                wanted = like(token.text)
                return Words(wanted.pattern if not wanted.is_exact else _escaped(wanted.pattern))
            case _:
                raise _missing(token)

    def _inside(self, opened: Token, depth: int) -> Tree:
        if self.peek().sort is Sort.CLOSE:
            raise Fault(opened.start, 2, "there is nothing between these parentheses", "write a condition there")
        tree = self.either(depth + 1)
        closed = self._take()
        if closed.sort is not Sort.CLOSE:
            raise Fault(opened.start, 1, "this parenthesis is never closed", "write `)` where it ends")
        return tree

    def _condition(self, named: Token) -> Condition:
        name = named.text.lower()
        field = FIELDS.get(ALIASES.get(name, name))
        if field is None:
            raise Fault(named.start, len(named.text), f"there is no field `{named.text}`", nearest(named.text))
        tests: list[Test] = []
        while True:
            value = self._take()
            if value.sort is not Sort.VALUE:
                raise Fault(value.start, value.length, f"`{field.name}` has no value here", f"write `{field.example}`")
            try:
                tests.append(read(field, value.text, named.operator, self._now))
            except Unfit as error:
                raise Fault(value.start, value.length, error.problem, error.fix) from None
            following = self.peek()
            if following.sort is Sort.VALUE and not following.follows_space:
                raise Fault(following.start, 1, "a value ends before this", "quote the whole value, or write a space")
            if following.sort is not Sort.COMMA:
                return Condition(field, tuple(tests))
            self._take()

    def _count(self, token: Token) -> None:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise Fault(token.start, token.length, f"a query has at most {MAX_CONDITIONS} conditions", "make it two")


def _missing(token: Token) -> Fault:
    if token.sort is Sort.END:
        return Fault(
            token.start, 1, "the query ends where a condition should stand", "write one, as in `to:*@post.example`"
        )
    return Fault(
        token.start, token.length, f"there is no condition before this `{token.text}`", "write one, or quote it"
    )


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "%_\\" else sign for sign in text)
