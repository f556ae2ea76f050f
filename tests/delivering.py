"""Delivery without the front half: a real spool, journal and courier in a folder, told where to deliver."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from relay.account import Account
from relay.clock import Clock, SystemClock
from relay.delivery.courier import Courier
from relay.delivery.pauses import Pauses
from relay.delivery.tls.memory import TlsMemory
from relay.delivery.workshop import Ways, usual_ways
from relay.events import Action, Attempt, Reception, Record
from relay.notices.addressee import addressee
from relay.settings import Delivery, Node, Route, Settings
from relay.spool.journal import Journal
from relay.spool.large import LargeFile
from relay.spool.store import Flags, Spool, SpooledMessage, SpooledRecipient

CONTENT = b"From: shop@example.org\r\nSubject: order\r\n\r\nThank you.\r\n"
PREFIX = b"Received: from shop by relay.example\r\n"


def story(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test to its end."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def eventually(condition: Callable[[], object], seconds: float = 20) -> None:
    """Return once `condition` holds; fail after the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Delivering:
    """The parts, what they recorded, and the reports they wanted to send."""

    settings: Settings
    clock: Clock
    spool: Spool
    journal: Journal
    outcomes: list[tuple[SpooledRecipient, Record]] = field(default_factory=list)
    reports: list[tuple[bytes, str, SpooledMessage]] = field(default_factory=list)
    fails_reports: bool = False
    report_seconds: float = 0.0  # what it takes to store one
    account: Account = field(default_factory=lambda: Account("acme", domains=("example.org",)))
    is_stopped: bool = False
    ways: Ways | None = None
    pauses: Pauses = field(default_factory=Pauses)

    def __post_init__(self) -> None:
        self.courier = Courier(
            spool=self.spool,
            journal=self.journal,
            settings=self.settings,
            clock=self.clock,
            on_outcome=lambda recipient, record: self.outcomes.append((recipient, record)),
            submit_dsn=self._submit,
            audience=lambda message: addressee(
                message.mail_from, message.sender, self.account, is_stopped=self.is_stopped
            ),
            pauses=self.pauses,
            ways=self.ways,
        )

    async def _submit(self, report: bytes, to: str, about: SpooledMessage) -> None:
        if self.fails_reports:
            raise OSError("the disk is full")
        await asyncio.sleep(self.report_seconds)
        self.reports.append((report, to, about))

    async def store(
        self,
        *addresses: str,
        sender: str = "acme|x-authuser|joe",
        mail_from: str = "joe@example.org",
        content: bytes | LargeFile = CONTENT,
        prefix: bytes = PREFIX,
        flags: Flags = Flags.NONE,
        is_held: bool = False,
        due_unix: float | None = None,
        dsn: str = "",
        dsns: tuple[str, ...] = (),
        pool: str = "",
    ) -> list[SpooledRecipient]:
        """Put a message into the spool only."""
        number = self.spool.reserve(len(addresses))
        message = SpooledMessage(
            id=number,
            message_id=self.spool.message_id(number),
            rcpts=len(addresses),
            account=sender.split("|")[0],
            reseller="",
            sender=sender,
            mail_from=mail_from,
            received_at=self.clock.now(),
            flags=flags,
            prefix=prefix,
            subject="order",
            dsn=dsn,
            pool=pool,
        )
        record = Reception(
            **self.journal.stamp(),
            message_id=message.message_id,
            account=message.account,
            sender=sender,
            sender_kind="x-authuser",
            mail_from=mail_from,
            client_ip="192.0.2.1",
            action=Action.ACCEPT,
            rule="ok",
            received_at=message.received_at,
        )
        return await self.spool.store(
            message, content, addresses, record, is_held=is_held, due_unix=due_unix, dsns=dsns
        )

    async def send(self, *addresses: str, keep: bool = True, **about: Any) -> list[SpooledRecipient]:
        """Store a message and have it delivered. keep False: its content is read from the spool again."""
        recipients = await self.store(*addresses, **about)
        self.courier.enqueue(recipients, about.get("content", CONTENT) if keep else None)
        return recipients

    def records(self, kind: str = "") -> list[Any]:
        """The records so far, of one kind or all."""
        return [record for _, record in self.outcomes if not kind or type(record).__name__ == kind]

    def summary(self) -> dict[str, list[str]]:
        """recipient -> the kinds of its records, in order."""
        found: dict[str, list[str]] = {}
        for _, record in self.outcomes:
            assert isinstance(record, Attempt)
            found.setdefault(record.recipient, []).append(type(record).__name__)
        return found

    async def until(self, count: int, kind: str = "", seconds: float = 20) -> list[Any]:
        """Return the records once there are `count` of the kind."""
        await eventually(lambda: len(self.records(kind)) >= count, seconds)
        return self.records(kind)


def delivery_settings(folder: Path, port: int, routes: Sequence[Route] = (), **delivery: Any) -> Settings:
    """Settings that send everything to a port of this machine, with short waits."""
    values = {
        "mode": "sink",
        "smarthost": f"127.0.0.1:{port}",
        "first_retry_seconds": 0.2,
        "max_retry_seconds": 1.0,
        "host_failure_seconds": 0.2,
        "timeout_seconds": 5.0,
        **delivery,
    }
    return Settings(
        dir=folder, node=Node(hostname="relay.example"), delivery=Delivery.model_validate(values), route=list(routes)
    )


@asynccontextmanager
async def delivering(
    settings: Settings,
    clock: Clock | None = None,
    *,
    before_start: Callable[[Delivering], Awaitable[None]] | None = None,
    stop_seconds: float = 3,
    tls: TlsMemory | None = None,
    ways: Ways | None = None,
) -> AsyncIterator[Delivering]:
    """A running courier on the folder of the settings."""
    clock = clock or SystemClock()
    journal = Journal(settings.journal_dir, "relay", "mw1", clock)
    journal.start()
    failures: list[BaseException] = []
    spool = Spool(settings.dir / "spool", "mw1", journal, failures.append)
    spool.start()
    ways = ways or usual_ways(settings)
    if tls is not None:
        ways = replace(ways, tls=tls)
    parts = Delivering(settings, clock, spool, journal, ways=ways)
    try:
        if before_start is not None:
            await before_start(parts)
        await parts.courier.start()
        yield parts
    finally:
        await parts.courier.stop(stop_seconds)
        await spool.stop()
        journal.close()
    assert failures == []
