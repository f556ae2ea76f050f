"""The jobs and doors of this room, wired for one process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analytics.inbox.cases import Cases
from analytics.inbox.doors import InboxDoors
from analytics.inbox.imap import fetch_job
from analytics.inbox.intake import Intake
from analytics.inbox.reading import EVERY_SECONDS, InboxReading
from analytics.jobs import Job
from analytics.reports.feeds import Feeds
from analytics.serving.doors import Answer
from analytics.warehouse import Warehouse
from relay.clock import Clock
from relay.control.client import ControlClient
from relay.settings import Settings
from relay.spool.journal import Journal

_NIGHT = 86_400.0


@dataclass(frozen=True, slots=True)
class InboxRoom:
    """`wake`: something was ingested. `hear`: of new journal files; it says whether the job `inbox` has work by them.

    `doors`: method, path, answer of the query API.
    """

    jobs: list[Job]
    doors: Sequence[tuple[str, str, Answer]]
    wake: Callable[[], None]
    hear: Callable[[Sequence[Path]], bool]


def inbox_room(
    settings: Settings,
    warehouse: Warehouse,
    journal: Journal,
    clock: Clock,
    feeds: Feeds,
    relay: Callable[[], ControlClient],
) -> InboxRoom:
    reading = InboxReading(settings.dir, warehouse, journal, clock, feeds, relay, settings.sandbox.domain)
    intake = Intake(settings.dir, warehouse, journal, clock)

    def sweep() -> str:
        removed = intake.sweep(max(settings.inbox.keep_days, 1))
        return f"{removed} imported mails removed" if removed else ""

    jobs = [Job("inbox", EVERY_SECONDS, reading.run), Job("inbox_retention", _NIGHT, sweep)]
    if settings.imap.host:
        jobs.append(fetch_job(settings.imap, intake))
    doors = InboxDoors(intake, Cases(settings.dir, warehouse, journal)).table()
    return InboxRoom(jobs, doors, reading.wake, reading.hear)
