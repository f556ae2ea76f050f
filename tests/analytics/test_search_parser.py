"""The query language: whatever is typed is read or refused at a place, and what is read means what was written."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.search.compiling import Filters, compiled, names_message, span
from analytics.search.fields import FIELDS
from analytics.search.parser import MAX_CONDITIONS, MAX_DEPTH, parse
from analytics.search.tokens import MAX_CHARACTERS
from analytics.search.tree import And, Condition, Fault, Like, Not, Or, Range, Tree, Words, conditions

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
_PIECES = st.sampled_from(
    ["sender:", "to:", "score:", "time:", "ip:", "AND", "OR", "NOT", "-", "(", ")", '"', "\\", "..", ">", "*", ",", " "]
)
TYPED = st.one_of(st.text(max_size=60), st.lists(st.one_of(_PIECES, st.text(max_size=5)), max_size=20).map("".join))


@given(TYPED)
def test_whatever_is_typed_is_read_or_refused_at_a_place_within_it(text: str) -> None:
    outcome = _outcome(text)

    if isinstance(outcome, Fault):
        assert 0 <= outcome.start <= len(text)
        assert outcome.length >= 1
        assert outcome.problem
        assert outcome.fix
    else:
        assert outcome.of_message
        assert outcome.of_way


def _outcome(text: str) -> Filters | Fault:
    try:
        return compiled(parse(text, NOW))
    except Fault as fault:
        return fault


@given(TYPED)
def test_no_typed_character_becomes_sql(text: str) -> None:
    filters = compiled(parse(f'subject:"{_quoted(text)}" OR reply:"{_quoted(text)}"', NOW))

    assert filters.of_way in (
        r"((lower(subject) LIKE $q0 ESCAPE '\') OR (lower(reply) LIKE $q1 ESCAPE '\'))",
        "((coalesce(subject, '') = '') OR (coalesce(reply, '') = ''))",
    )


def _quoted(text: str) -> str:
    return "".join(f"\\{sign}" if sign in '"\\*?' else sign for sign in text)


_LEAVES = st.sampled_from(["from:a@b.example", "to:*@b.example", "score:>0.5", "word", 'subject:"a b"', "code:1..5"])


def _written(tree: Tree, texts: dict[Tree, str]) -> str:
    match tree:
        case And(parts):
            return f"({' AND '.join(_written(part, texts) for part in parts)})"
        case Or(parts):
            return f"({' OR '.join(_written(part, texts) for part in parts)})"
        case Not(part):
            return f"NOT {_written(part, texts)}"
        case _:
            return texts[tree]


def _trees(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(children, children)
    return st.one_of(
        pairs.map(lambda two: f"({two[0]} AND {two[1]})"),
        pairs.map(lambda two: f"({two[0]} OR {two[1]})"),
        children.map(lambda one: f"NOT {one}"),
    )


@given(st.recursive(_LEAVES, _trees, max_leaves=12))
def test_what_is_read_and_written_again_is_the_same(text: str) -> None:
    leaves = ["from:a@b.example", "to:*@b.example", "score:>0.5", "word", 'subject:"a b"', "code:1..5"]
    texts: dict[Tree, str] = {}
    for leaf in leaves:
        read = parse(leaf, NOW)
        assert read is not None
        texts[read] = leaf
    tree = parse(text, NOW)
    assert tree is not None

    assert parse(_written(tree, texts), NOW) == tree


def test_and_binds_before_or_and_may_be_left_out() -> None:
    assert parse("a b OR c", NOW) == Or((And((Words("a"), Words("b"))), Words("c")))
    assert parse("a AND (b or c)", NOW) == And((Words("a"), Or((Words("b"), Words("c")))))
    assert parse("-a b", NOW) == And((Not(Words("a")), Words("b")))
    assert parse('"or"', NOW) == Words("or")
    assert parse("  ", NOW) is None


def test_a_comparison_is_the_same_behind_a_colon_or_alone() -> None:
    expected = Condition(FIELDS["score"], (Range(0.9, None, above=True),))

    for text in ("score:>0.9", "score>0.9", "score: >0.9", "SCORE:>0.9"):
        assert parse(text, NOW) == expected


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)),
        ("2026-02", datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        ("2h", NOW - timedelta(hours=2), None),
        ("..2026-11-24", None, datetime(2026, 11, 25, tzinfo=UTC)),
        ("2d..1d", NOW - timedelta(days=2), NOW - timedelta(days=1)),
        ("yesterday", datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC)),
        (">2026-11-24", datetime(2026, 11, 25, tzinfo=UTC), None),
        (">=2026-11-24", datetime(2026, 11, 24, tzinfo=UTC), None),
    ],
)
def test_a_time_bounds_the_search(value: str, low: datetime | None, high: datetime | None) -> None:
    found = span(parse(f"time:{value} AND to:x", NOW))

    assert (found.since, found.until) == (low, high)


def test_only_a_time_that_must_hold_bounds_the_search() -> None:
    assert span(parse("time:2h OR to:x", NOW)).since is None
    assert span(parse("NOT time:2h", NOW)).since is None
    assert span(parse("time:2h OR time:3h", NOW)).since == NOW - timedelta(hours=3)
    assert span(parse("time:2h time:3h", NOW)).since == NOW - timedelta(hours=2)


def test_only_ids_that_must_hold_free_a_search_from_time() -> None:
    assert names_message(parse("id:mw1.1 from:x", NOW))
    assert names_message(parse("id:mw1.1,mw1.2", NOW))
    assert not names_message(parse("id:mw1.*", NOW))
    assert not names_message(parse("id:mw1.1 OR from:x", NOW))
    assert not names_message(parse("NOT id:mw1.1", NOW))


@pytest.mark.parametrize(
    ("query", "start", "told"),
    [
        ("sendr:a", 0, "did you mean `sender`"),
        ("to:a AND sendr:b", 9, "did you mean `sender`"),
        ("score:high", 6, "write `score:0.5..0.9`"),
        ("score:0.9..0.1", 6, "write `0.1..0.9`"),
        ("action:hld", 7, "did you mean `hold`"),
        ("delivered:maybe", 10, "`delivered:Y` or `delivered:N`"),
        ("time:2026-13-01", 5, "`time:2h`"),
        ("ip:192.0.2.0/99", 3, "`192.0.2.0/24`"),
        ("ip:2001:db8::/32", 3, "`ip:2001:db8:*`"),
        ("from:<>", 6, '`from:""`'),
        ('subject:"open', 8, "where the text ends"),
        ("(a", 0, "where it ends"),
        ("a)", 1, "open one before"),
        ("()", 0, "write a condition"),
        ("a AND", 5, "write one"),
        ("OR a", 0, "write one, or quote it"),
        ("to:", 3, "to:*@example.org"),
        ("to: AND a", 4, "to:*@example.org"),
        ('to:a"b"', 4, "quote the whole value"),
        ("a , b", 2, "a comma stands between two values"),
    ],
)
def test_a_fault_points_at_its_place_and_says_the_fix(query: str, start: int, told: str) -> None:
    with pytest.raises(Fault) as caught:
        parse(query, NOW)

    assert caught.value.start == start
    assert told in caught.value.fix


def test_queries_are_bounded() -> None:
    with pytest.raises(Fault, match="characters"):
        parse("a" * (MAX_CHARACTERS + 1), NOW)
    with pytest.raises(Fault, match="levels"):
        parse("(" * (MAX_DEPTH + 5) + "a", NOW)
    with pytest.raises(Fault, match="conditions"):
        parse("a " * (MAX_CONDITIONS + 1), NOW)
    every = parse("a " * MAX_CONDITIONS, NOW)
    assert every is not None
    assert len(list(conditions(every))) == MAX_CONDITIONS


def test_wildcards_work_in_quotes_and_not_behind_a_backslash() -> None:
    def of(text: str) -> Like:
        tree = parse(text, NOW)
        assert isinstance(tree, Condition)
        (test,) = tree.tests
        assert isinstance(test, Like)
        return test

    assert of('subject:"a b*"') == Like("a b%", False)
    assert of("subject:a\\*") == Like("a*", True)
    assert of("subject:50%_?") == Like("50\\%\\__", False)
