"""Asks DNS what the owners of a message's domains let send with them: TXT at `<label>.<domain>`, remembered.

Asked for the envelope's domain and that of From:, each at its own name; only where that has no record of ours, at its
organisational domain (RFC 7489 3.2), so that one record covers all subdomains and a subdomain may have its own. Must
never hold up the loop, nor let a broken name server pass for an open domain.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.resolver

from relay.clock import Clock
from relay.delivery.routing.lookup import failure_of, make_resolver
from relay.organisations import organisation_of
from relay.policy.verdict.lockdown import Lock, LockdownRecord, LockdownResult, decide, read_record
from relay.settings import Settings

_KNOWN_SECONDS = 300.0  # spec 2.2; also for "there is none", whatever the TTL: owners wait for a change that long
_UNKNOWN_SECONDS = 30.0
_LONGEST_WAIT_SECONDS = 5.0  # the client waits for its reply meanwhile
_CACHE_SIZE = 20_000
_MOST_RECORDS = 50  # of one name


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of one domain until an instant: its records (its organisation's if it has none), or the error."""

    until_unix: float
    records: tuple[LockdownRecord, ...] = ()
    error: str = ""


class Lockdown:
    """The look-ups of one relay."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Raises SettingsError when a name server is not host:port."""
        self._clock, self._delivery = clock, settings.delivery
        self._labels = settings.lockdown.labels if settings.is_lockdown_on else []
        self._cache: dict[str, Answer] = {}
        self._asking: dict[str, asyncio.Task[Answer]] = {}
        self._resolver: dns.asyncresolver.Resolver | None = None

    def take_up(self, settings: Settings) -> None:
        """Ask at other labels, or no more; look-ups under way end for those who wait for them."""
        labels = settings.lockdown.labels if settings.is_lockdown_on else []
        if labels == self._labels:
            return
        self._labels, self._cache, self._asking = labels, {}, {}

    def prefetch(self, domain: str) -> None:
        """Begin to ask about a domain, unless its answer is known; `check` waits for it."""
        if self._labels and (name := _name(domain)) and not self._known(name):
            self._ask(name)

    async def check(self, domains: Sequence[str], account: str, sender: str) -> LockdownResult:
        """Say whether an account's sender (account|kind|value) may use all of these domains; a refusal goes first."""
        found = LockdownResult(Lock.NOT_ASKED)
        if not self._labels:
            return found
        names = [name for name in dict.fromkeys(map(_name, domains)) if name]
        for name in names:
            self.prefetch(name)
        for name in names:
            answer = await self.answer(name)
            result = decide(name, answer.records, account, sender)
            if answer.error and result.lock is not Lock.ALLOWED:
                result = LockdownResult(Lock.UNKNOWN, name, error=answer.error)
            found = max(found, result, key=_severity)
        return found

    async def answer(self, name: str) -> Answer:
        """Return what is published for a domain, asked once for all who wait for it."""
        known = self._known(name)
        return await asyncio.shield(self._ask(name)) if known is None else known

    def _known(self, name: str) -> Answer | None:
        answer = self._cache.get(name)
        return answer if answer and answer.until_unix > self._clock.unix() else None

    def _ask(self, name: str) -> "asyncio.Task[Answer]":
        asking = self._asking
        task = asking.get(name)
        if task is None:
            task = asking[name] = asyncio.create_task(self._asked(name))
            task.add_done_callback(lambda _: asking.pop(name, None))
        return task

    async def _asked(self, name: str) -> Answer:
        cache = self._cache  # not the next one: what old labels say is not known of the new
        answer = await self._published(name)
        organisation = organisation_of(name)
        if not answer.records and not answer.error and organisation not in ("", name):
            answer = await self.answer(organisation)
        cache.pop(name, None)  # the youngest stands last
        cache[name] = answer
        if len(cache) > _CACHE_SIZE:
            del cache[next(iter(cache))]
        return answer

    async def _published(self, name: str) -> Answer:
        found = await asyncio.gather(*(self._texts(f"{label}.{name}") for label in self._labels))
        records = tuple(record for texts, _ in found for record in texts)
        error = next((error for _, error in found if error), "")
        return Answer(self._clock.unix() + (_UNKNOWN_SECONDS if error else _KNOWN_SECONDS), records, error)

    async def _texts(self, name: str) -> tuple[list[LockdownRecord], str]:
        """The records of ours at a name, and why they are not known."""
        if self._resolver is None:
            self._resolver = make_resolver(self._delivery)
            self._resolver.lifetime = min(self._delivery.dns_timeout_seconds, _LONGEST_WAIT_SECONDS)
        try:
            answer = await self._resolver.resolve(name, "TXT", raise_on_no_answer=False, search=False)
        except (dns.resolver.NXDOMAIN, dns.exception.SyntaxError, dns.exception.FormError, UnicodeError):
            return [], ""  # no such name, or none that can exist
        except (dns.exception.DNSException, OSError) as error:
            return [], f"TXT look-up of {name} failed: {failure_of(error)}"
        texts = [b"".join(record.strings).decode("utf-8", "replace") for record in list(answer.rrset or ())]
        return [record for text in texts[:_MOST_RECORDS] if (record := read_record(name, text))], ""


def _name(domain: str) -> str:
    """A domain as it is asked for; "" for what has no owner: address literals, single labels."""
    name = domain.strip("<>. \t").lower()
    return name if "." in name and not name.startswith("[") else ""


_ORDER = (Lock.NOT_ASKED, Lock.OPEN, Lock.ALLOWED, Lock.UNKNOWN, Lock.REFUSED)


def _severity(result: LockdownResult) -> int:
    return _ORDER.index(result.lock)
