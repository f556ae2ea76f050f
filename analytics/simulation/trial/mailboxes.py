"""The receivers on the wire: one SMTP server for all providers, which answers when each message's latency has passed.

The latency lies before the content is taken, as a slow connection's would: what is stopped meanwhile has not arrived.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from analytics.simulation.trial.mail import Mail
from analytics.simulation.trial.session import NUMBER_FIELD
from relay.clock import Clock

_NUMBER = re.compile(rb"^" + NUMBER_FIELD + rb": (\d+)\r?$", re.MULTILINE)


class Mailboxes:
    """aiosmtpd's handler. Set what is told of each message when its receiver has answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_number: dict[int, Mail] = {}
        self._by_address: dict[str, deque[Mail]] = {}
        self._server: asyncio.Server | None = None
        self.on_delivered: Callable[[Mail], None] = lambda mail: None
        self.on_refused: Callable[[Mail], None] = lambda mail: None

    async def open(self) -> int:
        """Listen on a free port of loopback and return it."""
        logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd logs every command
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def expect(self, mail: Mail) -> None:
        """A customer is about to send this."""
        if mail.number not in self._by_number:
            self._by_number[mail.number] = mail
            self._by_address.setdefault(mail.recipient, deque(maxlen=8)).append(mail)

    def _session(self) -> SMTP:
        return SMTP(self, hostname="mx.trial.example", ident="ESMTP", enable_SMTPUTF8=True, timeout=3_600)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        waiting = self._by_address.get(address)
        mail = waiting[-1] if waiting else None
        if mail is not None and envelope.mail_from:
            await self._clock.sleep(mail.latency)
            if mail.is_dead and not mail.reported_after:
                self._by_number.pop(mail.number, None)
                self.on_refused(mail)
                return "550 5.1.1 User unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content: Any = envelope.content
        found = _NUMBER.search(content) if envelope.mail_from else None
        mail = self._by_number.pop(int(found[1]), None) if found else None
        if mail is not None:
            self.on_delivered(mail)
        return "250 2.0.0 OK queued"
