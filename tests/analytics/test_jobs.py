"""The jobs: recorded, caught up once, never stopped by a failure."""

import threading
from datetime import datetime, timedelta

import pytest

from analytics.ingesting.rollups import expire
from analytics.jobs import Job, JobRuns, Jobs, NoSuchJob, retry_seconds
from relay.clock import SteppedClock, SystemClock
from tests.analytics.conftest import Room
from tests.analytics.records import START, Story
from tests.builders import until

CLOCK = SystemClock()


def state(room: Room, name: str) -> dict[str, object]:
    (row,) = room.warehouse.table("SELECT * FROM job WHERE job = $name", name=name).to_pylist()
    return dict(row)


def remember(room: Room, name: str, last_success_at: datetime) -> None:
    row = [name, last_success_at, 0, "ok", "", last_success_at, None, 0, 60]
    room.warehouse.write(lambda c: c.execute("INSERT INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)).result()


def test_failure_is_recorded_and_the_schedule_goes_on(room: Room) -> None:
    runs = []

    def fail_once() -> str:
        runs.append(1)
        if len(runs) == 1:
            raise OSError("no room")
        return "did it"

    jobs = Jobs(room.warehouse, CLOCK, [Job("sweep", 0.1, fail_once)])
    jobs.start()
    until(lambda: room.value("SELECT count(*) FROM job_run") >= 2, 30, lambda: "it did not run twice")
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


def test_failing_job_is_repeated_soon_and_not_after_its_period(room: Room) -> None:
    runs: list[str] = []

    def fail_twice() -> str:
        runs.append("run")
        if len(runs) <= 2:
            raise OSError("no room")
        return "did it"

    jobs = Jobs(room.warehouse, CLOCK, [Job("quick", 0.1, fail_twice)])
    jobs.start()
    until(lambda: len(runs) >= 3, 30, lambda: "it was not repeated")
    until(lambda: state(room, "quick")["last_status"] == "ok", 30, lambda: "it did not recover")
    jobs.close()

    assert state(room, "quick")["failures"] == 0
    assert [retry_seconds(86_400, failures) for failures in (1, 2, 3, 20)] == [60, 120, 240, 3600]
    assert [retry_seconds(0.5, failures) for failures in (1, 2, 20)] == [0.5, 1, 60]
    assert retry_seconds(300, 4) == 300  # never rarer than its period


def test_failure_of_a_nightly_job_moves_its_next_run_to_a_minute_from_now(room: Room) -> None:
    failed = threading.Event()

    def fail() -> str:
        failed.set()
        raise OSError("no room")

    jobs = Jobs(room.warehouse, CLOCK, [Job("nightly", 86_400, fail)])
    jobs.start()
    assert failed.wait(10)
    until(lambda: room.value("SELECT count(*) FROM job") == 1, 30, lambda: "it was not recorded")
    jobs.close()

    row = state(room, "nightly")
    assert row["failures"] == 1
    assert isinstance(row["next_run_at"], datetime)
    assert row["next_run_at"] - CLOCK.now() < timedelta(seconds=61)


def test_alarm_is_raised_from_the_second_failure_on_once_a_day(room: Room) -> None:
    clock, alarms, broken = SteppedClock(START), [], [True]

    def work() -> str:
        if broken[0]:
            raise OSError("no room")
        return "did it"

    job = Job("sweep", 3600, work)
    jobs = Jobs(room.warehouse, clock, [job], lambda *alarm: alarms.append(alarm))
    counts = []
    for hours in (0, 1, 1, 1, 24):
        clock.advance(hours * 3600)
        jobs.run(job)
        counts.append(len(alarms))
    broken[0] = False
    jobs.run(job)
    broken[0] = True
    jobs.run(job)

    assert counts == [0, 1, 1, 1, 2]
    assert len(alarms) == 2
    assert alarms[0] == ("job_failed", "job sweep failed 2 times in a row: no room", {"job": "sweep", "failures": 2})


def test_failures_in_a_row_survive_a_restart(room: Room) -> None:
    def fail() -> str:
        raise OSError("no room")

    job = Job("sweep", 3600, fail)
    Jobs(room.warehouse, CLOCK, [job]).run(job)
    alarms: list[object] = []

    Jobs(room.warehouse, CLOCK, [job], lambda *alarm: alarms.append(alarm)).run(job)

    assert (state(room, "sweep")["failures"], len(alarms)) == (2, 1)


def test_job_runs_when_somebody_asks_unless_it_runs_already(room: Room) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert may_end.wait(10)
        return "done"

    jobs = Jobs(room.warehouse, CLOCK, [Job("slow", 3600, slow)])
    answers: list[tuple[str, str]] = []
    asking = threading.Thread(target=lambda: answers.append(jobs.run_now("slow")))
    asking.start()
    assert begun.wait(10)
    with pytest.raises(JobRuns, match="slow runs at this moment"):
        jobs.run_now("slow")
    may_end.set()
    asking.join(10)

    assert answers == [("", "done")]
    with pytest.raises(NoSuchJob, match="there are: slow"):
        jobs.run_now("fast")


def test_hurried_job_runs_at_once_and_once_more_when_it_was_running(room: Room) -> None:
    remember(room, "look", CLOCK.now())  # by itself it would run in an hour
    begun, may_end = threading.Semaphore(0), threading.Semaphore(0)

    def slow() -> str:
        begun.release()
        assert may_end.acquire(timeout=10)
        return "done"

    jobs = Jobs(room.warehouse, CLOCK, [Job("look", 3600, slow)])
    jobs.start()

    jobs.hurry("look")
    assert begun.acquire(timeout=10)
    for _ in range(3):
        jobs.hurry("look")
    may_end.release(2)

    assert begun.acquire(timeout=10)
    until(lambda: room.value("SELECT count(*) FROM job_run") == 2, 30)
    jobs.close()
    jobs.hurry("look")
    assert not begun.acquire(blocking=False)


def test_job_that_waits_after_a_failure_is_not_hurried(room: Room) -> None:
    remember(room, "look", CLOCK.now())
    runs: list[str] = []

    def fail() -> str:
        runs.append("run")
        raise OSError("no room")

    jobs = Jobs(room.warehouse, CLOCK, [Job("look", 3600, fail)])
    jobs.start()
    jobs.hurry("look")
    until(lambda: room.value("SELECT count(*) FROM job_run") == 1, 30)

    jobs.hurry("look")
    jobs.close()

    assert runs == ["run"]
    assert state(room, "look")["failures"] == 1


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
    until(lambda: runs[0] >= 3, 30, lambda: "it did not run")
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


def test_the_next_run_of_a_job_that_began_late_lies_ahead(room: Room) -> None:
    late = SteppedClock(CLOCK.now() + timedelta(hours=1))  # a busy machine: its thread waited that long
    jobs = Jobs(room.warehouse, late, [Job("sweep", 60, lambda: "did it")])
    jobs.start()
    jobs.run_now("sweep")
    jobs.close()

    assert state(room, "sweep")["next_run_at"] == late.now() + timedelta(seconds=60)
