"""The analytics process: wires warehouse, jobs and query API together, and stops them in order."""

import asyncio
import contextlib
import itertools
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from analytics.backup.doors import BackupDoors
from analytics.backup.standstill import Standstill
from analytics.complaints import Complaints
from analytics.inbox.jobs import InboxRoom, inbox_room
from analytics.ingesting import rollups
from analytics.ingesting.ingest import Ingest
from analytics.ingesting.journals import JournalFolder
from analytics.ingesting.watching import JournalWatch
from analytics.jobs import Job, Jobs
from analytics.learning.retraining import Retraining
from analytics.learning.words import WordStore
from analytics.listings.jobs import listing_jobs
from analytics.policies import POLICY_SECONDS, policy_job
from analytics.privacy.doors import PrivacyDoors
from analytics.privacy.forgetting import Forgetting
from analytics.privacy.purging import Purging
from analytics.reports.feeds import Feeds
from analytics.reports.job import feed_job
from analytics.reputation.jobs import reputation_jobs
from analytics.serving.service import Doors, QueryApi
from analytics.serving.sessions import Sessions
from analytics.usage.door import UsageDoor
from analytics.warehouse import Warehouse
from analytics.webhooks.caller import Caller
from relay.backup.mark import refuse_half
from relay.clock import Clock, SystemClock
from relay.control import tokens
from relay.control.client import ControlClient, base_url
from relay.control.serving import serve
from relay.events import AlarmRaised
from relay.policy.decisions.decision import Evidence
from relay.running.ports import taken
from relay.running.ready import tell_ready
from relay.settings import Settings, SettingsError, split_listen
from relay.spool.journal import Journal

_log = logging.getLogger("mailweir.analytics")

ROLLUP_SECONDS = 60.0
WORDS_SECONDS = 60.0
RETRAINING_SECONDS = 600.0
_NIGHT = 86_400.0
_RELAY_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a started process."""

    warehouse: Warehouse
    ingest: Ingest
    jobs: Jobs
    api: QueryApi


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; return the exit code. Raises WarehouseError, SettingsError, OSError at start."""
    host, port = split_listen(settings.analytics.listen)
    if conflict := taken(settings.analytics.listen):
        raise SettingsError(f"analytics.listen: {conflict}; stop it, or listen elsewhere")
    with started(settings, SystemClock()) as running:
        asyncio.run(_serve(running, host, port))
    _log.info("stopped")
    return 0


@contextlib.contextmanager
def started(settings: Settings, clock: Clock) -> Iterator[Running]:
    """Open everything, run the jobs, and close it all at the end, whatever happened."""
    refuse_half(settings.dir)
    tokens.ensure_tokens(settings.dir)
    folder = JournalFolder(settings.journal_dir)
    with contextlib.ExitStack() as stack:
        warehouse = Warehouse.open(settings.dir / "warehouse.duckdb", settings.journal_dir)
        stack.callback(warehouse.close)
        journal = Journal(settings.journal_dir, "analytics", settings.node.name, clock)
        journal.start()
        stack.callback(journal.close)
        ingest = Ingest(warehouse, folder, settings.policy)
        standstill = Standstill(warehouse, ingest.turn)
        stack.callback(standstill.close)
        complaints = Complaints(warehouse, journal, clock, lambda: _relay(settings))

        def behind() -> int:
            return len(folder.closed())

        def raise_alarm(condition: str, text: str, evidence: Evidence) -> None:
            alarm = AlarmRaised(**journal.stamp(), condition=condition, account="", text=text, evidence=evidence)
            journal.append(alarm)

        caller = Caller(warehouse, journal, clock, settings.webhooks, lambda: _relay(settings))
        caller.start()
        stack.callback(caller.close)
        feeds = Feeds(warehouse, settings.dir / "feeds", clock)
        inbox = inbox_room(settings, warehouse, journal, clock, feeds, lambda: _relay(settings))

        def on_ingested() -> None:
            caller.wake()
            inbox.wake()
            jobs.hurry("inbox")

        work = _jobs(settings, warehouse, ingest, journal, clock, on_ingested)
        work += inbox.jobs
        work += reputation_jobs(settings, warehouse, clock, lambda: _relay(settings))
        work += listing_jobs(settings.dnsbl, warehouse, journal, clock, raise_alarm, lambda: _relay(settings))
        work.append(feed_job(feeds, lambda: _relay(settings), raise_alarm, settings.analytics.feed_days))
        jobs = Jobs(warehouse, clock, work, raise_alarm)
        keeping = PrivacyDoors(
            Forgetting(warehouse, ingest, folder, settings.dir),
            Purging(warehouse, ingest, folder, partial(_old_files, folder)),
            clock,
        )
        more = [*inbox.doors, *BackupDoors(standstill).table(), *keeping.table()]
        more += UsageDoor(warehouse, clock).table()
        sessions = _sessions(settings)
        doors = Doors(complaints, feeds, jobs.run_now, sessions.note_job, sessions.principal_of, more)
        api = QueryApi(warehouse, tokens.load(settings.dir), clock, behind, doors)
        stack.callback(api.close)
        jobs.start()
        stack.callback(jobs.close)

        stack.enter_context(_watched(folder, inbox, jobs))
        _log.info("started warehouse=%s behind_files=%d", warehouse.path, behind())
        yield Running(warehouse, ingest, jobs, api)


@contextlib.contextmanager
def _watched(folder: JournalFolder, inbox: InboxRoom, jobs: Jobs) -> Iterator[None]:
    """Bounces are read, and all is ingested, as soon as a journal file is complete."""

    def appeared(files: Sequence[Path]) -> None:
        if inbox.hear(files):
            jobs.hurry("inbox")

    watch = JournalWatch(folder, appeared, partial(jobs.hurry, "ingest"))
    watch.start()
    try:
        yield
    finally:
        watch.close()


def _jobs(
    settings: Settings,
    warehouse: Warehouse,
    ingest: Ingest,
    journal: Journal,
    clock: Clock,
    on_ingested: Callable[[], None],
) -> list[Job]:
    def merge() -> str:
        saved = rollups.merge(warehouse)
        return f"{saved} rows merged" if saved else ""

    def retention() -> str:
        now, days = clock.now(), settings.analytics.retention_days
        rows, files = rollups.expire(warehouse, now, days), _old_files(JournalFolder(settings.journal_dir), now, days)
        for path in files:
            path.unlink(missing_ok=True)  # `purge` may have been quicker
        return f"{rows} rows, {len(files)} files deleted"

    words = WordStore(settings.dir / "words")

    def gather() -> str:
        brought = words.take_in()
        return f"{brought} messages" if brought else ""

    def keep_words() -> str:
        today, known = clock.now().date(), warehouse.table("SELECT message_id FROM label_known")
        days = settings.analytics.words_days, settings.analytics.labelled_words_days
        merged = words.compact(today)
        return f"{merged} days, {words.expire(today, *days, known.column('message_id').to_pylist())} files changed"

    retraining = Retraining(settings, warehouse, journal, clock, lambda: _relay(settings))
    return [
        Job("retraining", RETRAINING_SECONDS, retraining.run),
        Job("words", WORDS_SECONDS, gather),
        Job("words_retention", _NIGHT, keep_words),
        Job("policy", POLICY_SECONDS, policy_job(ingest, lambda: _relay(settings))),
        Job("ingest", settings.analytics.ingest_seconds, _ingesting(ingest, on_ingested)),
        Job("rollups", ROLLUP_SECONDS, merge),
        Job("retention", _NIGHT, retention),
    ]


def _sessions(settings: Settings) -> Sessions:
    url = base_url(settings.control.listen)
    return Sessions(lambda token: ControlClient(url, token, timeout_seconds=_RELAY_TIMEOUT_SECONDS))


def _ingesting(ingest: Ingest, on_ingested: Callable[[], None]) -> Callable[[], str]:
    """The job that ingests; on_ingested hears of each run that brought something, and of the first."""
    first = itertools.chain([True], itertools.repeat(False))

    def look() -> str:
        found = ingest.run()
        if next(first) or found.files:
            on_ingested()
        return f"{found.files} files, {found.rows} rows, {len(found.corrupt)} corrupt" if found.files else ""

    return look


def _relay(settings: Settings) -> ControlClient:
    return ControlClient.of(settings, "analytics", timeout_seconds=_RELAY_TIMEOUT_SECONDS)


def _old_files(folder: JournalFolder, now: datetime, days: int) -> list[Path]:
    """Archive and set-aside files as old as the rows that are deleted."""
    return [
        path
        for path in (*folder.archived(), *folder.aside.glob("*.jsonl"))
        if (now - datetime.fromtimestamp(path.stat().st_mtime, UTC)).days >= days
    ]


async def _serve(running: Running, host: str, port: int) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve(running.api.app(), host, port) as opened:
        _log.info("listening address=%s port=%d", host, opened)
        tell_ready()
        warming = asyncio.create_task(running.api.warm())
        await stop.wait()
        warming.cancel()
