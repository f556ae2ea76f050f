"""The jobs that run by themselves, and what is known of their runs. APScheduler keeps them in memory; what must survive
a restart, the last success, stands in the table `job`: what is overdue then runs at once, and once.

A job that fails is repeated with growing waits, and from its second failure in a row on an alarm says so, daily.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from analytics.warehouse import Connection, Warehouse, transaction
from relay.clock import Clock
from relay.policy.decisions.decision import Evidence

_log = logging.getLogger("mailweir.jobs")

# Idle runs of a job that runs twice a second are not worth a row each.
_IDLE_RECORD_SECONDS = 15.0

# After a failure a job waits at most this long, or its own period where that is shorter; quick jobs a minute.
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 60.0, 3_600.0
_ALARM_FROM = 2  # failures in a row: a single one is a restarting relay
_ALARM_EVERY = timedelta(days=1)

_JOB = """
INSERT OR REPLACE INTO job BY NAME
SELECT $job AS job,
       $started_at AS last_started_at,
       $seconds AS last_seconds,
       $status AS last_status,
       $error AS last_error,
       CASE $status WHEN 'ok' THEN $started_at ELSE (SELECT last_success_at FROM job WHERE job = $job) END
           AS last_success_at,
       $next_run_at AS next_run_at,
       $failures AS failures,
       $every_seconds AS every_seconds
"""
_KNOWN = "SELECT job, last_success_at, failures FROM job"
_JOB_RUN = "INSERT INTO job_run VALUES ($job, $started_at, $seconds, $status, $error, $detail)"

RaiseAlarm = Callable[[str, str, Evidence], None]


@dataclass(frozen=True, slots=True)
class Job:
    """`action` says what it did, "" for nothing; `jitter_seconds`: a run may come later by so much."""

    name: str
    every_seconds: float
    action: Callable[[], str]
    jitter_seconds: float = 0.0


class NoSuchJob(Exception):
    """There is no job of this name; the text names those there are."""


class JobRuns(Exception):
    """The job runs at this moment."""


class Jobs:
    """Runs jobs until closed; a job never runs twice at the same time, and missed runs are caught up once.

    `raise_alarm` takes condition, text and evidence.
    """

    def __init__(
        self, warehouse: Warehouse, clock: Clock, jobs: Sequence[Job], raise_alarm: RaiseAlarm | None = None
    ) -> None:
        self._warehouse, self._clock, self._jobs = warehouse, clock, jobs
        self._raise_alarm = raise_alarm
        self._recorded: dict[str, float] = {}
        self._alarmed: dict[str, datetime] = {}
        self._idle = threading.Condition()  # guards the four below
        self._running: set[str] = set()
        self._again: set[str] = set()  # they run, and must once more
        self._is_closed = False
        self._failures = {row["job"]: row["failures"] for row in self._known()}
        # Its warnings say that a run was skipped because the last one still runs: here the plan, not a fault.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(
            timezone="UTC", executors={"default": ThreadPoolExecutor(max(2, len(jobs)))}
        )

    def start(self) -> None:
        last = {row["job"]: row["last_success_at"] for row in self._known()}
        for job in self._jobs:
            self._scheduler.add_job(
                self.run,
                IntervalTrigger(seconds=job.every_seconds, timezone="UTC", jitter=job.jitter_seconds or None),
                args=[job],
                id=job.name,
                next_run_time=self._first_run(job, last.get(job.name)),
                coalesce=True,
                max_instances=2,  # `run` sees to it that one works; another comes before the scheduler knows it ended
                misfire_grace_time=None,
            )
        self._scheduler.start()

    def close(self) -> None:
        """Let running jobs finish, start no other."""
        if self._scheduler.running:
            # Not wait=True: it waits with its lock held, for a job that asks it for its next run.
            self._scheduler.shutdown(wait=False)
        with self._idle:
            self._is_closed = True
            self._idle.wait_for(lambda: not self._running)

    def run(self, job: Job) -> None:
        """Run a job now and record how it went; it may fail, the schedule goes on.

        Does nothing once closed, or while the job runs because somebody asked for it.
        """
        if self._may_begin(job.name):
            self._run_alone(job)

    def hurry(self, name: str) -> None:
        """Have a job run at once instead of at its time; once more when it runs. Not while it waits after a failure."""
        with self._idle:
            if self._is_closed or self._failures.get(name):
                return
            if name in self._running:
                self._again.add(name)
                return
        self._set_due(name)

    def run_now(self, name: str) -> tuple[str, str]:
        """Run a job because somebody asks; return its error, "" for none, and what it did.

        Raises NoSuchJob; JobRuns while it runs, or when all is being stopped.
        """
        job = next((job for job in self._jobs if job.name == name), None)
        if job is None:
            raise NoSuchJob(f"there is no job {name!r}; there are: {', '.join(sorted(one.name for one in self._jobs))}")
        if not self._may_begin(name):
            raise JobRuns(f"job {name} runs at this moment; `mailweir jobs ls` says when it is done")
        return self._run_alone(job)

    def _may_begin(self, name: str) -> bool:
        with self._idle:
            if self._is_closed or name in self._running:
                return False
            self._running.add(name)
            return True

    def _run_alone(self, job: Job) -> tuple[str, str]:
        try:
            return self._run(job)
        finally:
            with self._idle:
                self._running.discard(job.name)
                is_again = job.name in self._again and not self._failures.get(job.name)
                self._again.discard(job.name)
                self._idle.notify_all()
            if is_again:
                self._set_due(job.name)

    def _set_due(self, name: str) -> None:
        with contextlib.suppress(JobLookupError):  # it was never planned, or all is being stopped
            self._scheduler.modify_job(name, next_run_time=self._clock.now())

    def _run(self, job: Job) -> tuple[str, str]:
        started_at, began = self._clock.now(), time.perf_counter()
        error = detail = ""
        try:
            detail = job.action()
        except Exception as failure:  # the loop of all jobs: one that fails must not end its schedule
            error = str(failure) or type(failure).__name__
            known = type(failure).__module__.startswith(("analytics", "relay"))
            _log.error("job failed job=%s error=%s", job.name, error, exc_info=None if known else failure)
        self._follow_up(job, error)
        self._record(job, started_at, time.perf_counter() - began, error, detail)
        return error, detail

    def _follow_up(self, job: Job, error: str) -> None:
        """After a failure: again soon, and an alarm when it is not the first."""
        if not error:
            self._failures[job.name] = 0
            self._alarmed.pop(job.name, None)
            return
        failures = self._failures[job.name] = self._failures.get(job.name, 0) + 1
        now = self._clock.now()
        if self._scheduler.get_job(job.name):
            again_at = now + timedelta(seconds=retry_seconds(job.every_seconds, failures))
            self._scheduler.modify_job(job.name, next_run_time=again_at)
        last = self._alarmed.get(job.name)
        if self._raise_alarm and failures >= _ALARM_FROM and (last is None or now - last >= _ALARM_EVERY):
            self._alarmed[job.name] = now
            text = f"job {job.name} failed {failures} times in a row: {error[:300]}"
            self._raise_alarm("job_failed", text, {"job": job.name, "failures": failures})

    def _record(self, job: Job, started_at: datetime, seconds: float, error: str, detail: str) -> None:
        idle = not error and not detail
        now = time.monotonic()
        if idle and now - self._recorded.get(job.name, -_IDLE_RECORD_SECONDS) < _IDLE_RECORD_SECONDS:
            return
        self._recorded[job.name] = -_IDLE_RECORD_SECONDS if error else now
        run = {
            "job": job.name,
            "started_at": started_at,
            "seconds": seconds,
            "status": "failed" if error else "ok",
            "error": error[:1000],
        }
        plan = {
            "next_run_at": self._next_run(job, started_at),
            "failures": self._failures[job.name],
            "every_seconds": job.every_seconds,
        }

        def write(connection: Connection) -> None:
            with transaction(connection):
                connection.execute(_JOB, run | plan)
                if not idle:
                    connection.execute(_JOB_RUN, run | {"detail": detail[:1000]})

        self._warehouse.write(write).result()

    def _next_run(self, job: Job, started_at: datetime) -> datetime | None:
        scheduled = self._scheduler.get_job(job.name)
        planned: datetime | None = scheduled.next_run_time if scheduled else None
        if planned is None or planned > started_at:
            return planned
        return started_at + timedelta(seconds=job.every_seconds)  # it began later than that

    def _known(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._warehouse.table(_KNOWN).to_pylist()
        return rows

    def _first_run(self, job: Job, last: datetime | None) -> datetime:
        now = self._clock.now()
        due = last + timedelta(seconds=job.every_seconds) if last else now
        return min(max(now, due), now + timedelta(seconds=job.every_seconds))


def retry_seconds(every_seconds: float, failures: int) -> float:
    """How long a job waits after so many failures in a row: doubling, to an hour; a quick job at most a minute.

    >>> [retry_seconds(86_400, failures) for failures in (1, 2, 3, 9)]
    [60.0, 120.0, 240.0, 3600.0]
    >>> [retry_seconds(0.5, failures) for failures in (1, 2, 9)]
    [0.5, 1.0, 60.0]
    """
    longest = min(max(every_seconds, _FIRST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS)
    return float(min(min(every_seconds, _FIRST_WAIT_SECONDS) * 2 ** min(failures - 1, 30), longest))
