"""The beta function against scipy, and when the triggers of spec 2.4 fire."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from relay.policy.decisions.decision import Effect
from relay.policy.triggers.sequential import SignalState, alarms, beta_exceeds, percent, spam_certainty
from relay.settings import Policy

POLICY = Policy()


def signal(spam: float = 0, seen: float = 0, **more: Any) -> SignalState:
    certainty = spam_certainty(spam, seen, POLICY.spam_line)
    return SignalState(spam, seen, certainty, history=0, first_seen_unix=0, **more)


@given(
    st.floats(0.0001, 0.9999),
    st.floats(0, 20_000),
    st.floats(0, 1),
    st.floats(0.01, 50),
    st.floats(0.01, 50),
)
def test_the_beta_function_agrees_with_scipy(
    line: float, seen: float, share: float, prior_bad: float, prior_good: float
) -> None:
    bad = seen * share

    expected = beta.sf(line, prior_bad + bad, prior_good + seen - bad)

    assert beta_exceeds(line, bad, seen, prior_bad, prior_good) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0.01, 0.99))
def test_one_more_bad_message_never_makes_the_rule_less_sure(bad: int, good: int, line: float) -> None:
    before = beta_exceeds(line, bad, bad + good, 0.2, 3.8)
    after = beta_exceeds(line, bad + 1, bad + good + 1, 0.2, 3.8)

    assert after >= before - 1e-9


@pytest.mark.parametrize(("bad", "seen"), [(0, 0), (0, 10**7), (10**7, 10**7), (5, 3)])
def test_the_ends_of_the_range_are_probabilities(bad: float, seen: float) -> None:
    assert 0 <= beta_exceeds(0.2, bad, seen, 0.2, 3.8) <= 1


def stop_after(rate: float, runs: int = 200) -> float:
    """Return the median number of messages before the spam trigger fires."""
    dice, stops = random.Random(7), []
    for _ in range(runs):
        spam = seen = 0
        while not any(alarm.effect is Effect.HOLD for alarm in alarms(signal(spam=spam, seen=seen), POLICY)):
            seen += 1
            spam += dice.random() < rate
        stops.append(seen)
    return sorted(stops)[runs // 2]


def test_a_burst_of_spam_is_stopped_within_a_handful_of_messages() -> None:
    assert stop_after(0.8) <= 8
    assert stop_after(0.4) <= 40


def test_a_sender_whose_model_errs_5_percent_of_the_time_is_not_paused() -> None:
    dice = random.Random(7)
    for _ in range(50):
        spam = 0
        for seen in range(1, 201):
            spam += dice.random() < 0.05
            assert not [alarm for alarm in alarms(signal(spam=spam, seen=seen), POLICY) if alarm.effect is Effect.HOLD]


def test_the_spam_alarm_says_its_reason_and_carries_its_evidence() -> None:
    [alarm] = alarms(signal(spam=6.5, seen=9, bad_messages=("mw1.1", "mw1.2")), POLICY)

    assert (alarm.rule, alarm.effect) == ("spam_rate", Effect.HOLD)
    assert alarm.reason == (
        "6.5 of 9 messages in the last hour were scored as spam; 99.3 % sure the true rate is above 20 %"
    )
    assert alarm.evidence["messages"] == ["mw1.1", "mw1.2"]
    assert (alarm.evidence["spam"], alarm.evidence["seen"], alarm.evidence["line"]) == (6.5, 9, 0.2)


def test_the_hard_bounce_alarm_fires_above_its_line_only() -> None:
    [alarm] = alarms(signal(hard_bounces=31, day_seen=74), POLICY)

    assert (alarm.rule, alarm.effect) == ("hard_bounce_rate", Effect.BLOCK)
    assert alarm.reason == "hard bounces 31 of 74 in 24 h; over 99.9 % sure the true rate is above 10 %"
    assert not list(alarms(signal(hard_bounces=5, day_seen=74), POLICY))


def test_the_complaint_alarm_fires_above_its_line_only() -> None:
    [alarm] = alarms(signal(complaints=8, week_seen=246), POLICY)

    assert (alarm.rule, alarm.effect) == ("complaint_rate", Effect.BLOCK)
    assert not list(alarms(signal(complaints=1, week_seen=200), POLICY))


def test_outcomes_of_messages_long_gone_do_not_make_a_share_above_one() -> None:
    [alarm] = alarms(signal(hard_bounces=9, day_seen=2), POLICY)

    assert alarm.evidence["seen"] == 9


@pytest.mark.parametrize(
    ("probability", "text"), [(0.9942, "99.4 %"), (0.99999, "over 99.9 %"), (0.2, "20 %"), (0.005, "0.5 %")]
)
def test_a_probability_is_never_written_as_certainty(probability: float, text: str) -> None:
    assert percent(probability) == text


def test_a_signal_read_back_from_a_record_fires_the_same_alarms() -> None:
    seen = signal(spam=6.5, seen=9, hard_bounces=31, day_seen=74, bad_messages=("mw1.1",))

    again = msgspec.json.decode(msgspec.json.encode(seen), type=SignalState)

    assert list(alarms(seen, POLICY)) == list(alarms(again, POLICY))
    assert len(list(alarms(again, POLICY))) == 2
