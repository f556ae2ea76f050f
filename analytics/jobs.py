"""The jobs that run by themselves, and what is known of their runs. APScheduler keeps them in memory; what must survive
a restart, the last success, stands in the table `job`: what is overdue then runs at once.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from analytics.warehouse import Connection, Warehouse, transaction
from relay.clock import Clock

_log = logging.getLogger("mailweir.jobs")

# Idle runs of a job that runs twice a second are not worth a row each.
_IDLE_RECORD_SECONDS = 15.0

_JOB = """
INSERT OR REPLACE INTO job
SELECT $job, $started_at, $seconds, $status, $error,
       CASE $status WHEN 'ok' THEN $started_at ELSE (SELECT last_success_at FROM job WHERE job = $job) END,
       $next_run_at
"""
_JOB_RUN = "INSERT INTO job_run VALUES ($job, $started_at, $seconds, $status, $error, $detail)"


@dataclass(frozen=True, slots=True)
class Job:
    """`action` says what it did, "" for nothing; `jitter_seconds`: a run may come later by so much."""

    name: str
    every_seconds: float
    action: Callable[[], str]
    jitter_seconds: float = 0.0


class Jobs:
    """Runs jobs until closed; a job never runs twice at the same time, and missed runs are caught up once."""

    def __init__(self, warehouse: Warehouse, clock: Clock, jobs: Sequence[Job]) -> None:
        self._warehouse, self._clock, self._jobs = warehouse, clock, jobs
        self._recorded: dict[str, float] = {}
        self._idle = threading.Condition()  # guards the two below
        self._running, self._is_closed = 0, False
        # Its warnings say that a run was skipped because the last one still runs: here the plan, not a fault.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(
            timezone="UTC", executors={"default": ThreadPoolExecutor(max(2, len(jobs)))}
        )

    def start(self) -> None:
        last = self._last_successes()
        for job in self._jobs:
            self._scheduler.add_job(
                self.run,
                IntervalTrigger(seconds=job.every_seconds, timezone="UTC", jitter=job.jitter_seconds or None),
                args=[job],
                id=job.name,
                next_run_time=self._first_run(job, last.get(job.name)),
                coalesce=True,
                max_instances=1,
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
            self._idle.wait_for(lambda: self._running == 0)

    def run(self, job: Job) -> None:
        """Run a job now and record how it went; it may fail, the schedule goes on. Does nothing once closed."""
        with self._idle:
            if self._is_closed:
                return
            self._running += 1
        try:
            self._run(job)
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def _run(self, job: Job) -> None:
        started_at, began = self._clock.now(), time.perf_counter()
        error = detail = ""
        try:
            detail = job.action()
        except Exception as failure:  # the loop of all jobs: one that fails must not end its schedule
            error = str(failure) or type(failure).__name__
            known = type(failure).__module__.startswith(("analytics", "relay"))
            _log.error("job failed job=%s error=%s", job.name, error, exc_info=None if known else failure)
        self._record(job, started_at, time.perf_counter() - began, error, detail)

    def _record(self, job: Job, started_at: datetime, seconds: float, error: str, detail: str) -> None:
        idle = not error and not detail
        now = time.monotonic()
        if idle and now - self._recorded.get(job.name, -_IDLE_RECORD_SECONDS) < _IDLE_RECORD_SECONDS:
            return
        self._recorded[job.name] = -_IDLE_RECORD_SECONDS if error else now
        scheduled = self._scheduler.get_job(job.name)
        run = {
            "job": job.name,
            "started_at": started_at,
            "seconds": seconds,
            "status": "failed" if error else "ok",
            "error": error[:1000],
        }
        next_run_at = scheduled.next_run_time if scheduled else None

        def write(connection: Connection) -> None:
            with transaction(connection):
                connection.execute(_JOB, run | {"next_run_at": next_run_at})
                if not idle:
                    connection.execute(_JOB_RUN, run | {"detail": detail[:1000]})

        self._warehouse.write(write).result()

    def _last_successes(self) -> dict[str, datetime]:
        rows = self._warehouse.table("SELECT job, last_success_at FROM job").to_pylist()
        return {row["job"]: row["last_success_at"] for row in rows if row["last_success_at"]}

    def _first_run(self, job: Job, last: datetime | None) -> datetime:
        now = self._clock.now()
        due = last + timedelta(seconds=job.every_seconds) if last else now
        return min(max(now, due), now + timedelta(seconds=job.every_seconds))
