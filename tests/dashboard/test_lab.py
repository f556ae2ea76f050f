"""Model and policy lab, on a relay that has a model, labels and a training."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from streamlit.testing.v1 import AppTest

from relay.control.policies.views import PolicyOrder
from relay.events import Label, ModelRun, Record
from tests.analytics.records import Story, write
from tests.builders import until
from tests.dashboard.conftest import House
from tests.dashboard.test_pages import assert_calm, shown

Open = Callable[..., AppTest]
SLICE = {
    "name": "all",
    "bad": 60,
    "ham": 90,
    "gain": 0.031,
    "low": 0.012,
    "high": 0.05,
    "recall": [0.5, 0.7],
    "false_positive_rate": [0.0, 0.01],
}


def _told(start: datetime) -> Iterator[Record]:
    """Twelve scored messages of one sender, what a person said of each, and a training that passed."""
    story = Story("20261124T090000Z-8", start)
    for number in range(12):
        is_spam = number < 6
        score = 0.95 if is_spam or number == 11 else 0.05
        subject = "Mistaken for spam" if number == 11 else "Hello"
        yield story.reception(800_000 + number, number, score=score, subject=subject)
        yield Label(
            **story.stamp(60 + number),
            **story.whose(800_000 + number),
            label="spam" if is_spam else "ham",
            origin="operator",
            weight=1.0,
            author="ann",
            why="",
        )
    yield ModelRun(
        **story.stamp(100),
        model="learnt-1",
        active="shipped",
        learnt=350,
        judged=150,
        passes=True,
        why="surely better on all",
        slices=[SLICE],
    )


def test_the_lab_tells_the_model_its_labels_and_its_mistakes(shared_house: House, open_page: Open) -> None:
    start = datetime.now(UTC) - timedelta(minutes=20)
    write(shared_house.installation.data / "journal", "relay-mw9-z-00000001", _told(start))

    def model() -> AppTest:
        return open_page(shared_house.installation, "lab")

    until(lambda: "learnt-1" in shown(model()), 60)
    app = model()
    assert_calm(app)
    assert "shipped" in app.dataframe[0].value["name"].tolist()
    gains = [frame.value["gain"].tolist() for frame in app.dataframe if "gain" in frame.value]
    assert gains == [["+0.0310 (+0.0120 to +0.0500)"]]
    assert "better" in next(frame.value for frame in app.dataframe if "verdict" in frame.value)["verdict"].tolist()

    labels = open_page(shared_house.installation, "lab", part="Labels")
    assert_calm(labels)
    assert "6 spam and 6 good messages" in shown(labels)
    mistakes = next(frame.value for frame in labels.dataframe if "said_at" in frame.value)
    assert mistakes["subject"].tolist() == ["Mistaken for spam"]


def test_the_policy_and_its_difference_are_told_in_words_and_not_offered_to_the_abuse_desk(
    shared_house: House, open_page: Open
) -> None:
    with shared_house.installation.client() as relay:
        relay.apply_policy(PolicyOrder(text="[policy]\nhold_score = 0.77\n", note="a trial"))

    app = open_page(shared_house.installation, "lab", part="Policy")

    assert_calm(app)
    assert "a trial" in shown(app)
    keys = next(frame.value for frame in app.dataframe if "default" in frame.value)
    assert keys[keys["key"] == "hold_score"][["value", "default"]].to_numpy().tolist() == [["0.77", "0.9"]]
    assert not {"Apply another", "Roll back"} & {button.label for button in app.button}
