"""The band of a sender becomes a multiplier of its limit: when, how much, in which words, and through a real relay."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from analytics.reputation.multiplier import GOOD_AT_ONCE, NotSent, Standing, due_value, proposal, publish
from analytics.reputation.run import compute
from relay.account import Account
from relay.clock import SystemClock
from relay.control.client import ControlClient
from tests.analytics.conftest import Room
from tests.analytics.records import START, Story
from tests.builders import Installation

NOW = START + timedelta(days=30)
SENDER = "acme|mailfrom|a@acme.example"
POOR = Standing(
    sender=SENDER,
    account="acme",
    band="poor",
    score=47.2,
    low=38.0,
    high=58.0,
    n=312,
    points='{"hard_bounce":0.5,"complaint":0.25}',
    sent_band=None,
    sent_value=None,
    sent_until=None,
    first_at=NOW - timedelta(days=1),
    peak=0.1,
)
GOOD = replace(POOR, band="good", score=98.0)
OLD = replace(  # and busy: named good before, not yet with a raise
    GOOD,
    first_at=NOW - timedelta(days=90),
    peak=0.8,
    sent_band="good",
    sent_value=1.0,
    sent_until=NOW + timedelta(days=5),
)


@pytest.mark.parametrize(
    ("standing", "value"),
    [
        (POOR, 0.5),
        (replace(POOR, band="bad"), 0.25),
        (replace(POOR, band="fair"), None),
        # That a sender is good is news for a week.
        (GOOD, 1.0),
        (replace(GOOD, sent_band="good", sent_value=1.0, sent_until=NOW + timedelta(days=2)), None),
        (replace(GOOD, sent_band="good", sent_value=1.0, sent_until=NOW + timedelta(hours=23)), 1.0),
        (replace(POOR, band="fair", sent_band="good", sent_value=1.0, sent_until=NOW + timedelta(days=2)), 1.0),
        (replace(POOR, sent_band="good", sent_value=1.0, sent_until=NOW + timedelta(days=2)), 0.5),
        (replace(POOR, band="fair", sent_band="fair", sent_value=1.0, sent_until=NOW + timedelta(minutes=2)), None),
        (replace(POOR, band="fair", sent_band="good", sent_value=1.0, sent_until=NOW - timedelta(days=2)), None),
        # A raise: for old ones that need it, more with age.
        (replace(GOOD, first_at=NOW - timedelta(days=14), peak=0.8), 1.25),
        (replace(GOOD, first_at=NOW - timedelta(days=90), peak=0.8), 1.5),
        (replace(GOOD, first_at=NOW - timedelta(days=90), peak=0.1), 1.0),
        (replace(GOOD, first_at=NOW - timedelta(days=6), peak=0.9), 1.0),
        (OLD, 1.5),
        (replace(OLD, sent_value=1.5, sent_until=NOW + timedelta(hours=3)), None),
        (replace(OLD, sent_value=1.5, sent_until=NOW + timedelta(minutes=30)), 1.5),
        (replace(OLD, peak=0.1, sent_value=1.5, sent_until=NOW + timedelta(minutes=30)), 1.0),
        # What is in force is not sent again, but renewed before it ends, and taken back when the band is better.
        (replace(POOR, sent_band="poor", sent_value=0.5, sent_until=NOW + timedelta(hours=3)), None),
        (replace(POOR, sent_band="poor", sent_value=0.5, sent_until=NOW + timedelta(minutes=30)), 0.5),
        (replace(POOR, sent_band="poor", sent_value=0.5, sent_until=NOW - timedelta(hours=1)), 0.5),
        (replace(GOOD, sent_band="poor", sent_value=0.5, sent_until=NOW + timedelta(hours=3)), 1.0),
        (replace(GOOD, sent_band="poor", sent_value=0.5, sent_until=NOW - timedelta(hours=1)), 1.0),
        (replace(POOR, sent_band="bad", sent_value=0.25, sent_until=NOW + timedelta(hours=3)), 0.5),
    ],
)
def test_multiplier_is_sent_when_it_changes_something(standing: Standing, value: float | None) -> None:
    assert due_value(standing, NOW) == value


def test_reason_is_in_words_with_count_and_interval() -> None:
    decision = proposal(POOR, 0.5, NOW)

    assert decision.reason == (
        "reputation poor: score 47 of 100, 90 % interval 38 to 58, n = 312 messages; 67 % of the loss: hard bounces"
    )
    assert (decision.evidence["n"], decision.evidence["band"]) == (312, "poor")
    assert decision.ends_at == NOW + timedelta(hours=6)
    assert proposal(GOOD, 1.0, NOW).ends_at == NOW + timedelta(days=7)
    assert proposal(OLD, 1.5, NOW).ends_at == NOW + timedelta(hours=6)


def spam(room: Room, now_story: Story, count: int = 100) -> None:
    records = [
        record
        for number in range(1, count + 1)
        for record in (
            now_story.reception(number, 0, sender=SENDER, score=0.97),
            now_story.delivery(number, 0, 1, sender=SENDER),
        )
    ]
    room.bring(*records)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path / "node")
    installation.folder.mkdir()
    installation.write(1, "", model="none")
    return installation


def test_decision_arrives_at_the_relay_signed_by_analytics_and_once(room: Room, installation: Installation) -> None:
    clock = SystemClock()
    now = clock.now()
    spam(room, Story(start=now - timedelta(minutes=5)))
    compute(room.warehouse, now)
    installation.add_account(Account("acme"))

    with installation.running():
        sent = publish(room.warehouse, lambda: installation.client("analytics"), now)
        again = publish(room.warehouse, lambda: installation.client("analytics"), now + timedelta(minutes=1))
        with installation.client() as client:
            decisions = client.decisions(sender=SENDER)

    assert (sent, again) == (1, 0)
    assert [(row.author, row.effect, row.value, row.rule) for row in decisions] == [
        ("analytics", "multiply", 0.25, "reputation_band")
    ]
    assert decisions[0].reason.startswith("reputation bad: score")


def test_decisions_wait_while_the_relay_is_down(room: Room, installation: Installation) -> None:
    now = SystemClock().now()
    spam(room, Story(start=now - timedelta(minutes=5)))
    compute(room.warehouse, now)

    def relay() -> ControlClient:
        return ControlClient.of(installation.settings, "analytics", timeout_seconds=1)

    with pytest.raises(NotSent, match="1 decisions wait for the relay"):
        publish(room.warehouse, relay, now)

    assert room.value("SELECT count(*) FROM published") == 0


def test_nothing_is_sent_about_a_sender_nobody_knows(room: Room, installation: Installation) -> None:
    now = SystemClock().now()
    spam(room, Story(start=now - timedelta(minutes=5)), count=20)
    compute(room.warehouse, now)

    assert publish(room.warehouse, lambda: installation.client("analytics"), now) == 0


def test_the_relay_learns_who_is_good_once_and_the_lists_stay_short(room: Room, installation: Installation) -> None:
    now = SystemClock().now()
    story = Story(start=now - timedelta(minutes=5))
    count = GOOD_AT_ONCE + 20
    room.bring(
        *(
            story.reception(number, 0, sender=f"acme|mailfrom|{number % count}@acme.example", score=0.01)
            for number in range(1, 60 * count + 1)
        )
    )
    compute(room.warehouse, now)
    installation.add_account(Account("acme"))

    with installation.running():
        sent = [publish(room.warehouse, lambda: installation.client("analytics"), now) for _ in range(3)]
        with installation.client() as client:
            everybodys = client.decisions()
            ones = client.decisions(sender="acme|mailfrom|1@acme.example")

    assert sent == [GOOD_AT_ONCE, 20, 0]
    assert everybodys == []
    assert [(row.effect, row.value, row.evidence["band"]) for row in ones] == [("multiply", 1.0, "good")]
