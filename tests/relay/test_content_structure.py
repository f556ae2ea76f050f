"""What the model sees beside words: links' tokens, numbers, and that a page of random office words is no suspect."""

import math
import random

import numpy as np
import pytest

from analytics.learning.office import office_mail
from relay.content.assess import parts_of, views_of
from relay.content.features import measure
from relay.content.message import read
from relay.content.model import Model, load
from relay.content.model_files import find_model
from relay.content.structure import lengthened, numbers_of, structure_of, vanishing
from relay.content.tokens import words_of


@pytest.fixture(scope="module")
def shipped() -> Model:
    return load(find_model("shipped"))


def tokens(body: str) -> set[str]:
    reading = read(f"From: a@shop.example\r\nContent-Type: text/plain\r\n\r\n{body}\r\n".encode())
    return set(structure_of(measure(reading, words_of(reading.text), ""), reading))


def test_links_say_their_host_path_and_shape() -> None:
    found = tokens("http://login.shop-2.co.uk:8080/secure/update.php?x=1")

    assert {"domain shop-2.co.uk", "label login", "top uk", "file php", "path secure", "port"} <= found
    assert {"digit in domain", "domains 1"} <= found
    assert not {"own domain", "user in host", "punycode"} & found


def test_a_link_to_the_senders_own_domain_is_told_apart() -> None:
    assert "own domain" in tokens("https://www.shop.example/orders")
    assert "own domain" not in tokens("https://www.other.example/orders")


def test_lengthened_numbers_are_those_of_the_longer_text() -> None:
    def numbers(words: int) -> np.ndarray:
        reading = read(b"Content-Type: text/plain\r\n\r\n" + b"every w0rd " * words)
        return np.array(numbers_of(measure(reading, words_of(reading.text), ""), 2), np.float32)

    short, long = lengthened(numbers(20), 60), numbers(50)

    assert math.expm1(short[22]) == pytest.approx(math.expm1(long[22]), rel=0.01)  # words
    assert math.expm1(short[21]) == pytest.approx(math.expm1(long[21]), rel=0.2)  # characters
    assert short[12] == numbers(20)[12]  # links: good words bring none


def test_a_shouting_picture_with_good_words_below_is_what_such_a_mail_would_be() -> None:
    good = "we will meet again on monday to talk about the new plan for the garden of our house " * 10
    shout = "BUY NOW TODAY " * 12 + '<div style="display:none">' + "hidden words " * 60 + "</div>"

    def signs(body: str) -> tuple[np.ndarray, set[str]]:
        page = (
            f'Content-Type: text/html\r\n\r\n<a href="http://a.example/"><img src="http://a.example/p"></a>{body}\r\n'
        )
        reading = read(page.encode())
        words = words_of(reading.visible)
        features = measure(reading, words, "")
        return np.array(numbers_of(features, len(set(words))), np.float32), set(structure_of(features, reading))

    for before in ("", shout):
        guessed = lengthened(signs(before)[0], len(good.split()))
        numbers, there = signs(f"{before} {good}")

        assert guessed[2:4] == pytest.approx(numbers[2:4], abs=0.06)  # shares of capitals and digits
        assert guessed[9] == pytest.approx(numbers[9], abs=0.1)  # hidden
        assert not there & set(vanishing(guessed))
    assert {"image-only", "no-text"} <= signs("")[1]
    assert {"shouting", "hidden-text"} <= signs(shout)[1]
    assert not {"shouting", "hidden-text"} & set(vanishing(signs(shout)[0]))


def test_office_pages_of_random_words_are_far_below_every_line(shipped: Model) -> None:
    scores = [shipped.probability(views_of(read(office_mail(random.Random(f"new {n}"))), 20)) for n in range(60)]

    assert max(scores) < 0.2


def test_another_prior_moves_p_and_keeps_the_order(shipped: Model) -> None:
    mails = [b"Subject: minutes\r\n\r\nsee you on Monday\r\n", b"Subject: pills\r\n\r\nbuy cheap viagra now\r\n"]
    seen = [views_of(read(mail), shipped.bits) for mail in mails]

    at_reference, at_half = ([shipped.probability(view, prior) for view in seen] for prior in (None, 0.5))

    assert at_reference == [shipped.probability(view, shipped.card.reference_prior) for view in seen]
    assert at_half[0] < at_half[1]
    assert all(half > low for half, low in zip(at_half, at_reference, strict=True))


def test_parts_hold_words_in_order() -> None:
    parts = parts_of(read(b"Subject: a b\r\n\r\none two one\r\n"))

    assert (len(parts.text), len(parts.subject)) == (3, 2)
    assert parts.text[0] == parts.text[2] != parts.text[1]
