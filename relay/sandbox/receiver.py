"""Plays the receiving server of the sandbox's domain: replies on purpose, and complaints some seconds after delivery.

Stands where a destination's connections would: what it answers is settled, journaled and reported like a real reply.
It opens no connection, so no source's quota, pace or reputation is touched.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from relay.clock import Clock
from relay.delivery.outcomes import Bookkeeper
from relay.delivery.queues import Parcel
from relay.sandbox.addresses import Behaviour, behaviour_of, lies_in, reply_of
from relay.settings import Sandbox
from relay.spool.store import Spool, SpooledRecipient

_log = logging.getLogger("mailweir.sandbox")

_HEAD_BYTES = 65_536  # of a message that a complaint shows

Complain = Callable[[str, bytes], Awaitable[None]]


class SandboxReceiver:
    """Takes parcels of one courier. complain(recipient, header lines of the message) makes a complaint come in."""

    def __init__(
        self, settings: Sandbox, *, spool: Spool, clock: Clock, books: Bookkeeper, complain: Complain | None
    ) -> None:
        self._settings, self._spool, self._clock, self._books = settings, spool, clock, books
        self._complain = complain

    def take_up(self, settings: Sandbox) -> None:
        """Behave by other settings from the next parcel on."""
        self._settings = settings

    def holds(self, domain: str) -> bool:
        """Tell whether mail of a domain is for the sandbox."""
        return lies_in(domain, self._settings.domain)

    async def serve(
        self,
        parcel: Parcel,
        settle: Callable[[Parcel], object],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """Answer for all recipients of a parcel; `settle` records the replies, `spawn` runs what comes later."""
        if not self._books.begin(parcel):
            return
        behaviours = [behaviour_of(recipient.address) for recipient in parcel.recipients]
        if Behaviour.SLOW in behaviours:
            await self._clock.sleep(self._settings.slow_seconds)
        if parcel.is_forgotten:  # its sender was held meanwhile: the spool has parked it
            self._books.undo(parcel)
            self._books.release(parcel)
            return
        pairs = list(zip(parcel.recipients, behaviours, strict=True))
        angry = [recipient for recipient, behaviour in pairs if behaviour is Behaviour.COMPLAINT]
        head = self._head(angry[0]) if angry else b""  # read now: settled mail leaves the spool
        parcel.replies = [reply_of(behaviour, recipient.attempts) for recipient, behaviour in pairs]
        settle(parcel)
        for recipient in angry:
            spawn(self._say(recipient, head))

    def _head(self, recipient: SpooledRecipient) -> bytes:
        begin = self._spool.beginning(recipient.message, _HEAD_BYTES)
        end = 0 if begin.startswith(b"\r\n") else begin.find(b"\r\n\r\n") + 2
        return recipient.prefix + begin[: max(end, 0)]

    async def _say(self, recipient: SpooledRecipient, head: bytes) -> None:
        await self._clock.sleep(self._settings.complaint_seconds)
        if self._complain is None:
            return
        try:
            await self._complain(recipient.address, head)
        except Exception:  # a complaint that is not made must not end the loop of all mail
            _log.exception("complaint not made message=%s", recipient.message.message_id)
