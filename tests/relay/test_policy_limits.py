"""Limits as values: what multiplies them, and the words of a refusal."""

from relay.policy.limits.claims import LimitUse, band_of, delay, effective_limit, in_force, refusal
from relay.policy.limits.levels import LimitSet

NOON = 1_800_000_000.0
WEEK = 7 * 86_400


def test_the_multiplier_moves_the_limit_within_its_bounds() -> None:
    assert effective_limit(200, 0.25, 0) == 50
    assert effective_limit(200, 0.0001, WEEK) == 20
    assert effective_limit(200, 100, WEEK) == 800
    assert effective_limit(1, 0.1, WEEK) == 1


def test_a_sender_younger_than_a_week_never_gets_more_than_the_base() -> None:
    assert effective_limit(200, 4, 86_400) == 200


def test_the_multiplier_moves_recipients_of_hour_and_day_and_no_other_limit() -> None:
    assert in_force(LimitSet(200, 1000, 500, 50, 30), 0.5, 0) == LimitSet(100, 500, 250, 50, 30)


def test_what_is_not_limited_stays_so_whatever_the_multiplier() -> None:
    assert in_force(LimitSet(None, 0, 500), 0.1, 0) == LimitSet(None, 0, 50)


def test_the_band_is_twice_the_hour_and_at_least_200() -> None:
    assert [band_of(LimitSet(limit)) for limit in (None, 10, 200)] == [200, 200, 400]


def test_a_refusal_names_whose_limit_which_how_much_and_when() -> None:
    use = LimitUse(99, 100, False, NOON, 5, "rcpts_per_day", "domain shop|d.example", base=200, multiplier=0.5)

    assert str(refusal(use)) == (
        "451 4.7.1 [RATE] domain shop|d.example over rcpts_per_day: "
        "limit=100, used=99, asked=5, base=200 x 0.5, next=2027-01-15T08:00:00Z"
    )


def test_too_many_recipients_of_one_message_are_told_to_be_sent_apart() -> None:
    use = LimitUse(20, 20, False, NOON, 21, "rcpts_per_message", "account shop")

    assert str(refusal(use)) == (
        "452 4.5.3 [RATE] account shop over rcpts_per_message: limit=20, asked=21; send the rest apart"
    )


def test_replies_are_one_printable_line_whatever_the_sender_is_called() -> None:
    use = LimitUse(9, 9, False, NOON, whose="sender shop|x-authuser|ü\r\n" + "x" * 900, due_unix=NOON)

    for reply in (refusal(use), delay(use, "mw1.7")):
        assert str(reply).isascii()
        assert str(reply).isprintable()
        assert len(str(reply)) <= 510
