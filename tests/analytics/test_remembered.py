"""The same question of many askers: asked once, given again while it stands, ended when nobody waits any more."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from analytics.queries.named import QUERIES
from analytics.serving.ask import GivenUp, Stop
from analytics.serving.remembered import Asked, Remembered, kept_seconds
from analytics.serving.warming import first_questions
from dashboard.data import WINDOWS


class Room:
    """A question that waits until it is let go, counted; time that is set by hand."""

    def __init__(self) -> None:
        self.now, self.begun, self.took = 0.0, 0, 0.0
        self.go, self.stops = threading.Event(), [Stop()]
        self.dear: list[bool] = []
        self._pool = ThreadPoolExecutor(4)
        self.remembered = Remembered(self._begin, lambda: self.now)

    def asked(self, scope: str = "", span: float = 86_400.0) -> Asked:
        return Asked("tiles", ("tiles", scope), span, self._question)

    def of_window(self, since: float, span: float = 86_400.0) -> Asked:
        return Asked("tiles", ("tiles", since), span, self._question, "tiles", since)

    def _begin(self, question: Callable[[Stop], bytes], stop: Stop, is_dear: bool) -> "Future[bytes]":
        self.dear.append(is_dear)
        return self._pool.submit(question, stop)

    def _question(self, stop: Stop) -> bytes:
        self.begun += 1
        number = self.begun
        while not self.go.wait(0.01):
            if stop.is_set:
                raise GivenUp("given up")
        ends = time.thread_time() + self.took  # of its own: on a busy machine a while holds less work
        while time.thread_time() < ends:
            pass  # work: waiting alone costs nothing
        return str(number).encode()


async def never() -> None:
    await asyncio.Event().wait()


def run(work: Callable[[Room], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(Room()), 30))


def test_many_who_ask_at_once_share_one_answer_and_other_scopes_have_their_own() -> None:
    async def work(room: Room) -> None:
        tasks = [asyncio.ensure_future(room.remembered.answer(room.asked(), never)) for _ in range(10)]
        other = asyncio.ensure_future(room.remembered.answer(room.asked("acme"), never))
        await asyncio.sleep(0.05)
        room.go.set()

        assert {content for content, _ in await asyncio.gather(*tasks)} == {(await tasks[0])[0]}
        assert (await other)[0] != (await tasks[0])[0]
        assert room.begun == 2

    run(work)


def test_what_took_long_is_given_again_with_its_age_until_it_is_old() -> None:
    async def work(room: Room) -> None:
        room.go.set()
        room.took = 0.12
        await room.remembered.answer(room.asked("another"), never)  # a first time says nothing
        await asyncio.sleep(0.01)
        assert await room.remembered.answer(room.asked(), never) == (b"2", 0.0)
        await asyncio.sleep(0.01)
        room.now = 2.0
        assert await room.remembered.answer(room.asked(), never) == (b"2", 2.0)
        room.now = 11.0
        assert await room.remembered.answer(room.asked(), never) == (b"2", 11.0)  # once more, and is asked anew
        while room.begun < 3 or (await room.remembered.answer(room.asked(), never))[0] == b"2":
            await asyncio.sleep(0.01)
        assert await room.remembered.answer(room.asked(), never) == (b"3", 0.0)
        room.now += 100.0
        assert await room.remembered.answer(room.asked(), never) == (b"4", 0.0)  # too old to be given at all
        assert room.dear == [False, False, True, True]  # its like is known to be dear now

    run(work)


def test_what_is_quick_and_what_failed_is_asked_anew_each_time() -> None:
    async def work(room: Room) -> None:
        room.go.set()
        for number in (b"1", b"2"):
            assert (await room.remembered.answer(room.asked(), never))[0] == number
            await asyncio.sleep(0.01)

        def broken(_stop: Stop) -> bytes:
            raise ValueError("no")

        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                await room.remembered.answer(Asked("x", "x", 1, broken), never)

    run(work)


def test_a_question_goes_on_while_one_waits_and_ends_when_the_last_has_gone() -> None:
    async def work(room: Room) -> None:
        leaving = asyncio.Event()
        patient = asyncio.ensure_future(room.remembered.answer(room.asked(), leaving.wait))
        hasty = room.remembered.answer(room.asked(), lambda: asyncio.sleep(0.05))

        with pytest.raises(GivenUp):
            await hasty
        assert not patient.done()
        leaving.set()
        with pytest.raises(GivenUp):
            await patient

        room.go.set()
        assert (await room.remembered.answer(room.asked(), never))[0] == b"2"  # begun anew

    run(work)


@pytest.mark.parametrize("span", [60.0, 3_600.0, 86_400.0, 30 * 86_400.0])
def test_an_answer_stands_the_longer_the_more_it_took_and_never_over_half_a_minute(span: float) -> None:
    kept = [kept_seconds(took, span) for took in (0.01, 0.1, 0.5, 2.0, 10.0, 60.0)]

    assert kept == sorted(kept)
    assert kept[0] == 0
    assert kept[-1] <= 30


def test_a_window_that_has_just_moved_on_is_answered_by_the_one_before_until_its_own_is_there() -> None:
    async def work(room: Room) -> None:
        room.go.set()
        room.took = 0.2
        assert await room.remembered.answer(room.of_window(0.0), never) == (b"1", 0.0)
        await asyncio.sleep(0.01)
        room.now = 3.0
        room.go.clear()

        assert await room.remembered.answer(room.of_window(900.0), never) == (b"1", 3.0)  # at once
        assert await room.remembered.answer(room.of_window(900.0), never) == (b"1", 3.0)
        while room.begun < 2:
            await asyncio.sleep(0.01)  # asked anew behind it, once
        room.go.set()
        while (await room.remembered.answer(room.of_window(900.0), never))[0] == b"1":
            await asyncio.sleep(0.01)
        assert (await room.remembered.answer(room.of_window(900.0), never))[0] == b"2"
        assert room.begun == 2

    run(work)


def test_a_window_far_from_the_one_before_or_earlier_than_it_is_asked_at_once() -> None:
    async def work(room: Room) -> None:
        room.go.set()
        room.took = 0.2
        await room.remembered.answer(room.of_window(10_000.0), never)
        await asyncio.sleep(0.01)

        assert (await room.remembered.answer(room.of_window(12_000.0), never))[0] == b"2"
        assert (await room.remembered.answer(room.of_window(9_100.0), never))[0] == b"3"
        room.now = 200.0
        assert (await room.remembered.answer(room.of_window(12_900.0), never))[0] == b"4"  # the one before is old

    run(work)


def test_what_dashboards_ask_first_is_what_the_page_asks_by_name_and_parameter() -> None:
    now = datetime(2026, 11, 26, 12, 7, 31, tzinfo=UTC)
    for window, (_, given) in zip(("1h", "24h", "7d"), list(first_questions(now))[::4], strict=True):
        assert given == {"since": WINDOWS[window].since(now).isoformat()}
    for name, given in first_questions(now):
        assert given.keys() <= QUERIES[name].params.keys() | {"since"}
