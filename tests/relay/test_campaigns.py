"""Fingerprints of texts, how many senders share them, and the rules that look at several messages."""

import itertools
import random

from relay.content.fingerprint import fingerprint
from relay.content.rule_book import load_rules
from relay.content.tokens import hash_words, words_of
from relay.events import Action, Hit
from relay.policy.signals.campaigns import SENDERS, Campaigns
from relay.policy.signals.repeats import Repeats
from relay.policy.verdict.certain import Certain, Text, Whose

WORDS = [f"word{number:x}" for number in range(3000)]
PROBE = Hit("credential-test", Action.HOLD, "SS", "carries access data")


def text_of(seed: int, length: int = 150) -> list[str]:
    return random.Random(seed).choices(WORDS, k=length)


def print_of(words: list[str]) -> str:
    text = " ".join(words)
    return fingerprint(text, hash_words(words_of(text)))


def changed(words: list[str], count: int, seed: int) -> list[str]:
    rng, copy = random.Random(seed), list(words)
    for at in rng.sample(range(len(words)), count):
        copy[at] = rng.choice(WORDS)
    return copy


def is_near(one: str, other: str) -> bool:
    return any(one[at : at + 8] == other[at : at + 8] for at in (17, 25, 33, 41))


def test_equal_texts_have_equal_fingerprints_and_a_short_one_has_none() -> None:
    assert print_of(text_of(1)) == print_of(text_of(1))
    assert print_of(text_of(1)) != print_of(text_of(2))
    assert len(print_of(text_of(1))) == 16 + 1 + 32
    assert fingerprint("Hello, see attachment", hash_words(["hello", "see", "attachment"])) == ""


def test_nearly_equal_texts_share_a_part_and_others_do_not() -> None:
    near = sum(is_near(print_of(text_of(n)), print_of(changed(text_of(n), 4, n))) for n in range(200))
    far = sum(is_near(print_of(text_of(n)), print_of(text_of(1000 + n))) for n in range(200))

    assert near >= 180  # 4 of 150 words: 12 of 148 runs differ
    assert far == 0


def test_short_texts_without_a_run_in_each_bin_are_told_apart() -> None:
    prints = [print_of(text_of(n, 9)) for n in range(300)]

    assert sum(is_near(one, other) for one, other in itertools.pairwise(prints)) == 0


def test_senders_of_a_text_are_counted_once_each_and_forgotten_in_time() -> None:
    campaigns, text = Campaigns(600), print_of(text_of(1))

    counts = [campaigns.note(text, f"shop|x|{n % 4}", float(n)).same for n in range(8)]

    assert counts == [1, 2, 3, 4, 4, 4, 4, 4]
    assert campaigns.note(text, "shop|x|9", 604.5).same == 4  # of the four, 4 (at 4 s) has gone
    assert campaigns.note(text, "shop|x|9", 2000).same == 1


def test_a_near_text_counts_as_nearly_the_same_only() -> None:
    campaigns = Campaigns(600)
    campaigns.note(print_of(text_of(1)), "a", 0)

    found = campaigns.note(print_of(changed(text_of(1), 2, 5)), "b", 1)

    assert (found.same, found.nearly) == (1, 2)
    assert campaigns.note(print_of(text_of(7)), "c", 2).nearly == 1


def test_the_window_is_bounded_in_texts_and_in_senders() -> None:
    campaigns = Campaigns(600, capacity=100)
    for number in range(500):
        campaigns.note(print_of(text_of(number)), "a", 0)

    assert 50 <= len(campaigns) <= 100
    counts = [campaigns.note(print_of(text_of(1)), f"s{number}", 1).same for number in range(200)]
    assert counts[-1] == SENDERS


def complete(certain: Certain, hits: list[Hit], whose: Whose, now_unix: float, words: int = 150) -> list[Hit]:
    return list(certain.complete(hits, Text(print_of(text_of(1)), words), whose, now_unix).hits)


def test_the_same_text_is_held_from_the_sixth_end_sender_on() -> None:
    certain = Certain(load_rules(), Repeats())

    found = [complete(certain, [], Whose(f"s{number}"), float(number)) for number in range(7)]

    assert found[:5] == [[]] * 5
    assert [(hit.rule, hit.action) for hit in found[5]] == [("same-text", Action.HOLD)]
    assert found[6][0].seen == "the same text came from 7 end senders within 10 minutes"
    assert complete(certain, [], Whose("s9", forgiven_unix=1), 9) == []  # a person has released this one
    assert complete(certain, [], Whose("s8"), 9, words=9) == []  # a greeting is no campaign


def test_one_sender_may_repeat_his_text_as_often_as_he_likes() -> None:
    certain = Certain(load_rules(), Repeats())

    assert all(complete(certain, [], Whose("s"), float(number)) == [] for number in range(50))


def test_a_credential_test_is_held_at_the_third_in_72_hours() -> None:
    certain, hour = Certain(load_rules(), Repeats()), 3600.0

    found = [complete(certain, [PROBE], Whose("s"), at * hour)[0] for at in (100, 110, 120, 191)]

    assert [hit.action for hit in found] == [Action.ACCEPT, Action.ACCEPT, Action.HOLD, Action.ACCEPT]
    assert found[0].seen == "carries access data; number 1 in 72 h, acts at 3"


def test_a_new_senders_first_credential_test_is_held_and_a_release_forgives() -> None:
    certain = Certain(load_rules(), Repeats())

    assert complete(certain, [PROBE], Whose("s", is_new=True), 1)[0].action is Action.HOLD
    assert complete(certain, [PROBE], Whose("s"), 2)[0].action is Action.ACCEPT
    assert complete(certain, [PROBE], Whose("s"), 3)[0].action is Action.HOLD
    assert complete(certain, [PROBE], Whose("s", forgiven_unix=4), 5)[0].action is Action.ACCEPT


def test_repeats_outlive_a_restart() -> None:
    before, after = Repeats(), Repeats()
    before.note("credential-test", "s", 1, 0)
    before.note("credential-test", "s", 2, 0)

    assert after.load([*before.dirty(), ("x", b"{")]) == 1
    assert after.note("credential-test", "s", 3, 0) == 3
    assert [key for key, _ in after.dirty()] == ["credential-test|s"]
