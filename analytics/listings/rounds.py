"""The job that asks DNS lists: what is due, each list's health first, every answer into the journal.

What a list says counts while it is healthy; of one that is not, everybody is refused, parked or unknown, and stands
where they stood.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from analytics.listings.asking import Asker, Heard, labels
from analytics.listings.health import SAID, Condition, Health, broken, examine, family
from analytics.listings.standing import CONFIRM, Standing, advance, due_at, period
from analytics.listings.subjects import Addresses, domains
from analytics.warehouse import Warehouse
from relay.clock import Clock
from relay.dns_lists import Code, DnsList, Kind, Said, Weight, chosen, with_table
from relay.events import Listing
from relay.settings import Dnsbl
from relay.spool.journal import Journal

# The share of a reputation that a confirmed listing takes (spec 2.7)
COSTS = {Weight.SOURCE: 0.8, Weight.POLICY: 0.3, Weight.ABUSED: 0.3}

_AT_ONCE = 8
_SILENT_FROM = 3  # questions in a row without an answer: the rest of the round is not asked
_MOST_A_RUN = 500  # of one list; more new domains than that are asked about in the next minutes

_LAST = """
SELECT address, zone, status, since_at, checked_at, confirmed, codes
FROM listing
WHERE entity_kind <> 'list'
  AND status IN ('listed', 'clean')
  AND since_at IS NOT NULL
  AND checked_at >= $now - CASE entity_kind WHEN 'ip' THEN INTERVAL 30 DAY ELSE INTERVAL 3 DAY END
QUALIFY row_number() OVER (PARTITION BY address, zone ORDER BY checked_at DESC) = 1
"""


@dataclass(frozen=True, slots=True)
class InForce:
    """A confirmed listing: of whom, on which list, since when, and what its codes say."""

    subject: str
    zone: str
    since_at: datetime
    codes: tuple[Code, ...]
    removal: str

    is_address: bool

    @property
    def quarantines(self) -> bool:
        return any(code.quarantine for code in self.codes)


class Rounds:
    """All lists and subjects. Raises ValueError, OSError for a table of codes that cannot be read."""

    def __init__(
        self,
        settings: Dnsbl,
        warehouse: Warehouse,
        journal: Journal,
        clock: Clock,
        addresses: Addresses,
        timeout_seconds: float = 5.0,
    ) -> None:
        self._settings, self._warehouse, self._journal, self._clock = settings, warehouse, journal, clock
        self._addresses, self._timeout_seconds = addresses, timeout_seconds
        book = with_table(settings.table)
        self._lists = [
            *chosen(book, settings.zones, "ip", settings.keys),
            *chosen(book, settings.domain_zones, "domain", settings.keys),
        ]
        self._every = timedelta(minutes=settings.every_minutes)
        self._health: dict[tuple[str, str], Health] = {}
        self._standings: dict[tuple[str, str], Standing] = {}
        self._listed: dict[tuple[str, str], tuple[Code, ...]] = {}  # what the last listing of each said
        self._is_loaded = False

    def run(self) -> str:
        """Ask what is due; return in words what was said."""
        now = self._clock.now()
        self._load(now)
        due = self._due(now)
        if not due:
            return ""
        counts = Counter(asyncio.run(self._ask(due, now)))
        return ", ".join(f"{counts[said]} {said}" for said in Said if counts[said])

    def in_force(self) -> list[InForce]:
        """The confirmed listings, of addresses and domains."""
        lists = {one.zone: one for one in self._lists}
        return [
            InForce(
                subject,
                zone,
                standing.since_at,
                self._listed.get((subject, zone), ()),
                lists[zone].removal,
                lists[zone].kind == "ip",
            )
            for (subject, zone), standing in sorted(self._standings.items())
            if standing.is_confirmed and zone in lists
        ]

    def clean(self, now: datetime) -> set[str]:
        """The subjects that every list that ever answered has called clean, twice."""
        found: dict[str, bool] = {}
        for (subject, _), one in self._standings.items():
            is_clean = one.said is Said.CLEAN and not one.is_confirmed and now - one.since_at >= CONFIRM
            if one.said is not Said.UNKNOWN:
                found[subject] = found.get(subject, True) and is_clean
        return {subject for subject, is_clean in found.items() if is_clean}

    def _load(self, now: datetime) -> None:
        """Go on where the last process stopped."""
        if self._is_loaded:
            return
        lists = {one.zone: one for one in self._lists}
        for row in self._warehouse.table(_LAST, now=now).to_pylist():
            key = row["address"], row["zone"]
            self._standings[key] = Standing(Said(row["status"]), row["since_at"], row["checked_at"], row["confirmed"])
            if one := lists.get(row["zone"]):
                self._listed[key] = tuple(code for code in one.codes if code.id in (row["codes"] or ()))
        self._is_loaded = True

    def _due(self, now: datetime) -> list[tuple[DnsList, list[str]]]:
        subjects: dict[Kind, list[str]] = {"ip": [], "domain": []}
        if self._settings.zones:
            subjects["ip"] = self._addresses.now()
        if self._settings.domain_zones:
            watched = [subject for (subject, _), one in self._standings.items() if one.is_confirmed or one.is_pending]
            of_lists = [subject for subject in watched if family(self._lists[-1], subject) == "domain"]
            subjects["domain"] = list(dict.fromkeys([*of_lists, *domains(self._warehouse, now)]))
        found = []
        for one in self._lists:
            mine = [subject for subject in subjects[one.kind] if self._is_due(one, subject, now)]
            if mine:
                found.append((one, mine[:_MOST_A_RUN]))
        return found

    def _is_due(self, one: DnsList, subject: str, now: datetime) -> bool:
        standing = self._standings.get((subject, one.zone))
        at = due_at(standing, f"{subject} {one.zone}", period(one.kind, self._every))
        return at is None or at <= now

    async def _ask(self, due: list[tuple[DnsList, list[str]]], now: datetime) -> list[Said]:
        asker = Asker(self._settings, self._timeout_seconds)
        return [
            said
            for answers in await asyncio.gather(*(self._ask_list(asker, one, subjects, now) for one, subjects in due))
            for said in answers
        ]

    async def _ask_list(self, asker: Asker, one: DnsList, subjects: list[str], now: datetime) -> list[Said]:
        said = []
        for points in sorted({family(one, subject) for subject in subjects}):
            mine = [subject for subject in subjects if family(one, subject) == points]
            health = await self._examined(asker, one, points, now)
            for subject, heard in await self._heard(asker, one, points, mine, health):
                if heard is not None:
                    said.append(self._settle(one, subject, heard, now))
        return said

    async def _examined(self, asker: Asker, one: DnsList, points: str, now: datetime) -> Health:
        """The list's health: tested once a period, and after a failure when its pause is over."""
        before = self._health.get((one.zone, points))
        if before and (now < before.again_at if before.again_at else now - before.tested_at < self._every / 2):
            return before
        health = self._health[one.zone, points] = await examine(asker, one, points, before, now)
        self._note(one, points, "list", str(health.condition), health.text, now)
        return health

    async def _heard(
        self, asker: Asker, one: DnsList, points: str, subjects: list[str], health: Health
    ) -> list[tuple[str, Heard | None]]:
        """What the list says of each. None: nothing to keep, the subject is asked about when the list is well."""
        found: list[tuple[str, Heard | None]] = []
        for start in range(0, len(subjects), _AT_ONCE):
            part = subjects[start : start + _AT_ONCE]
            if not health.is_healthy:
                nothing = Heard(SAID[health.condition], f"{health.condition}: {health.text}")
                found += [(subject, nothing if one.kind == "ip" else None) for subject in part]
                continue
            heard = await asyncio.gather(*(asker.ask(one, labels(subject)) for subject in part))
            found += zip(part, heard, strict=True)
            silent = [answer for answer in heard if answer.said is Said.UNKNOWN and not answer.text.startswith("127.")]
            if len(silent) == len(heard) and len(found) >= min(_SILENT_FROM, len(subjects)):
                gone = Health(Condition.SILENT, silent[0].text, health.tested_at)
                health = self._health[one.zone, points] = broken(gone, health, health.tested_at)
        return found

    def _settle(self, one: DnsList, subject: str, heard: Heard, now: datetime) -> Said:
        key = subject, one.zone
        standing = self._standings[key] = advance(self._standings.get(key), heard.said, now)
        if heard.said is Said.LISTED:
            self._listed[key] = heard.codes
        elif not standing.is_confirmed:
            self._listed.pop(key, None)
        self._note(one, subject, one.kind, heard.said, heard.text, now, standing)
        return heard.said

    def _note(
        self,
        one: DnsList,
        subject: str,
        entity_kind: str,
        status: str,
        text: str,
        now: datetime,
        standing: Standing | None = None,
    ) -> None:
        codes = self._listed.get((subject, one.zone), ()) if standing else ()
        self._journal.append(
            Listing(
                **self._journal.stamp(),
                address=subject,
                zone=one.zone,
                status=str(status),
                answer=text,
                checked_at=now,
                entity_kind=entity_kind,
                confirmed=bool(standing and standing.is_confirmed),
                since_at=standing.since_at if standing else None,
                codes=[code.id for code in codes],
                weight=max(_costs(codes), default=0.0),
            )
        )


def _costs(codes: tuple[Code, ...]) -> Iterator[float]:
    return (COSTS.get(code.weight, 0.0) for code in codes)
