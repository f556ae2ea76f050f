"""Slow checkers outside: clamd, and DNS lists of domains in links. Asked by main after the worker's trip.

All under one deadline. A checker that is down never stops mail and never means "clean": it is named as unchecked, which
the verdict's trace shows. Lists are off until the operator has named them and agreed to their terms.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from relay.clock import Clock
from relay.content.clamd import CheckFailed, check_address, virus_in
from relay.delivery.routing.lookup import Lookup
from relay.dns_lists import Said, Weight, chosen, shipped
from relay.events import Action, Hit
from relay.reply import TransientError
from relay.settings import Settings

_log = logging.getLogger("mailweir.content")

_MOST_DOMAINS = 10
_REMEMBERED = 20_000
_SILENCES, _LEFT_ALONE_SECONDS = 3, 15.0
_QUIET_SECONDS = 60.0  # between two lines in the log about a checker that is down


@dataclass(frozen=True, slots=True)
class Checked:
    """What checkers found, and which could not answer, with the reason."""

    hits: tuple[Hit, ...] = ()
    unchecked: tuple[str, ...] = ()


NOT_CHECKED = Checked()  # nothing is configured, or nothing is to be asked


class Checkers:
    """Raises SettingsError for an address that is none."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings.checkers, clock
        check_address(self._settings.clamd)
        self._lookup = Lookup(settings.delivery)
        self._known: OrderedDict[str, tuple[float, Hit | None]] = OrderedDict()
        self._said: dict[str, float] = {}
        self._silent: dict[str, tuple[int, float]] = {}
        self.is_on = bool(self._settings.clamd or self._settings.url_lists)

    async def check(self, pieces: Iterable[bytes], size_bytes: int, domains: Sequence[str]) -> Checked:
        """Ask all of them at once about a message and the registered domains it links to."""
        questions: dict[str, Awaitable[list[Hit]]] = {}
        silent = {name for name in self._silent if self._is_left_alone(name)}
        if self._settings.clamd and "clamd" not in silent:
            questions["clamd"] = self._clamd(pieces, size_bytes)
        for zone in set(self._settings.url_lists) - silent:
            questions[zone] = self._list(zone, domains[:_MOST_DOMAINS])
        answers = await asyncio.gather(*(self._in_time(name, question) for name, question in questions.items()))
        hits = tuple(hit for answer in answers if isinstance(answer, list) for hit in answer)
        unchecked = sorted(answer for answer in answers if isinstance(answer, str))
        return Checked(hits, (*unchecked, *(f"{name} (was silent, is asked again soon)" for name in sorted(silent))))

    def _is_left_alone(self, name: str) -> bool:
        """Whether it was silent so often that mail should not wait for it now."""
        count, since = self._silent[name]
        return count >= _SILENCES and self._clock.unix() - since < _LEFT_ALONE_SECONDS

    async def _in_time(self, name: str, question: Awaitable[list[Hit]]) -> list[Hit] | str:
        try:
            answer = await asyncio.wait_for(question, self._settings.seconds)
        except TimeoutError:
            why = f"no answer within {self._settings.seconds:g} s"
            count, _ = self._silent.get(name, (0, 0.0))
            self._silent[name] = count + 1, self._clock.unix()
        except (CheckFailed, OSError, EOFError, TransientError) as error:
            why = str(error)[:150] or type(error).__name__
        else:
            self._silent.pop(name, None)
            return answer
        now = self._clock.unix()
        if now - self._said.get(name, 0.0) > _QUIET_SECONDS:
            self._said[name] = now
            _log.warning("checker does not answer, mail goes on unchecked checker=%s reason=%s", name, why)
        return f"{name} ({why})"

    async def _clamd(self, pieces: Iterable[bytes], size_bytes: int) -> list[Hit]:
        if size_bytes > self._settings.clamd_max_bytes:
            raise CheckFailed(f"larger than checkers.clamd_max_bytes = {self._settings.clamd_max_bytes}")
        found = await virus_in(self._settings.clamd, pieces)
        return [Hit("clamd", Action.REJECT, "MW", f"clamd found {found[:80]}")] if found else []

    async def _list(self, zone: str, domains: Sequence[str]) -> list[Hit]:
        found = await asyncio.gather(*(self._listed(zone, domain) for domain in domains))
        return [hit for hit in found if hit is not None]

    async def _listed(self, zone: str, domain: str) -> Hit | None:
        name, now = f"{domain}.{zone}", self._clock.unix()
        until, hit = self._known.get(name, (0.0, None))
        if until > now:
            return hit
        answer = await self._lookup.ask(name, "A")
        hit = _meaning(zone, domain, [record.to_text() for record in answer.records or ()])
        self._known[name] = now + answer.ttl, hit
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return hit


def _meaning(zone: str, domain: str, answers: Sequence[str]) -> Hit | None:
    """What a list's answer says of a domain. Raises CheckFailed for one that is no list's answer."""
    (asked,) = chosen(shipped(), [zone], "domain", {})
    said, codes = asked.meaning(answers)
    match said:
        case Said.CLEAN:
            return None
        case Said.REFUSED | Said.PARKED | Said.UNKNOWN:
            text = " ".join(answers)
            raise CheckFailed(f"answers {text}: no listing but a refusal (open resolver, quota, or no such list)")
        case Said.LISTED:
            is_bad = any(code.weight is Weight.SOURCE for code in codes)
            # else somebody's honest site that was broken into, or a new one
            words = (
                f"links to {domain}, listed by {zone}"
                if is_bad
                else f"links to {domain}, {codes[0].weight} says {zone}"
            )
            return Hit("url-list", Action.REJECT if is_bad else Action.ACCEPT, "URL", words)
        case _:
            assert_never(said)
