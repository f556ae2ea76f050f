"""What complaints are divided by: mail about which they have had time to come."""

import pytest

from relay.policy.signals.live import Signals, SignalState
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
