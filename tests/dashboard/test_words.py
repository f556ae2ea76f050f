import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.components import words


def test_examples_in_docstrings_are_true() -> None:
    assert doctest.testmod(words).failed == 0


@pytest.mark.parametrize("whole", [1, 12, 29])
def test_few_are_shown_as_counts_not_as_a_share(whole: int) -> None:
    assert "%" not in words.share(1, whole)


@given(part=st.integers(0, 5000), more=st.integers(0, 5000))
def test_a_share_of_many_carries_its_interval_and_n(part: int, more: int) -> None:
    whole = part + more + words.FEW

    shown = words.share(part, whole)

    assert f"n = {whole:,}" in shown
    assert "–" in shown


@given(st.text())
def test_foreign_text_starts_no_markdown(text: str) -> None:
    shown = words.plain(text)

    for sign in "*_[]!`$:<>|#~":
        assert shown.count(sign) == shown.count(f"\\{sign}")
    assert "\n" not in shown


def test_addresses_and_urls_are_not_linked_by_markdown() -> None:
    assert "\\://" not in words.plain("http://evil.example")
    assert "www\\." not in words.plain("www.evil.example")
    assert "a@b.example" not in words.plain("a@b.example")
    assert words.code("a@b.example") == "`a@b.example`"


def test_an_identifier_with_lines_in_it_is_no_markdown() -> None:
    assert words.code("a\n\n![x](http://evil.example)") == words.plain("a ![x](http://evil.example)")
    assert "![" not in words.code("a\n\n![x](http://evil.example)")
