"""The delivery half of a relay on a clock that jumps: real spool, journal, courier, shaper and egress, its sources
addresses of loopback; and what it says became of each recipient."""

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from analytics.simulation.timelapse import TimeLapse
from bench.days_traffic import Order
from relay.account import Account
from relay.clock import Clock
from relay.delivery.courier import Courier
from relay.delivery.egress.egress import Egress
from relay.delivery.egress.plan import Plan, load_plan
from relay.delivery.egress.sources import EgressSource, Members
from relay.delivery.replies import Category
from relay.delivery.shaping.providers import load_providers
from relay.delivery.shaping.shaper import Shaper
from relay.delivery.workshop import Ways
from relay.events import Action, Bounce, Deferral, Delivery, Expiration, Reception, Record
from relay.notices.addressee import addressee
from relay.settings import Delivery as DeliverySettings
from relay.settings import Node, Settings
from relay.spool.journal import Journal
from relay.spool.store import Flags, Spool, SpooledMessage, SpooledRecipient

SOURCES = (
    EgressSource("old1", "127.0.0.2", "old1.relay.example"),
    EgressSource("old2", "127.0.0.3", "old2.relay.example"),
    EgressSource("new1", "127.0.0.4", "new1.relay.example", is_warming=True),
    EgressSource("new2", "127.0.0.5", "new2.relay.example", is_warming=True),
)
POOLS: Members = {
    "good": {"old1": 1, "new1": 1, "new2": 1},
    "fair": {"old1": 2, "old2": 2, "new1": 1, "new2": 1},
    "suspect": {"old2": 1},
}
_ACCOUNT = Account("acme", domains=("example.org",))
_CONTENT = (
    b"From: Shop <shop@example.org>\r\nTo: you\r\nSubject: order %d\r\nMessage-ID: <%d@example.org>\r\n"
    b"Date: Mon, 01 Jun 2026 12:00:00 +0000\r\n\r\nThank you for your order.\r\n"
)


class WatchedSpool(Spool):
    """A spool that tells whether somebody waits for the disk: time must not go on then."""

    waiting_for_disk = 0

    async def store(self, *args: Any, **kwargs: Any) -> list[SpooledRecipient]:
        self.waiting_for_disk += 1
        try:
            return await super().store(*args, **kwargs)
        finally:
            self.waiting_for_disk -= 1

    async def settle(self) -> None:
        self.waiting_for_disk += 1
        try:
            await super().settle()
        finally:
            self.waiting_for_disk -= 1


class Half:
    """What is delivered, and by which rules. `ended`: (message, recipient) -> how it ended, each time it did."""

    def __init__(self, settings: Settings, clock: Clock, spool: WatchedSpool, journal: Journal, scale: float) -> None:
        self.spool, self.clock, self._journal = spool, clock, journal
        self.egress = Egress(settings.node.hostname, SOURCES, POOLS)
        self.egress.warmup.plan = scaled_plan(scale)
        self.shaper = Shaper(load_providers(None, settings.delivery))
        self.ended: dict[tuple[int, str], list[str]] = {}
        self.deferrals: Counter[str] = Counter()
        self.longest_seconds = 0.0
        self.blamed = 0
        self.reports = 0
        self.courier = Courier(
            spool=spool,
            journal=journal,
            settings=settings,
            clock=clock,
            on_outcome=self._hear,
            submit_dsn=self._report,
            audience=lambda message: addressee(message.mail_from, message.sender, _ACCOUNT, is_stopped=False),
            ways=Ways(self.shaper, self.egress, lambda parcel: parcel.message.mail_from),
        )

    async def send(self, order: Order) -> None:
        """Put a message into the spool and have it delivered."""
        spool, sender = self.spool, order.sender.key
        number = spool.reserve(len(order.recipients))
        message = SpooledMessage(
            id=number,
            message_id=spool.message_id(number),
            rcpts=len(order.recipients),
            account=sender.split("|")[0],
            reseller="",
            sender=sender,
            mail_from=f"{sender.rpartition('|')[2]}@example.org",
            received_at=self.clock.now(),
            flags=Flags.NONE,
            prefix=b"Received: from shop by relay.example\r\n",
            subject=str(order.number),
            pool=order.sender.pool,
        )
        record = Reception(
            **self._journal.stamp(),
            message_id=message.message_id,
            account=message.account,
            sender=sender,
            sender_kind="x-authuser",
            mail_from=message.mail_from,
            client_ip="192.0.2.1",
            action=Action.ACCEPT,
            rule="ok",
            received_at=message.received_at,
        )
        content = _CONTENT % (order.number, order.number)
        for address in order.recipients:
            self.ended[order.number, address] = []
        recipients = await spool.store(message, content, order.recipients, record, is_held=False)
        self.courier.enqueue(recipients, content)

    def _hear(self, recipient: SpooledRecipient, record: Record) -> None:
        match record:
            case Deferral():
                self.deferrals[f"{record.destination}: {record.code} {record.enhanced} {record.category}"] += 1
            case Delivery() | Bounce() | Expiration():
                self.ended[int(recipient.message.subject), recipient.address].append(type(record).__name__)
                self.blamed += isinstance(record, Bounce) and record.category == Category.REPUTATION_BLOCK
                self.longest_seconds = max(self.longest_seconds, record.queued_seconds)

    async def _report(self, report: bytes, to: str, about: SpooledMessage) -> None:
        self.reports += 1


def scaled_plan(scale: float) -> Plan:
    """The packaged plan with so much of each stage; 1: as it is."""
    plan = load_plan()
    return dataclasses.replace(plan, stages=tuple(max(1, round(stage * scale)) for stage in plan.stages))


@asynccontextmanager
async def running(folder: Path, clock: Clock, loop: TimeLapse, scale: float, **delivery: Any) -> AsyncIterator[Half]:
    """A delivery half in a folder."""
    settings = Settings(dir=folder, node=Node(hostname="relay.example"), delivery=DeliverySettings(**delivery))
    journal = Journal(settings.journal_dir, "relay", "mw1", clock)
    journal.start()
    failures: list[BaseException] = []
    spool = WatchedSpool(folder / "spool", "mw1", journal, failures.append, clock=clock)
    spool.start()
    loop.is_busy = lambda: spool.waiting_for_disk > 0
    half = Half(settings, clock, spool, journal, scale)
    try:
        await half.courier.start()
        yield half
    finally:
        await half.courier.stop(60)
        loop.is_busy = lambda: True  # what follows waits for threads
        await spool.stop()
        journal.close()
    assert failures == []
