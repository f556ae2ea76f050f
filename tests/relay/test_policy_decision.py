"""The fold of a sender's rows, and a decision in words."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from relay.policy.decisions.decision import Decision, Effect, Proposal, Standing, State, fold
from relay.policy.decisions.why import ends_sooner, facts, sentence, undo

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def row(sequence: int, effect: Effect, starts_at: datetime = NOON, node: str = "mw1", **more: object) -> Decision:
    given: dict[str, object] = {
        "author": "relay",
        "account": "shop",
        "sender": "shop|x-authuser|bob@site.example",
        "effect": effect,
        "rule": "spam_rate",
        "reason": "7 of 7 messages were spam",
        "starts_at": starts_at,
    }
    return Decision(node, sequence, Proposal(**{**given, **more}))  # type: ignore[arg-type]


def test_a_sender_without_rows_is_ok() -> None:
    assert fold([], NOON) == State(Standing.OK)


def test_a_row_counts_from_its_start_until_its_end() -> None:
    rows = [row(1, Effect.HOLD, ends_at=NOON + HOUR)]

    standings = [fold(rows, NOON + minutes * HOUR / 60).standing for minutes in (-1, 0, 59, 60)]

    assert standings == [Standing.OK, Standing.HELD, Standing.HELD, Standing.WATCH]


def test_a_row_without_end_lasts_until_it_is_released() -> None:
    held, release = row(1, Effect.HOLD), row(2, Effect.RELEASE, NOON + HOUR, author="dana", supersedes="mw1-d1")

    assert fold([held], NOON + 1_000 * HOUR).standing is Standing.HELD
    assert fold([held, release], NOON + HOUR) == State(Standing.OK, reinstated_at=NOON + HOUR)


def test_a_confirmed_row_lasts_beyond_its_end_until_it_is_released() -> None:
    rows = [row(1, Effect.HOLD, ends_at=NOON + HOUR), row(2, Effect.CONFIRM, NOON, supersedes="mw1-d1")]
    release = row(3, Effect.RELEASE, NOON + 2 * HOUR, author="dana", supersedes="mw1-d1")

    assert fold(rows, NOON + 100 * HOUR).standing is Standing.HELD
    assert fold([*rows, release], NOON + 2 * HOUR).standing is Standing.OK


def test_a_release_ends_only_the_row_it_names() -> None:
    rows = [row(1, Effect.HOLD), row(2, Effect.THROTTLE), row(3, Effect.RELEASE, supersedes="mw1-d1")]

    assert fold(rows, NOON).standing is Standing.THROTTLED


def test_the_severest_standing_wins_and_the_youngest_of_equals() -> None:
    rows = [
        row(1, Effect.HOLD),
        row(2, Effect.SUSPEND, NOON + HOUR),
        row(3, Effect.SUSPEND, NOON + 2 * HOUR),
        row(4, Effect.WATCH, NOON + 3 * HOUR),
    ]

    state = fold(rows, NOON + 4 * HOUR)

    assert state.standing is Standing.SUSPENDED
    assert state.decision is not None
    assert state.decision.id == "mw1-d3"


def test_the_youngest_multiplier_in_force_counts() -> None:
    rows = [
        row(1, Effect.MULTIPLY, value=0.5),
        row(2, Effect.MULTIPLY, NOON + HOUR, value=0.25, ends_at=NOON + 2 * HOUR),
    ]

    assert [fold(rows, NOON + hours * HOUR).multiplier for hours in (-1, 0, 1, 2)] == [1, 0.5, 0.25, 0.5]


def test_the_order_in_which_rows_arrive_does_not_matter() -> None:
    rows = [
        row(1, Effect.HOLD),
        row(1, Effect.HOLD, node="mw2"),
        row(2, Effect.RELEASE, NOON + HOUR, supersedes="mw1-d1"),
        row(3, Effect.MULTIPLY, value=0.5),
        row(2, Effect.THROTTLE, NOON + HOUR, node="mw2"),
    ]
    expected = fold(rows, NOON + HOUR)

    for seed in range(20):
        assert expected == fold(random.Random(seed).sample(rows, len(rows)), NOON + HOUR)


def test_a_decision_says_who_what_when_why_and_how_to_undo_it() -> None:
    held = row(7, Effect.HOLD, ends_at=NOON + HOUR, certainty=0.994)

    assert sentence(held, NOON) == (
        "Sender shop|x-authuser|bob@site.example is held since 2026-11-24 12:00 UTC until 2026-11-24 13:00 UTC, "
        "sooner by enough clean mail within an hour, because 7 of 7 messages were spam, 99.4 % sure (rule spam_rate, "
        "decision mw1-d7 by relay). "
        "Nobody else is touched. Undo: mailweir held release --sender 'shop|x-authuser|bob@site.example'"
    )


def test_how_sure_is_said_once() -> None:
    held = row(7, Effect.HOLD, certainty=0.994, reason="7 of 7; 99.4 % sure the true rate is above 20 %")

    assert facts(held, NOON).count("sure") == 1


def test_what_is_over_is_told_in_the_past() -> None:
    held = row(7, Effect.HOLD, ends_at=NOON + HOUR)

    assert " was held since " in facts(held, NOON + HOUR)
    assert " is held since " in facts(held, NOON)


def test_what_ends_it_sooner_is_said_where_something_does() -> None:
    group = {"sender": "shop|newcomers|"}
    by_itself = [
        row(7, Effect.HOLD, ends_at=NOON + HOUR),
        row(7, Effect.MULTIPLY, ends_at=NOON + HOUR, author="analytics"),
    ]
    by_people = [
        row(7, Effect.HOLD),  # confirmed
        row(7, Effect.HOLD, ends_at=NOON + HOUR, author="dana"),
        row(7, Effect.BLOCK, ends_at=NOON + HOUR),
        row(7, Effect.HOLD, ends_at=NOON + HOUR, **group),
    ]

    assert [ends_sooner(one.proposal) for one in by_itself] == [
        "enough clean mail within an hour",
        "another reputation",
    ]
    assert [ends_sooner(one.proposal) for one in by_people] == [""] * 4
    assert "sooner" not in facts(by_itself[0], NOON + HOUR)  # over


def test_a_decision_without_end_says_what_ends_it() -> None:
    assert " until a person releases it, " in facts(row(7, Effect.SUSPEND), NOON)


def test_a_multiplier_is_named() -> None:
    assert " is limited to x 0.25 since " in facts(row(7, Effect.MULTIPLY, value=0.25), NOON)


@pytest.mark.parametrize("effect", list(Effect))
def test_every_effect_has_words_and_what_stops_a_sender_can_be_undone(effect: Effect) -> None:
    text, ends_nothing = sentence(row(1, effect), NOON), effect in (Effect.RELEASE, Effect.CONFIRM)

    assert text.startswith("Sender shop|x-authuser|bob@site.example is ")
    assert bool(undo(row(1, effect))) is not ends_nothing
