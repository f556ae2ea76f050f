"""One person does not take all the threads that dear questions have."""

from contextlib import ExitStack

import pytest

from analytics.serving.answers import Refused
from analytics.serving.running import MOST_OF_ONE, Running


def test_a_person_waits_for_some_answers_at_once_and_others_are_not_concerned() -> None:
    running = Running()

    with ExitStack() as asked:
        for _ in range(MOST_OF_ONE):
            asked.enter_context(running.started("dana", ""))
        with pytest.raises(Refused) as refused, running.started("dana", "one more"):
            pass
        with running.started("eve", ""):
            pass

    assert refused.value.status == 429
    assert not running.stop("dana", "one more")
    with running.started("dana", ""):
        pass


def test_the_dashboard_as_which_many_people_ask_is_not_bound() -> None:
    with ExitStack() as asked:
        running = Running()
        for _ in range(3 * MOST_OF_ONE):
            asked.enter_context(running.started("dashboard", ""))
