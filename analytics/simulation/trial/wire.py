"""Plays a world through the real relay: real SMTP on loopback, spool, content workers, courier; only the clock is ours.

Time stands still while a client waits for the relay's answer or the spool for the disk, and jumps to the next thing to
do when nothing moves. Left out of the relay: the control API's and the web's listeners, whose servers have a clock of
their own; bounces and complaints enter by the same commands.
"""

import asyncio
import heapq
import itertools
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from argon2 import PasswordHasher

from analytics.simulation.providers import PROVIDERS
from analytics.simulation.timelapse import LoopClock, TimeLapse
from analytics.simulation.trial.mail import HOUR, Mail, World
from analytics.simulation.trial.mailboxes import Mailboxes
from analytics.simulation.trial.pure import provider_of, stop_of
from analytics.simulation.trial.regulator import Answer, Stop
from analytics.simulation.trial.session import submit
from analytics.simulation.trial.sheet import Sheet, Tally
from relay.control.accounts.commands import Accounts
from relay.control.accounts.views import Limits, NewAccount
from relay.control.desk import Desk
from relay.control.state.database import default_url
from relay.control.state.memory import State
from relay.control.views import Outcome
from relay.events import Action
from relay.front.entrances import Entrance
from relay.running.core import start_core
from relay.running.parts import Parts
from relay.running.wiring import wire
from relay.settings import Content, Delivery, Node, Route, Settings, Smtp, Suppression
from relay.tree import Principal, Role

WIRE = "mailweir on the wire"
_OWNER = Principal("trial", Role.ADMIN)
_DOOR = Entrance("127.0.0.1:0", "smtp.submission")
_CONNECTIONS = 50  # a stop must find mail on its way, not in a queue of ours
_RETRIES, _LONGEST_RETRY = (900.0, 1_800.0, 3_600.0, 7_200.0), 14_400.0
_LIFETIME = 48 * HOUR
_FLUSH_SECONDS = 3_600.0  # nothing crashes here, and a month has 2.6 million seconds


def play_on_wire(world: World, step: Callable[[float], None] | None = None) -> Sheet:
    """Play a world; return its score sheet. The clock starts with the world's first message."""
    with asyncio.Runner(loop_factory=TimeLapse) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, TimeLapse)
        loop.is_busy = lambda: True
        return runner.run(_play(world, loop, step or (lambda share: None)))


async def _play(world: World, loop: TimeLapse, step: Callable[[float], None]) -> Sheet:
    mails = world.mails()
    first = next(mails, None)
    if first is None:
        return Tally(world).sheet(world, WIRE)
    clock = LoopClock(datetime.fromtimestamp(first.at - 1.0, UTC), loop)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(_memory_folder())
        mailboxes = Mailboxes(clock)
        stack.callback(mailboxes.close)
        settings = _settings(Path(folder), await mailboxes.open())
        passwords = await _accounts(settings, world, clock)
        parts = await stack.enter_async_context(_relay(settings, clock, loop))
        game = _Game(world, parts, clock, passwords, mailboxes)
        loop.is_busy = lambda: game.waiting > 0
        try:
            await game.run(itertools.chain((first,), mails), step)
        finally:
            loop.is_busy = lambda: True  # what follows waits for threads
        return game.tally.sheet(world, WIRE)


def _memory_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder that costs no disk, where there is one: the disk's time is not the play's."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own in it
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)


class _Game:
    """The customers, and what is known of the mail. `waiting`: for answers of the relay."""

    def __init__(
        self, world: World, parts: Parts, clock: LoopClock, passwords: dict[str, str], mailboxes: Mailboxes
    ) -> None:
        self._world, self._parts, self._clock, self._passwords = world, parts, clock, passwords
        self._mailboxes = mailboxes
        self._again: list[tuple[float, int, Mail, int]] = []
        self._order = itertools.count()
        self._reports: set[asyncio.Task[None]] = set()
        self._known: set[str] = set()
        self.waiting = 0
        self.tally = Tally(world)
        mailboxes.on_delivered, mailboxes.on_refused = self._delivered, self._refused

    async def run(self, mails: "itertools.chain[Mail]", step: Callable[[float], None]) -> None:
        for number, mail in enumerate(mails, 1):
            mail.number = number
            await self._retry_until(mail.at)
            await self._until(mail.at)
            await self._offer(mail, 0)
            if number % 100 == 0:
                step((mail.at - self._world.start) / (self._world.end - self._world.start))
        await self._retry_until(self._world.end)
        await self._until(self._world.end)
        for task in self._reports:
            task.cancel()

    async def _until(self, at: float) -> None:
        if (wait := at - self._clock.unix()) > 0:
            await self._clock.sleep(wait)

    async def _retry_until(self, at: float) -> None:
        while self._again and self._again[0][0] <= at:
            due, _, mail, tries = heapq.heappop(self._again)
            await self._until(due)
            await self._offer(mail, tries)

    async def _offer(self, mail: Mail, tries: int) -> None:
        self._mailboxes.expect(mail)
        self.waiting += 1
        try:
            code, text = await submit(self._parts.doors.ports[0], mail, self._passwords[mail.actor.account.name])
        finally:
            self.waiting -= 1
        now = self._clock.unix()
        answer = _answer(code, text)
        self.tally.answered(mail, answer, now, is_first=not tries)
        self._note_stops()
        if answer.action is Action.DEFER and not mail.is_abusive:
            wait = _RETRIES[tries] if tries < len(_RETRIES) else _LONGEST_RETRY
            if now + wait - mail.at <= _LIFETIME:
                heapq.heappush(self._again, (now + wait, next(self._order), mail, tries + 1))
                return
        if answer.action in (Action.DEFER, Action.REJECT):
            self.tally.refused(mail, answer.rule)

    def _delivered(self, mail: Mail) -> None:
        if not mail.is_dead:
            self.tally.delivered(mail, self._clock.unix())
        if mail.reported_after is not None:
            task = asyncio.create_task(self._report(mail, mail.reported_after))
            self._reports.add(task)
            task.add_done_callback(self._reports.discard)

    def _refused(self, mail: Mail) -> None:
        self.tally.bounced(mail, self._clock.unix())  # the relay has heard it itself

    async def _report(self, mail: Mail, seconds: float) -> None:
        """A complaint, or the bounce of mail that was accepted first."""
        await self._clock.sleep(seconds)
        if mail.is_dead:
            self.tally.bounced(mail, self._clock.unix())
        else:
            self.tally.complained(mail, self._clock.unix())
        kind: Literal["hard_bounce", "complaint"] = "hard_bounce" if mail.is_dead else "complaint"
        said = Outcome(kind=kind, sender=mail.actor.key, destination=provider_of(mail.recipient))
        await self._parts.commands.outcome(_OWNER, said)

    def _note_stops(self) -> None:
        fresh: list[Stop] = []
        for row in self._parts.core.state.standings.youngest_first():
            if row.id in self._known:
                break
            self._known.add(row.id)
            fresh.append(stop_of(row.proposal))
        for stop in reversed(fresh):
            self.tally.stopped(stop)


def _answer(code: int, text: str) -> Answer:
    """Read a reply as a sender's software and its owner would."""
    if code == 250:
        return Answer(Action.HOLD if text.endswith("(held)") else Action.ACCEPT, "held" if "(held)" in text else "")
    rule = "rate_limit" if "[RATE]" in text else "content" if "(rule content" in text else "other"
    return Answer(Action.DEFER if code < 500 else Action.REJECT, rule)


def _settings(folder: Path, port: int) -> Settings:
    return Settings(
        dir=folder,
        node=Node(hostname="relay.example"),
        smtp=Smtp(listen=[], submission=[], tls_listen=[], inbox_listen=[], stop_seconds=1),
        content=Content(workers=1, keep_words=False),
        suppression=Suppression(hard_bounces=False),  # a world's dead addresses must cost every rule the same
        delivery=Delivery(mode="sink", smarthost=f"127.0.0.1:{port}", connections=_CONNECTIONS),
        route=[
            Route(domain=domain, host="127.0.0.1", port=port, provider=one.name, mode="sink")
            for one in PROVIDERS
            for domain in one.domains
        ],
    )


async def _accounts(settings: Settings, world: World, clock: LoopClock) -> dict[str, str]:
    """Open the world's accounts; return their passwords."""
    state = await State.open(default_url(settings.dir), settings.node.name, clock)
    try:
        # a month has a login each few minutes, of passwords that nobody else will ever know
        state.hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        accounts = Desk(state, clock, lambda account: (0, 0)).accounts
        every = {actor.account.name: actor.account for actor in world.actors}
        return {name: await _add(accounts, name, world) for name in every}
    finally:
        await state.close()


async def _add(accounts: Accounts, name: str, world: World) -> str:
    account = next(actor.account for actor in world.actors if actor.account.name == name)
    limits = Limits(rcpts_per_hour=world.limits[name]) if name in world.limits else Limits()
    new = NewAccount(
        name=name, shared_host=account.shared_host, domains=[*account.domains], login=name, sender_limits=limits
    )
    added = await accounts.add(_OWNER, new)
    assert added.secret is not None
    return added.secret.password


@asynccontextmanager
async def _relay(settings: Settings, clock: LoopClock, loop: TimeLapse) -> AsyncIterator[Parts]:
    failures: list[BaseException] = []
    async with AsyncExitStack() as stack:
        stack.callback(lambda: setattr(loop, "is_busy", lambda: True))
        parts = wire(await start_core(settings, clock, failures.append, stack, flush_seconds=_FLUSH_SECONDS))
        await parts.courier.start()
        stack.push_async_callback(parts.courier.stop, 1.0)
        parts.following.start()
        stack.push_async_callback(parts.following.stop)
        stack.push_async_callback(parts.receiver.settle, 1.0)
        await parts.doors.open(_DOOR)
        stack.push_async_callback(parts.doors.close, 1.0)
        yield parts
    if failures:
        raise failures[0]
