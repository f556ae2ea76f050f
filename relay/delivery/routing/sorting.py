"""Parcels whose domain's mail exchangers are not known yet: they wait here until DNS has said where they queue."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from relay.clock import Clock
from relay.delivery.queues import Parcel
from relay.delivery.replies import OwnReply
from relay.delivery.routing.sites import Site, Sites
from relay.reply import RelayError, Reply

_log = logging.getLogger("mailweir.delivery")

_LOOKUPS = 100  # at once: each has a socket open
_LOOKUPS_OF_ONE = 60  # of one end sender: name servers of dead domains are waited for, and others have mail too
_MAX_FAILED = 10_000
_OUR_FAULT = OwnReply(451, "4.3.0", "something failed on our side while the domain was looked up")

_Key = tuple[str, str]  # domain, account


class Sorting:
    """Looks up where parcels go and hands them on, or answers them; end senders take turns."""

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
        self._waiting: dict[_Key, list[Parcel]] = {}
        self._failed: dict[_Key, tuple[float, Reply]] = {}
        self._lines: dict[str, deque[_Key]] = {}  # sender -> what is to be looked up for it, each in turns below
        self._turns: deque[str] = deque()
        self._asking: dict[_Key, str] = {}  # what is looked up now, and for which sender
        self._busy: Counter[str] = Counter()

    def __len__(self) -> int:
        return sum(len(parcels) for parcels in self._waiting.values())

    def put(self, parcel: Parcel) -> None:
        """Hand the parcel on once its domain's site is known; all its recipients are of one domain."""
        key, sender = (parcel.recipients[0].destination, parcel.message.account), parcel.message.sender
        parcels = self._waiting.setdefault(key, [])
        is_asked_for = any(one.message.sender == sender for one in parcels[-1:])
        parcels.append(parcel)
        if is_asked_for or key in self._asking:
            return
        line = self._lines.get(sender)
        if line is None:
            line = self._lines[sender] = deque()
            self._turns.append(sender)
        line.append(key)  # also where it stands in another sender's line: that one may be long
        self._ask_next()

    def forget(self, sender: str) -> Sequence[Parcel]:
        """Take out all parcels of a sender."""
        taken: list[Parcel] = []
        for key, parcels in self._waiting.items():
            taken += [parcel for parcel in parcels if parcel.message.sender == sender]
            self._waiting[key] = [parcel for parcel in parcels if parcel.message.sender != sender]
        return taken

    def stop(self) -> None:
        """Look up nothing more; the spool has what waits."""
        self._lines.clear()
        self._turns.clear()

    def _ask_next(self) -> None:
        for _ in range(len(self._turns)):
            if len(self._asking) >= _LOOKUPS:
                return
            while self._turns and len(self._asking) < _LOOKUPS and self._busy[self._turns[0]] < _LOOKUPS_OF_ONE:
                self._ask_for(self._turns.popleft())
            self._turns.rotate(-1)

    def _ask_for(self, sender: str) -> None:
        line = self._lines[sender]
        key = line.popleft()
        if line:
            self._turns.append(sender)
        else:
            del self._lines[sender]
        if key in self._waiting and key not in self._asking:
            self._asking[key] = sender
            self._busy[sender] += 1
            self._spawn(self._sort(key))

    def _answered(self, key: _Key) -> list[Parcel]:
        sender = self._asking.pop(key)
        self._busy[sender] -= 1
        if not self._busy[sender]:
            del self._busy[sender]
        return self._waiting.pop(key)

    async def _sort(self, key: _Key) -> None:
        domain, account = key
        site: Site | None = None
        reply: Reply = _OUR_FAULT
        try:
            site, reply = await self._found(domain, account)
        except Exception:  # whatever it is, mail must not stay here for ever
            _log.exception("domain not looked up domain=%s", domain)
        except asyncio.CancelledError:
            self._answered(key)  # the spool has what waits
            raise
        parcels = self._answered(key)
        self._ask_next()
        for parcel in parcels:
            if site is not None:
                self._deliver(parcel, site)
            else:
                self._answer(parcel, domain, reply)

    async def _found(self, domain: str, account: str) -> tuple[Site | None, Reply]:
        until, reply = self._failed.get((domain, account), (0.0, None))
        if reply is not None and until > self._clock.unix():
            return None, reply
        try:
            return await self._sites.find(domain, account), _OUR_FAULT
        except RelayError as error:
            if len(self._failed) >= _MAX_FAILED:
                self._failed.clear()
            self._failed[(domain, account)] = (self._clock.unix() + self._failure_seconds(), error.reply)
            return None, error.reply
