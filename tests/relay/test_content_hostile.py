"""Hostile bytes: the small twin of bench/mutate.py, over our own texts; and the cases it has found."""

import random

import pytest

from analytics.learning.texts import compose, texts
from bench.mutate import failures, mails
from relay.content.assess import Assessor
from relay.content.head import split_head
from relay.content.model import load
from relay.content.model_files import find_model
from relay.content.text import fold


def test_mutated_mail_is_read_and_scored_in_bounded_time() -> None:
    messages = [compose(text, random.Random(text.id)) for text in texts()]

    found = list(failures(Assessor(load(find_model("shipped")), {}), mails(messages, 400, 7)))

    assert found == []


@pytest.mark.timeout(20)  # a look at each of its places would take minutes
@pytest.mark.parametrize("run", [b"a" * 200_000, b"a=" * 100_000, b"http//" * 30_000])
def test_a_long_line_without_a_colon_costs_one_look(run: bytes) -> None:
    head = split_head(b"From: a@b.example\r\n" + run + b"\r\nTo: c@d.example\r\n\r\n")

    assert [name for name, _ in head.fields] == [b"from", b"to"]
    assert not head.is_sound


@pytest.mark.timeout(20)
def test_a_long_word_beside_a_foreign_letter_costs_one_look() -> None:
    text, _, mixed = fold("a" * 2_000_000 + " p\u0430y")

    assert text.endswith(" pay")
    assert mixed == 1
