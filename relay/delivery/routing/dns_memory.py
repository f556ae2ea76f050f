"""What DNS said, as long as it holds; the same question is asked once at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from relay.clock import Clock
from relay.reply import PermanentError, RelayError

_CACHE_SIZE = 20_000
_MAX_FAILURE_SECONDS = 60.0  # of a domain that takes no mail: its owner may be mending it

_T = TypeVar("_T")


class _Known(NamedTuple, Generic[_T]):
    until_unix: float
    value: _T | None
    error: RelayError | None


class DnsMemory(Generic[_T]):
    """Values by domain, each until its time is over; refusals too, failures to know not."""

    def __init__(self, clock: Clock, find: Callable[[str], Awaitable[tuple[_T, float]]]) -> None:
        self._clock, self._find = clock, find
        self._cache: dict[str, _Known[_T]] = {}
        self._asking: dict[str, asyncio.Task[_Known[_T]]] = {}

    async def get(self, domain: str) -> _T:
        return (await self.get_with_ttl(domain))[0]

    async def get_with_ttl(self, domain: str) -> tuple[_T, float]:
        now = self._clock.unix()
        entry = self._cache.get(domain)
        if entry is None or entry.until_unix <= now:
            task = self._asking.get(domain)
            if task is None:
                task = self._asking[domain] = asyncio.create_task(self._ask(domain))
                task.add_done_callback(lambda _: self._asking.pop(domain, None))
            entry = await asyncio.shield(task)  # others wait for it too
        if entry.error is not None:
            raise entry.error
        assert entry.value is not None
        return entry.value, entry.until_unix - now

    async def _ask(self, domain: str) -> _Known[_T]:
        try:
            value, ttl = await self._find(domain)
            entry = _Known[_T](self._clock.unix() + ttl, value, None)
        except PermanentError as error:
            entry = _Known[_T](self._clock.unix() + _MAX_FAILURE_SECONDS, None, error)
        except RelayError as error:
            return _Known[_T](0.0, None, error)
        self._cache.pop(domain, None)  # the youngest stands last
        self._cache[domain] = entry
        if len(self._cache) > _CACHE_SIZE:
            del self._cache[next(iter(self._cache))]
        return entry
