"""Sets the stage: receivers, the demo's installation, relay, analytics and dashboard, customers that are logged in.

What is opened here is closed here, in the opposite order, whatever happens in between.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from analytics.client import QueryClient, QueryError
from analytics.simulation.customers import Customers, Entrance
from analytics.simulation.history import write_week
from analytics.simulation.installation import Installation, InstallOptions, install
from analytics.simulation.ledger import Ledger
from analytics.simulation.receivers import Grievance, Receivers
from analytics.simulation.samples import assess_samples
from analytics.simulation.teller import Teller
from analytics.simulation.world import EndSender, World
from relay.clock import Clock
from relay.control.client import ControlClient, base_url
from relay.running.supervisor import Supervisor, programs_of
from relay.settings import split_listen

_log = logging.getLogger("mailweir.simulation")

LIVE_RATE = 6.0  # messages a second, all customers together
_INGEST_SECONDS = 120.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StageOptions:
    """What to put up. `any_ports`: free ones instead of the defaults, so that a check runs beside a demo."""

    folder: Path
    reset: bool = False
    any_ports: bool = False
    with_dashboard: bool = True


@dataclass(slots=True)
class Stage:
    """Everything that runs, and the truth about it."""

    world: World
    clock: Clock
    ledger: Ledger
    made: Installation
    control: ControlClient
    queries: QueryClient
    customers: Customers
    victim: EndSender
    opened_at: datetime
    complaints: list[Grievance] = field(default_factory=list)

    @property
    def dashboard_url(self) -> str:
        return base_url(self.made.settings.dashboard.listen)


@asynccontextmanager
async def set_stage(options: StageOptions, world: World, clock: Clock, tell: Teller) -> AsyncIterator[Stage]:
    """Start everything; on the way out stop everything. Raises DemoError, StartFailed, AlreadyRunning, ModelError."""
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        complaints = _ComplaintDesk()
        receivers = Receivers(world, ledger, clock, complaints.take)
        stack.push_async_callback(receivers.close)
        await receivers.open()
        made = await _install(options, world, clock, receivers, tell)
        stack.callback(_log_to(made.settings.dir / "logs" / "demo.log").close)
        for note in made.notes:
            tell.show(f"  note  {note}", "yellow")
        await _start_programs(made, options, stack, tell)
        control = stack.enter_context(ControlClient.of(made.settings, "admin"))
        queries = stack.enter_context(QueryClient.of(made.settings, "admin"))
        complaints.client = queries
        stack.push_async_callback(complaints.close)
        with tell.step("Analytics reads the history into the warehouse"):
            await _until_ingested(queries, clock)
            await _weigh_providers(queries, clock)
        customers = Customers(world, _entrance(made), ledger, clock, f"{world.seed} run {made.memory.runs}")
        stack.push_async_callback(customers.close)
        with tell.step(f"{len(world.customers)} customers log in (AUTH over STARTTLS)"):
            await customers.connect()
        customers.silent = await in_thread(lambda: _held(control))
        victim = _choose_victim(world, customers.silent, made.memory.runs)
        made.memory.runs += 1
        made.remember()
        yield Stage(world, clock, ledger, made, control, queries, customers, victim, clock.now(), complaints.taken)


async def in_thread(work: Callable[[], T]) -> T:
    """Do something that blocks, beside the event loop: the receivers must go on answering."""
    return await asyncio.to_thread(work)


async def _install(
    options: StageOptions, world: World, clock: Clock, receivers: Receivers, tell: Teller
) -> Installation:
    async def fill(made: Installation) -> None:
        now = clock.now()
        workers = len(os.sched_getaffinity(0))
        with tell.step("The content model reads samples of everybody's mail"):
            samples = await assess_samples(world, made.settings.content.model, workers, now)
        with tell.step("A week of history is written into the journal"):
            journal = made.settings.journal_dir
            await in_thread(lambda: write_week(journal, world, samples, now, LIVE_RATE))

    tell.show(f"Demo data lives in {options.folder}")
    return await install(
        options.folder, world, clock, receivers.ports, InstallOptions(fill, options.reset, options.any_ports)
    )


def _log_to(path: Path) -> logging.Handler:
    """Keep what this process logs out of the story."""
    path.parent.mkdir(exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger("mailweir").addHandler(handler)
    return handler


async def _start_programs(made: Installation, options: StageOptions, stack: AsyncExitStack, tell: Teller) -> None:
    programs = programs_of(made.settings, {"MAILWEIR_CONFIG": str(made.config)})
    chosen = [one for one in programs if one.name != "dashboard" or options.with_dashboard]
    supervisor = Supervisor(chosen, made.settings.dir / "logs", lambda text: tell.say(text, "yellow"))
    stack.push_async_callback(supervisor.stop)
    with tell.step(f"Start {', '.join(one.name for one in chosen)}"):
        await supervisor.start()


async def _until_ingested(queries: QueryClient, clock: Clock) -> None:
    deadline = clock.unix() + _INGEST_SECONDS
    while (await in_thread(queries.health))["behind_files"] and clock.unix() < deadline:
        await clock.sleep(0.2)


async def _weigh_providers(queries: QueryClient, clock: Clock) -> None:
    """Have the job run again whose own first run found nothing yet; without it the story goes on all the same."""
    deadline = clock.unix() + _INGEST_SECONDS
    while clock.unix() < deadline:
        try:
            await in_thread(lambda: queries.run_job("reputation_parts"))
        except QueryError as error:
            if error.status != HTTPStatus.CONFLICT:  # else its first run goes on
                return
            await clock.sleep(0.2)
        else:
            return


def _entrance(made: Installation) -> Entrance:
    host, port = split_listen(made.settings.smtp.submission[0])
    # the relay's self-signed certificate is the only one that is trusted; it names no address
    tls = ssl.create_default_context(cafile=made.settings.dir / "tls" / "cert.pem")
    tls.check_hostname = False
    return Entrance(host, port, tls, made.memory.passwords)


def _held(control: ControlClient) -> set[str]:
    """Sites that an earlier run left held: their owners have not come back yet."""
    return {one.sender for one in control.decisions(account="sunhost", open_only=True, limit=500)}


def _choose_victim(world: World, held: set[str], runs: int) -> EndSender:
    turn = runs % len(world.victims)
    order = [*world.victims[turn:], *world.victims[:turn]]
    return next((one for one in order if one.key not in held), order[0])


class _ComplaintDesk:
    """Posts complaints to analytics, like a provider's feedback loop."""

    def __init__(self) -> None:
        self.client: QueryClient | None = None
        self.taken: list[Grievance] = []
        self._posting: set[asyncio.Task[None]] = set()

    def take(self, one: Grievance) -> None:
        task = asyncio.create_task(self._post(one))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def close(self) -> None:
        """Post what is under way; who complains later is not heard, as the client is about to close."""
        self.client = None
        if self._posting:
            await asyncio.wait(self._posting)

    async def _post(self, one: Grievance) -> None:
        client = self.client
        if client is None:
            return
        try:
            await in_thread(
                lambda: client.complaint(
                    message_id=one.message_id, recipient=one.recipient, provider=one.provider, feedback_type="abuse"
                )
            )
            self.taken.append(one)
        except QueryError as error:  # a lost complaint is a pity, not the end of the story
            _log.warning("complaint not posted message=%s error=%s", one.message_id, error)
