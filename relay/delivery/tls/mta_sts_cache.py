"""Which MTA-STS policy a domain has now, and when to fetch it anew (RFC 8461 sections 3.3, 5.1).

A policy once seen holds until max_age is over, whatever becomes of DNS and web meanwhile: an attacker must not be able
to take it away by being in the way. So policies outlive a restart, in the counters' file.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import msgspec

from relay.clock import Clock
from relay.delivery.routing.lookup import Lookup, ascii_name
from relay.delivery.tls.mta_sts import Mode, Policy, announced_id
from relay.delivery.tls.mta_sts_fetch import FetchFailure, PolicyFetcher
from relay.reply import PermanentError, RelayError

_log = logging.getLogger("mailweir.delivery")

_T = TypeVar("_T")

_MOST = 20_000
_AGAIN_SECONDS = 300.0  # after a failure to fetch or to look up: RFC 8461 section 3.3 asks for five minutes
_SHORTEST_SECONDS = 300.0  # a policy holds so long at least: its max_age may be 0


class KnownPolicy(msgspec.Struct, frozen=True):
    """A policy as it was fetched."""

    id: str
    fetched_unix: float
    policy: Policy

    @property
    def until_unix(self) -> float:
        return self.fetched_unix + max(self.policy.max_age_seconds, _SHORTEST_SECONDS)

    @property
    def is_stale_from_unix(self) -> float:
        return self.fetched_unix + max(self.policy.max_age_seconds / 2, _SHORTEST_SECONDS)


class Policies:
    """The policies in force, by domain. A counters.Source."""

    def __init__(self) -> None:
        self._known: dict[str, KnownPolicy] = {}
        self._dirty: set[str] = set()

    def get(self, domain: str, now_unix: float) -> KnownPolicy | None:
        known = self._known.get(domain)
        return known if known is not None and known.until_unix > now_unix else None

    def put(self, domain: str, known: KnownPolicy) -> None:
        self._known[domain] = known
        self._dirty.add(domain)
        if len(self._known) > _MOST:  # the one that would end first
            ending = min(self._known, key=lambda name: self._known[name].until_unix)
            del self._known[ending]
            self._dirty.add(ending)

    def dirty(self) -> list[tuple[str, bytes]]:
        changed, self._dirty = self._dirty, set()
        return [
            (name, msgspec.json.encode(self._known[name]) if name in self._known else b"") for name in sorted(changed)
        ]

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        unreadable = 0
        for domain, row in rows:
            try:
                self._known[domain] = msgspec.json.decode(row, type=KnownPolicy)
            except (msgspec.DecodeError, UnicodeError):
                unreadable += 1
        return unreadable


class _Announced(NamedTuple):
    """What DNS says; `id` None: nobody knows."""

    until_unix: float
    id: str | None


class MtaSts:
    """Answers by domain; fetches at most one policy of a domain at a time."""

    def __init__(self, lookup: Lookup, fetcher: PolicyFetcher, policies: Policies, clock: Clock) -> None:
        self._lookup, self._fetcher, self._policies, self._clock = lookup, fetcher, policies, clock
        self._announced: dict[str, _Announced] = {}
        self._not_before: dict[str, float] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[_Announced]] = {}

    async def policy(self, domain: str) -> Policy | None:
        """Return the policy that mail to a domain has to keep to now, None where there is none. Never raises."""
        if domain.startswith("["):
            return None
        try:
            domain = ascii_name(domain)
        except PermanentError:
            return None
        now = self._clock.unix()
        announced = self._announced.get(domain)
        if announced is None or announced.until_unix <= now:
            announced = await asyncio.shield(self._once("ask", domain))
        if announced.id and self._not_before.get(domain, 0.0) <= now:
            known = self._policies.get(domain, now)
            if known is None or known.id != announced.id:
                await asyncio.shield(self._once("fetch", domain))
            elif known.is_stale_from_unix <= now:
                self._once("fetch", domain)  # the old one holds: nobody waits for it
        known = self._policies.get(domain, self._clock.unix())
        return known.policy if known is not None and known.policy.mode is not Mode.NONE else None

    def _once(self, what: str, domain: str) -> asyncio.Task[_Announced]:
        """The task that does it, a new one or that of somebody who wanted the same."""
        task = self._tasks.get((what, domain))
        if task is None:
            work = self._ask(domain) if what == "ask" else self._fetch(domain)
            task = self._tasks[what, domain] = asyncio.create_task(work)
            task.add_done_callback(lambda _: self._tasks.pop((what, domain), None))
        return task

    async def _fetch(self, domain: str) -> _Announced:
        announced = self._announced[domain]
        try:
            policy = await self._fetcher.fetch(domain)
        except Exception as error:  # whatever a web server can make a library raise: mail goes on with what it had
            _remember(self._not_before, domain, self._clock.unix() + _AGAIN_SECONDS)
            is_kept = self._policies.get(domain, self._clock.unix()) is not None
            log = _log.warning if isinstance(error, FetchFailure) else _log.exception
            log("mta-sts policy not fetched domain=%s old_one_holds=%s why=%s", domain, is_kept, error)
            return announced
        self._policies.put(domain, KnownPolicy(announced.id or "", self._clock.unix(), policy))
        _log.info("mta-sts policy domain=%s mode=%s mx=%s", domain, policy.mode.value, ",".join(policy.hosts))
        return announced

    async def _ask(self, domain: str) -> _Announced:
        now = self._clock.unix()
        try:
            answer = await self._lookup.ask(f"_mta-sts.{domain}", "TXT")
            texts = [b"".join(record.strings).decode("utf-8", "replace") for record in answer.records or ()]
            found = _Announced(now + answer.ttl, announced_id(texts))
        except RelayError:
            found = _Announced(now + _AGAIN_SECONDS, None)
        _remember(self._announced, domain, found)
        return found


def _remember(table: dict[str, _T], domain: str, value: _T) -> None:
    table.pop(domain, None)  # the youngest stands last
    table[domain] = value
    if len(table) > _MOST:
        del table[next(iter(table))]
