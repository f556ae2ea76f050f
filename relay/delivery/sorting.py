"""Parcels whose domain's mail exchangers are not known yet: they wait here until DNS has said where they queue."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from relay.clock import Clock
from relay.delivery.queues import Parcel
from relay.delivery.replies import OwnReply
from relay.delivery.sites import Site, Sites
from relay.reply import RelayError, Reply

_log = logging.getLogger("mailweir.delivery")

_LOOKUPS = 100  # at once: each has a socket open
_MAX_FAILED = 10_000
_OUR_FAULT = OwnReply(451, "4.3.0", "something failed on our side while the domain was looked up")


class Sorting:
    """Looks up where parcels go and hands them on, or answers them."""

    def __init__(
        self,
        sites: Sites,
        clock: Clock,
        *,
        deliver: Callable[[Parcel, Site], None],
        answer: Callable[[Parcel, str, Reply], None],
        failure_seconds: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._sites, self._clock = sites, clock
        self._deliver, self._answer, self._failure_seconds, self._spawn = deliver, answer, failure_seconds, spawn
        self._waiting: dict[tuple[str, str], list[Parcel]] = {}
        self._failed: dict[tuple[str, str], tuple[float, Reply]] = {}
        self._places = asyncio.Semaphore(_LOOKUPS)

    def __len__(self) -> int:
        return sum(len(parcels) for parcels in self._waiting.values())

    def put(self, parcel: Parcel) -> None:
        """Hand the parcel on once its domain's site is known; all its recipients are of one domain."""
        key = parcel.recipients[0].destination, parcel.message.account
        parcels = self._waiting.get(key)
        if parcels is not None:
            parcels.append(parcel)
            return
        self._waiting[key] = [parcel]
        self._spawn(self._sort(key))

    def forget(self, sender: str) -> Sequence[Parcel]:
        """Take out all parcels of a sender."""
        taken: list[Parcel] = []
        for key, parcels in self._waiting.items():
            taken += [parcel for parcel in parcels if parcel.message.sender == sender]
            self._waiting[key] = [parcel for parcel in parcels if parcel.message.sender != sender]
        return taken

    async def _sort(self, key: tuple[str, str]) -> None:
        domain, account = key
        site: Site | None = None
        reply: Reply = _OUR_FAULT
        try:
            site, reply = await self._found(domain, account)
        except Exception:  # whatever it is, mail must not stay here for ever
            _log.exception("domain not looked up domain=%s", domain)
        except asyncio.CancelledError:
            del self._waiting[key]  # the spool has what waits
            raise
        for parcel in self._waiting.pop(key):
            if site is not None:
                self._deliver(parcel, site)
            else:
                self._answer(parcel, domain, reply)

    async def _found(self, domain: str, account: str) -> tuple[Site | None, Reply]:
        until, reply = self._failed.get((domain, account), (0.0, None))
        if reply is not None and until > self._clock.unix():
            return None, reply
        try:
            async with self._places:
                return await self._sites.find(domain, account), _OUR_FAULT
        except RelayError as error:
            if len(self._failed) >= _MAX_FAILED:
                self._failed.clear()
            self._failed[(domain, account)] = (self._clock.unix() + self._failure_seconds(), error.reply)
            return None, error.reply
