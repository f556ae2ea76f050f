"""The jobs: recorded, caught up once, never stopped by a failure."""

import threading
from datetime import datetime, timedelta

import pytest

from analytics.jobs import Job, Jobs
from analytics.rollups import expire
from relay.clock import SystemClock
from tests.analytics.conftest import Room
from tests.analytics.records import START, Story
from tests.builders import until

CLOCK = SystemClock()


def state(room: Room, name: str) -> dict[str, object]:
    (row,) = room.warehouse.table("SELECT * FROM job WHERE job = $name", name=name).to_pylist()
    return dict(row)


def remember(room: Room, name: str, last_success_at: datetime) -> None:
    row = [name, last_success_at, 0, "ok", "", last_success_at, None]
    room.warehouse.write(lambda c: c.execute("INSERT INTO job VALUES (?, ?, ?, ?, ?, ?, ?)", row)).result()


def test_failure_is_recorded_and_the_schedule_goes_on(room: Room) -> None:
    runs = []

    def fail_once() -> str:
        runs.append(1)
        if len(runs) == 1:
            raise OSError("no room")
        return "did it"

    jobs = Jobs(room.warehouse, CLOCK, [Job("sweep", 0.1, fail_once)])
    jobs.start()
    until(lambda: room.value("SELECT count(*) FROM job_run") >= 2, 10, lambda: "it did not run twice")
    jobs.close()

    history = room.rows("SELECT status, error, detail FROM job_run ORDER BY started_at LIMIT 2")
    assert history == [("failed", "no room", ""), ("ok", "", "did it")]
    assert state(room, "sweep")["last_status"] == "ok"


def test_failure_keeps_the_last_success(room: Room) -> None:
    before = CLOCK.now() - timedelta(hours=1)
    remember(room, "sweep", before)
    jobs = Jobs(room.warehouse, CLOCK, [])

    def fail() -> str:
        raise ValueError("no")

    jobs.run(Job("sweep", 60, fail))

    assert state(room, "sweep")["last_success_at"] == before
    assert state(room, "sweep")["last_status"] == "failed"


def test_overdue_job_runs_at_once_after_a_restart_and_another_waits(room: Room) -> None:
    ran = {"overdue": threading.Event(), "fresh": threading.Event(), "new": threading.Event()}

    def action(name: str) -> str:
        ran[name].set()
        return "ran"

    remember(room, "overdue", CLOCK.now() - timedelta(days=3))
    remember(room, "fresh", CLOCK.now() - timedelta(minutes=1))
    jobs = Jobs(room.warehouse, CLOCK, [Job(name, 3600, lambda name=name: action(name)) for name in ran])

    jobs.start()

    assert ran["overdue"].wait(10)
    assert ran["new"].wait(10)
    jobs.close()
    assert not ran["fresh"].is_set()


def test_idle_runs_leave_no_history(room: Room) -> None:
    jobs = Jobs(room.warehouse, CLOCK, [])

    for _ in range(3):
        jobs.run(Job("look", 1, lambda: ""))

    assert room.value("SELECT count(*) FROM job_run") == 0
    assert state(room, "look")["last_status"] == "ok"


def test_job_never_overlaps_itself(room: Room) -> None:
    running, worst, runs = [0], [0], [0]

    def slow() -> str:
        running[0] += 1
        worst[0] = max(worst[0], running[0])
        threading.Event().wait(0.15)
        running[0] -= 1
        runs[0] += 1
        return ""

    jobs = Jobs(room.warehouse, CLOCK, [Job("slow", 0.05, slow)])
    jobs.start()
    until(lambda: runs[0] >= 3, 10, lambda: "it did not run")
    jobs.close()

    assert worst == [1]


@pytest.mark.parametrize(("age_days", "left"), [(91, 0), (89, 1)])
def test_messages_older_than_the_retention_are_deleted_and_their_rollup_stays(
    room: Room, age_days: int, left: int
) -> None:
    story = Story()
    room.bring(story.reception(1), story.delivery(1))

    expire(room.warehouse, START + timedelta(days=age_days), 90)

    assert room.value("SELECT count(*) FROM message") == left
    assert room.value("SELECT count(*) FROM recipient") == left
    assert room.value("SELECT sum(accepted)::BIGINT FROM rollup_minute") == 1


def test_close_waits_for_the_running_job_and_lets_no_other_begin(room: Room) -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert may_end.wait(10)
        ended.set()
        return "done"

    jobs = Jobs(room.warehouse, CLOCK, [Job("slow", 0.05, slow)])
    jobs.start()
    assert begun.wait(10)
    closing = threading.Thread(target=jobs.close)
    closing.start()
    assert not ended.is_set()
    may_end.set()
    closing.join(10)

    assert not closing.is_alive()
    assert room.rows("SELECT status, detail FROM job_run") == [("ok", "done")]
