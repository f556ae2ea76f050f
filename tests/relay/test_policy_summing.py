"""What complaints are divided by: mail about which they have had time to come."""

import pytest

from relay.policy.signals.live import Signals, SignalState
from relay.policy.triggers.sequential import alarms
from relay.settings import Policy

_NOON = 1_780_315_200.0
_HOUR = 3_600.0


def _state(hours_later: float, *, complains: bool) -> SignalState:
    signals, policy = Signals(), Policy()
    for number in range(300):
        signals.observe("acme|mailfrom|a@acme.example", 0.01, _NOON + number, policy)
    if complains:
        signals.outcome("acme|mailfrom|a@acme.example", "complaint", _NOON + _HOUR * hours_later)
    found = signals.state("acme|mailfrom|a@acme.example", _NOON + _HOUR * hours_later, policy)
    assert found is not None
    return found


def test_fresh_mail_counts_for_a_third_as_nobody_can_have_complained_yet() -> None:
    assert _state(0.5, complains=True).week_seen == 100


@pytest.mark.parametrize(("hours", "least"), [(6, 200), (24, 280), (72, 298)])
def test_older_mail_counts_ever_more(hours: float, least: int) -> None:
    assert least <= _state(hours, complains=True).week_seen <= 300


def test_without_a_complaint_all_mail_is_shown() -> None:
    assert _state(0.5, complains=False).week_seen == 300


def _weekly(mailing: int) -> SignalState:
    """A list writes to so many, three of whom complain hours later; a week after it has written three mails again."""
    signals, policy, sender = Signals(), Policy(), "acme|mailfrom|news@acme.example"
    for number in range(mailing):
        signals.observe(sender, 0.01, _NOON + number, policy)
    for hours in (4, 9, 20):
        signals.outcome(sender, "complaint", _NOON + hours * _HOUR)
    for number in range(3):
        signals.observe(sender, 0.01, _NOON + 7 * 24 * _HOUR + number, policy)
    found = signals.state(sender, _NOON + 7 * 24 * _HOUR + 3, policy)
    assert found is not None
    return found


def test_a_weekly_list_is_measured_by_the_mail_its_complaints_are_about() -> None:
    state = _weekly(2_000)

    assert (state.complaints, state.week_seen > 1_500) == (3, True)
    assert not [alarm for alarm in alarms(state, Policy()) if alarm.rule == "complaint_rate"]


def test_three_complaints_about_few_mails_are_an_alarm_a_week_later_too() -> None:
    state = _weekly(30)

    assert [alarm.rule for alarm in alarms(state, Policy())] == ["complaint_rate"]


def test_mail_of_nine_days_ago_counts_for_nothing() -> None:
    signals, policy = Signals(), Policy()
    for number in range(300):
        signals.observe("s", 0.01, _NOON + number, policy)

    signals.outcome("s", "complaint", _NOON + 9 * 24 * _HOUR)
    state = signals.state("s", _NOON + 9 * 24 * _HOUR, policy)

    assert state is not None
    assert (state.complaints, state.week_seen) == (1, 0)
