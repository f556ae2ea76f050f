"""Simulated mailbox providers on loopback: each with its own words, unknown users, greylisting and complaints.

They accept spam like any provider would; their users complain about it some seconds later. The catch-all receiver
takes everything else, so that nothing can leave the machine.
"""

import asyncio
import functools
import logging
import re
import ssl
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from analytics.simulation.ledger import Ledger, Sent
from analytics.simulation.providers import Provider
from analytics.simulation.world import World, seeded
from relay.clock import Clock
from relay.front.tls import ensure_certificate

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([^>]+)>", re.IGNORECASE | re.MULTILINE)
_GREYLIST_SECONDS = 1.0
WORK_SECONDS = (0.004, 0.03)  # what a provider takes to answer the final dot
_COMPLAIN_SECONDS = (3.0, 9.0)
_COMPLAINTS_ABOUT_SPAM = 0.25

CATCH_ALL = Provider("elsewhere", (), 0.0, ready="2.0.0 OK")


@dataclass(frozen=True, slots=True)
class Grievance:
    """A recipient pressed the spam button."""

    message_id: str
    recipient: str
    provider: str


class Receivers:
    """All providers. `on_complaint` is called, in the event loop, for each complaint."""

    def __init__(self, world: World, ledger: Ledger, clock: Clock, on_complaint: Callable[[Grievance], None]) -> None:
        self._world, self._ledger, self._clock = world, ledger, clock
        self._on_complaint = on_complaint
        self._complaining: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()
        self.ports: dict[str, int] = {}

    async def open(self) -> None:
        """Listen on a free port of loopback per provider; `ports` then tells them by provider name."""
        # aiosmtpd logs every command and every lost connection
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        with tempfile.TemporaryDirectory() as folder:
            tls = ensure_certificate(None, None, Path(folder), "mx.receivers.example")
        for provider in (*self._world.providers, CATCH_ALL):
            mailboxes = _Mailboxes(provider, self._world, self._ledger, self._clock, self._delivered)
            start = functools.partial(mailboxes.session, tls)
            server = await asyncio.get_running_loop().create_server(start, "127.0.0.1", 0)
            self._stack.callback(server.close)
            self.ports[provider.name] = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        for task in self._complaining:
            task.cancel()
        await asyncio.gather(*self._complaining, return_exceptions=True)
        await self._stack.aclose()

    def _delivered(self, entry: Sent, provider: Provider) -> None:
        rng = seeded("complaint", self._world.seed, entry.header_id)
        share = _COMPLAINTS_ABOUT_SPAM if entry.is_abusive else provider.complaint_share
        if rng.random() < share:
            task = asyncio.create_task(self._complain(entry, provider, rng.uniform(*_COMPLAIN_SECONDS)))
            self._complaining.add(task)
            task.add_done_callback(self._complaining.discard)

    async def _complain(self, entry: Sent, provider: Provider, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._on_complaint(Grievance(entry.message_id, entry.recipient, provider.name))


class _Mailboxes:
    """aiosmtpd's handler for one provider."""

    def __init__(
        self,
        provider: Provider,
        world: World,
        ledger: Ledger,
        clock: Clock,
        on_delivery: Callable[[Sent, Provider], None],
    ) -> None:
        self._provider, self._world, self._ledger, self._clock = provider, world, ledger, clock
        self._on_delivery = on_delivery
        self._greylisted: dict[tuple[str, str], float] = {}
        self._rng = seeded(world.seed, provider.name)

    def session(self, tls: ssl.SSLContext) -> SMTP:
        return SMTP(self, hostname=f"mx.{self._provider.name}", ident="ESMTP", enable_SMTPUTF8=True, tls_context=tls)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        mail_from = envelope.mail_from or ""
        if not self._world.exists(address):
            self._ledger.dead_ends[mail_from, address] += 1
            return f"550 {self._provider.unknown}"
        if self._is_greylisted(mail_from, address):
            return f"451 {self._provider.greylisted}"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await self._clock.sleep(self._rng.uniform(*WORK_SECONDS))
        content: Any = envelope.content
        found = _MESSAGE_ID.search(content)
        if not envelope.mail_from:
            self._ledger.notices += 1
        else:
            entry = self._ledger.arrived(found[1].decode() if found else "", self._clock.unix())
            if entry is not None:
                self._on_delivery(entry, self._provider)
        return f"250 {self._provider.ready}"

    def _is_greylisted(self, mail_from: str, address: str) -> bool:
        """Refuse the first try of some pairs, and every other one within the next second."""
        pair, now = (mail_from, address), self._clock.unix()
        if pair not in self._greylisted:
            chosen = mail_from and self._rng.random() < self._provider.greylist_share
            self._greylisted[pair] = now + _GREYLIST_SECONDS if chosen else 0.0
        return now < self._greylisted[pair]
