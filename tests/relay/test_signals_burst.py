"""A burst behind a long clean history, false positives that must not pause, and what a person takes back."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.policy.decisions.decision import Effect
from relay.policy.signals.burst import CAP, CLEAN, decayed, gain
from relay.policy.signals.live import Signals
from relay.policy.signals.signal import SignalState, Traits
from relay.policy.triggers.sequential import alarms
from relay.settings import Policy

POLICY = Policy()
NOON = 1_800_000_000.0


def text(number: int) -> str:
    """The fingerprint of a text that is like no other."""
    digits = random.Random(number)
    return f"{digits.randrange(16**16):016x}-{digits.randrange(16**32):032x}"


def rules(signal: SignalState) -> list[str]:
    return [alarm.rule for alarm in alarms(signal, POLICY) if alarm.effect is Effect.HOLD]


def spams_until_alarm(clean: int, score: float = 0.95, *, is_same_text: bool = False) -> tuple[int, list[str]]:
    """Send `clean` messages, then spam, one a second; how many spams it takes (at most 600), and what fires."""
    signals = Signals()
    for number in range(clean):
        signals.observe("s", 0.01, NOON - 1_000 + number * 1_000 / clean, POLICY, traits=Traits(text(-number)))
    for number in range(600):
        fingerprint = text(0 if is_same_text else number)
        state = signals.observe("s", score, NOON + number, POLICY, f"m{number}", traits=Traits(fingerprint))
        if fired := rules(state):
            return number + 1, fired
    return 600, []


@pytest.mark.parametrize("clean", [0, 208, 20_000])
def test_a_burst_is_found_within_eight_messages_whatever_the_history(clean: int) -> None:
    spams, fired = spams_until_alarm(clean)

    assert spams <= 8
    assert fired == (["spam_burst"] if clean else ["spam_rate", "spam_burst"])


def test_the_rate_rule_alone_would_need_74_spams_behind_208_clean_messages() -> None:
    signals, spams = Signals(), 0
    for _ in range(208):
        signals.observe("s", 0.01, NOON, POLICY)
    while "spam_rate" not in rules(signals.observe("s", 0.95, NOON, POLICY)):
        spams += 1

    assert spams + 1 == 74


@pytest.mark.parametrize("score", [0.6, 0.95])
def test_a_misjudged_newsletter_pauses_nobody_in_500_copies(score: float) -> None:
    assert spams_until_alarm(0, score, is_same_text=True) == (600, [])
    assert spams_until_alarm(208, score, is_same_text=True) == (600, [])


def test_two_misjudged_newsletters_in_the_same_hour_are_no_burst() -> None:
    signals = Signals()
    for number in range(500):
        state = signals.observe("s", 0.95, NOON + number, POLICY, traits=Traits(text(number % 2)))
        assert not rules(state)


def test_copies_of_what_is_surely_spam_are_found() -> None:
    assert spams_until_alarm(208, 0.999, is_same_text=True) == (7, ["spam_burst"])


def test_nearly_equal_texts_are_copies_and_texts_too_short_to_tell_are_alike() -> None:
    first, second, other = text(1), text(2)[:25] + text(1)[25:33] + text(2)[33:], text(3)
    signals = Signals()
    for fingerprint in (first, second):
        alike = signals.observe("near", 0.95, NOON, POLICY, traits=Traits(fingerprint))
    for fingerprint in (first, other):
        different = signals.observe("far", 0.95, NOON, POLICY, traits=Traits(fingerprint))
    for _ in range(2):
        short = signals.observe("short", 0.95, NOON, POLICY, traits=Traits(""))

    assert (alike.spam_count, different.spam_count, short.spam_count) == (1.5, 2.0, 1.5)


def average_run_length(false_positives: float) -> float:
    """Messages of an honest sender until a wrong alarm: the expected hitting time of the chain on multiples of 1/4."""
    states, up, down = round(POLICY.burst_line * 4), round(CAP * 4), round(-CLEAN * 4)
    expected = [0.0] * states
    # backward: T(s) = 1 + fp T(s + up) + (1 - fp) T(max(s - down, 0)), solved as a linear expression in T(0)
    slope, offset = [0.0] * states, [0.0] * states
    for _ in range(20_000):
        change = 0.0
        for state in range(states):
            if state == 0:
                new = (1.0, 0.0)
            else:
                higher = (slope[state + up], offset[state + up]) if state + up < states else (0.0, 0.0)
                lower = max(state - down, 0)
                below = (slope[lower], offset[lower]) if lower else (1.0, 0.0)
                good = 1 - false_positives
                new = (
                    false_positives * higher[0] + good * below[0],
                    1 + false_positives * higher[1] + good * below[1],
                )
            change = max(change, abs(new[0] - slope[state]), abs(new[1] - offset[state]))
            slope[state], offset[state] = new
        if change < 1e-15:
            break
    # T(0) = 1 + fp T(up) + (1 - fp) T(0)
    escape = false_positives * (1 - slope[up])
    expected[0] = (1 + false_positives * offset[up]) / escape
    return expected[0]


@pytest.mark.parametrize(("false_positives", "messages"), [(0.02, 9.2e7), (0.05, 4.4e5)])
def test_the_average_run_length_of_honest_senders_is_what_the_docstring_says(
    false_positives: float, messages: float
) -> None:
    assert average_run_length(false_positives) == pytest.approx(messages, rel=0.03)


def test_a_sender_whose_model_errs_1_percent_of_the_time_is_never_paused_in_100_000_messages() -> None:
    dice, signals = random.Random(7), Signals()
    for number in range(100_000):
        score = 0.95 if dice.random() < 0.01 else 0.01
        state = signals.observe(
            "s", score, NOON + number * 20, POLICY, traits=Traits(text(number) if score > 0.5 else "")
        )
        assert not rules(state)


@settings(deadline=None)  # a busy machine is no defect
@given(st.lists(st.floats(0, 1), max_size=60), st.lists(st.floats(0, 1), max_size=60))
def test_the_sum_lies_between_0_and_twice_its_line_and_a_clean_message_never_raises_it(
    before: list[float], after: list[float]
) -> None:
    signals, last = Signals(), 0.0
    for score in (*before, 0.01, *after):
        state = signals.observe("s", score, NOON, POLICY)
        assert 0 <= state.burst <= 2 * POLICY.burst_line
        assert state.burst <= last if gain(score) <= 0 else state.burst >= last
        last = state.burst


@settings(deadline=None)  # a busy machine is no defect
@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_probability_never_adds_less(one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert CLEAN <= gain(low) <= gain(high) <= CAP


def test_the_sum_halves_in_six_hours() -> None:
    assert decayed(8.0, 6 * 3_600) == pytest.approx(4.0)


def test_the_burst_alarm_says_its_reason_and_carries_its_evidence() -> None:
    signals = Signals()
    for _ in range(300):
        signals.observe("s", 0.01, NOON, POLICY)
    for number in range(5):
        state = signals.observe("s", 0.95, NOON, POLICY, f"m{number}")

    [alarm] = alarms(state, POLICY)

    assert (alarm.rule, alarm.effect) == ("spam_burst", Effect.HOLD)
    assert alarm.reason == (
        "5 of the last 5 messages look like spam, whatever came before; over 99.9 % sure that the sender has changed"
    )
    assert alarm.evidence["messages"] == ["m0", "m1", "m2", "m3", "m4"]


def test_what_is_absolved_counts_no_more_and_neither_do_further_copies_of_it() -> None:
    signals = Signals()
    for number in range(4):
        signals.observe("s", 0.95, NOON, POLICY, f"m{number}", traits=Traits(text(number)))

    signals.absolve("s", ["m0", "m1", "stranger"], NOON + 60)

    state = signals.observe("s", 0.95, NOON + 61, POLICY, "again", traits=Traits(text(1)))
    assert (state.spam_count, state.bad_messages) == (2, ("m2", "m3"))
    assert state.burst == pytest.approx(5.0, rel=0.01)
    other = signals.observe("s", 0.95, NOON + 61, POLICY, "other", traits=Traits(text(9)))
    assert other.spam_count == 3


def test_absolving_takes_a_newcomers_messages_out_of_the_group_too() -> None:
    signals = Signals()
    for sender in ("a|u|1", "a|u|2", "a|u|3"):
        signals.observe(sender, 0.95, NOON, POLICY, f"of {sender}", group="a|newcomers|")

    signals.absolve("a|u|1", ["of a|u|1"], NOON + 60)

    group = signals.group("a|newcomers|", NOON + 60, POLICY)
    assert (group.spam_count, group.senders) == (2, ("a|u|2", "a|u|3"))


def test_absolving_a_stranger_makes_no_entry() -> None:
    signals = Signals()

    signals.absolve("nobody", ["m"], NOON)

    assert len(signals) == 0


def test_a_burst_survives_a_restart() -> None:
    before, after = Signals(), Signals()
    for number in range(4):
        before.observe("s", 0.95, NOON, POLICY, f"m{number}", traits=Traits(text(number)))

    after.load(before.dump())

    fifth = [signals.observe("s", 0.95, NOON, POLICY, "m4", traits=Traits(text(4))) for signals in (before, after)]
    assert fifth[0] == fifth[1]
    assert "spam_burst" in rules(fifth[0])
