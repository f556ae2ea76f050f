"""What an abuse desk asks: hours against what is usual, texts elsewhere, how often people overturn a decision."""

from datetime import UTC, datetime, timedelta
from typing import Any

from analytics.serving.ask import ask
from relay.events import Action, DecisionLogged
from relay.tree import Scope
from tests.analytics.conftest import Room
from tests.analytics.records import START, Story

SENDER = "acme|mailfrom|news@acme.example"
OTHER = "beta|x-authuser|bob@beta.example"
DAY = 86_400.0
EVERYTHING = Scope()


def answer(room: Room, name: str, now: datetime, scope: Scope = EVERYTHING, **params: Any) -> list[dict[str, Any]]:
    return ask(room.warehouse, name, params, scope, now).to_pylist()


def decided(story: Story, number: int, offset: float, effect: str, **more: Any) -> DecisionLogged:
    return DecisionLogged(
        **story.stamp(offset),
        decision_id=f"mw1-d{number}",
        author=more.pop("author", "relay"),
        account="acme",
        sender=SENDER,
        effect=effect,
        rule="spam_rate",
        reason="r",
        certainty=0.99,
        starts_at=START + timedelta(seconds=offset),
        **more,
    )


def test_an_hour_is_compared_with_the_same_hours_of_the_days_before(room: Room) -> None:
    story = Story()
    monday = datetime(2026, 11, 23, 12, tzinfo=UTC)
    days = [(monday - START).total_seconds() - week * 7 * DAY for week in (1, 2, 3)]
    quiet = [story.reception(n + 1, offset + 60, rcpts=4) for n, offset in enumerate(days)]
    storm = [story.reception(100 + n, (monday - START).total_seconds() + 60) for n in range(50)]
    room.bring(*quiet, *storm)
    now = monday + timedelta(minutes=30)

    rows = answer(room, "sender_hours", now, sender=SENDER, since=(monday - timedelta(hours=3)).isoformat())
    by_hour = {row["bucket_at"].astimezone(UTC).hour: row for row in rows}

    assert by_hour[12]["recipients"] == 50
    assert by_hour[10]["recipients"] == 0
    assert 0 < by_hour[12]["high"] <= 4
    assert by_hour[12]["low"] == by_hour[9]["high"] == 0
    assert answer(room, "sender_hours", now, Scope(account="beta"), sender=SENDER) == []


def test_a_sender_of_today_has_no_usual_hours(room: Room) -> None:
    room.bring(Story().reception(1, 0))

    (row,) = answer(room, "sender_hours", START + timedelta(minutes=20), sender=SENDER)

    assert (row["recipients"], row["low"], row["high"]) == (1, None, None)


def test_what_a_sender_sends_is_told_by_script_subject_network_and_domain(room: Room) -> None:
    story = Story()
    room.bring(
        story.reception(1, 0, subject="Order 17", script="/a.php", client_ip="192.0.2.7"),
        story.reception(2, 1, subject="Order 18", script="/a.php", client_ip="192.0.2.9", action=Action.HOLD),
        story.reception(3, 2, subject="Hello", client_ip="2001:db8:1:2:3::5"),
        story.delivery(1, 0, 2),
    )
    now = START + timedelta(hours=1)

    assert [
        (row["script"], row["messages"], row["held"]) for row in answer(room, "sender_scripts", now, sender=SENDER)
    ] == [("/a.php", 2, 1)]
    subjects = {row["subject"]: row["subjects"] for row in answer(room, "sender_subjects", now, sender=SENDER)}
    assert subjects == {"Order #": 2, "Hello": 1}
    networks = {row["network"]: row["addresses"] for row in answer(room, "sender_logins", now, sender=SENDER)}
    assert networks == {"192.0.2.0/24": 2, "2001:db8:1:2::/64": 1}
    (domain,) = answer(room, "sender_domains", now, sender=SENDER)
    assert (domain["recipients"], domain["delivered"], domain["bounced"]) == (1, 1, 0)


def test_the_same_text_is_found_by_a_shared_band_within_the_scope(room: Room) -> None:
    story = Story()
    near = "0" * 16 + "-" + "11111111222222223333333344444444"
    room.bring(
        story.reception(1, 0, fingerprint="f" * 16 + "-" + "11111111aaaaaaaabbbbbbbbcccccccc"),
        story.reception(2, 1, sender=OTHER, fingerprint=near, action=Action.HOLD),
        story.reception(3, 2, sender="gamma|x|y", fingerprint="e" * 16 + "-" + "22222222111111110000000099999999"),
        story.reception(4, 3, sender="delta|x|y", fingerprint=""),
    )
    now = START + timedelta(hours=1)

    found = {row["sender"]: row["held"] for row in answer(room, "same_text", now, fingerprint=near)}

    assert found == {SENDER: 0, OTHER: 1}
    assert [row["sender"] for row in answer(room, "same_text", now, Scope(account="acme"), fingerprint=near)] == [
        SENDER
    ]


def test_only_what_a_person_called_a_mistake_is_overturned(room: Room) -> None:
    story = Story()
    room.bring(
        *(decided(story, number, number, "hold") for number in (1, 2, 3, 4)),
        decided(story, 5, 5, "hold", author="dana"),
        decided(story, 6, 60, "release", author="dana", supersedes="mw1-d1", evidence={"as": "not_spam"}),
        decided(story, 7, 61, "release", author="dana", supersedes="mw1-d2", evidence={"as": "release"}),
        decided(story, 8, 62, "release", author="relay", supersedes="mw1-d3"),
        decided(story, 9, 63, "release", author="dana", supersedes="mw1-d5", evidence={"as": "not_spam"}),
    )

    (week,) = answer(room, "overturned", START + timedelta(hours=1))

    assert (week["decided"], week["overturned"], week["released"]) == (4, 1, 1)
