"""The memory of last good answers, with a service that is told what to do."""

import pandas as pd

from analytics.client import AnalyticsDown, QueryError
from dashboard.data import Memory


class Service:
    """Answers a number that grows, or fails."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    def __call__(self) -> int:
        self.asked += 1
        if self.error:
            raise self.error
        return self.asked


def test_readers_share_an_answer_for_a_few_seconds() -> None:
    memory, service = Memory(), Service()

    first, second = (memory.read("s", ("s", 1), service, 0, fresh_seconds=60) for _ in range(2))

    assert service.asked == 1
    assert first == second
    assert first.is_fresh


def test_the_last_good_answer_stays_when_the_service_is_down() -> None:
    memory, service = Memory(), Service()
    good = memory.read("s", ("s", 1), service, 0, fresh_seconds=0)
    service.error = AnalyticsDown(503, "gone")

    stale = memory.read("s", ("s", 1), service, 0, fresh_seconds=0)

    assert (good.value, good.as_of) == (stale.value, stale.as_of)
    assert stale.is_down
    assert stale.trouble == "gone"


def test_a_service_that_is_down_is_asked_once_not_by_each_question() -> None:
    memory, service = Memory(), Service()
    service.error = AnalyticsDown(503, "gone")

    readings = [memory.read("s", ("s", number), service, 0) for number in range(6)]

    assert service.asked == 1
    assert all(reading.is_down and reading.as_of is None for reading in readings)


def test_a_refused_question_does_not_keep_the_others_from_being_asked() -> None:
    memory, bad, good = Memory(), Service(), Service()
    bad.error = QueryError(400, "no such thing")

    refused = memory.read("s", ("s", 1), bad, 0)
    answered = memory.read("s", ("s", 2), good, 0)

    assert not refused.is_fresh
    assert not refused.is_down
    assert answered.is_fresh


def test_after_a_change_the_next_reading_asks_again() -> None:
    memory, service, other = Memory(), Service(), Service()
    memory.read("s", ("s", 1), service, 0, fresh_seconds=60)
    memory.read("o", ("o", 1), other, 0, fresh_seconds=60)

    memory.forget("s")

    assert memory.read("s", ("s", 1), service, 0, fresh_seconds=60).value == 2
    assert memory.read("o", ("o", 1), other, 0, fresh_seconds=60).value == 1


def test_an_answer_that_is_given_again_is_as_old_as_analytics_says() -> None:
    frame = pd.DataFrame({"n": [1]})
    frame.attrs["age_seconds"] = 20

    reading = Memory().read("analytics", ("analytics", "old"), lambda: frame, pd.DataFrame())
    fresh = Memory().read("analytics", ("analytics", "new"), lambda: pd.DataFrame({"n": [1]}), pd.DataFrame())

    assert reading.as_of is not None
    assert fresh.as_of is not None
    assert 19 < (fresh.as_of - reading.as_of).total_seconds() < 25
