"""What is known of messages: people's labels, complaints and refusals of their content, by message id."""

from relay.events import Complaint, Label
from tests.analytics.conftest import Room
from tests.analytics.records import Story

KNOWN = "SELECT message_id, label, origin FROM label_known ORDER BY message_id"


def label(story: Story, number: int, word: str, seconds: float, origin: str = "operator", weight: float = 1.0) -> Label:
    said = {"label": word, "origin": origin, "weight": weight, "author": "dana"}
    return Label(**story.stamp(seconds), **story.whose(number), **said)  # type: ignore[arg-type]


def complaint(story: Story, number: int, kind: str = "abuse") -> Complaint:
    stamp = story.stamp(5)
    return Complaint(**stamp, message_id=f"mw1.{number}", reported_at=stamp["logged_at"], feedback_type=kind)


def test_each_message_has_one_label_the_weightiest_and_of_equal_ones_the_latest(room: Room) -> None:
    story = Story()

    room.bring(
        label(story, 1, "spam", 1),
        label(story, 1, "ham", 2),
        complaint(story, 2),
        complaint(story, 3),
        label(story, 3, "ham", 1),
        label(story, 4, "ham", 9, "release", 0.7),
        label(story, 4, "spam", 1),
        story.bounce(5, category="ContentBlock", is_hard=False),
        story.bounce(6, category="InvalidRecipient"),
        complaint(story, 7, "not-spam"),
    )

    assert room.rows(KNOWN) == [
        ("mw1.1", "ham", "operator"),
        ("mw1.2", "spam", "complaint"),
        ("mw1.3", "ham", "operator"),
        ("mw1.4", "spam", "operator"),
        ("mw1.5", "spam", "bounce"),
    ]


def test_a_label_is_taken_back_and_a_repeated_record_counts_once(room: Room) -> None:
    story = Story()
    first, second = label(story, 1, "spam", 1), label(story, 1, "unsure", 2)

    room.bring(first)
    assert room.value("SELECT count(*) FROM label_known") == 1
    room.bring(first, second, name="relay-mw1-a-00000002")

    assert room.value("SELECT count(*) FROM label") == 2
    assert room.value("SELECT count(*) FROM label_known") == 0
