"""Warm-up: how much a new address may send to a provider, growing by the days on which it sent well (spec 2.10).

One plan per source and provider: a stage is a number of messages a day. They leave evenly, at most 1.5 x stage / 24 in
an hour, by GCRA with a burst of 1; so a plan never clumps. Days are UTC days on which something was sent: a day without
mail neither advances nor punishes. Pure: `now` is Unix seconds. Must never choose a source: see egress.py.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from relay.delivery.egress.plan import Plan
from relay.delivery.egress.progress import Progress, judge, restarted
from relay.delivery.egress.rows import decoded, encoded

_DAY = 86_400.0
_EVENLY = 1.5  # x stage / 24 h: the share of a day that one hour may take
_IDLE_SECONDS = 30 * _DAY
_NOTED_SECONDS = 3_600.0  # a finished plan only remembers about when it last sent

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Progress).decode


@dataclass(frozen=True, slots=True)
class PlanState:
    """Where one plan stands today. `stage` counts from 1; beyond `stages` the source is warm there."""

    source: str
    provider: str
    stage: int
    stages: int
    quota: int
    sent: int
    deferred: int
    blocked: int
    complaints: int
    bad_days: int
    wait_seconds: float
    last: str

    @property
    def is_warm(self) -> bool:
        return self.stage > self.stages


class WarmUp:
    """All plans. Rows for counters.sqlite come from `dirty` and go back in by `load`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._rows: dict[tuple[str, str], Progress] = {}
        self._dirty: set[tuple[str, str]] = set()

    def is_warm(self, source: str, destination: str, now: float) -> bool:
        """Tell whether the plan for this destination is finished."""
        return self._row(source, destination, now).stage > len(self.plan.stages)

    def wait(self, source: str, destination: str, now: float) -> float:
        """Return the seconds until one more message may go; 0: now. Nothing is counted."""
        row = self._row(source, destination, now)
        if row.stage > len(self.plan.stages):
            return 0.0
        quota = self._quota(row, destination)
        if row.sent >= quota:
            return (row.day + 1) * _DAY - now
        return min(max(row.next_unix - now, 0.0), _spacing(quota))  # not longer where the clock went back

    def take(self, source: str, destination: str, now: float) -> float:
        """Return 0 and count one message, or the seconds to wait."""
        wait = self.wait(source, destination, now)
        if wait > 0:
            return wait
        row = self._row(source, destination, now)
        if row.stage > len(self.plan.stages):
            if now - row.last_sent_unix > _NOTED_SECONDS:
                row.last_sent_unix = now
                self._dirty.add(self._key(source, destination))
            return 0.0
        row.before_unix, row.next_unix = row.next_unix, now + _spacing(self._quota(row, destination))
        row.sent += 1
        row.last_sent_unix = now
        self._dirty.add(self._key(source, destination))
        return 0.0

    def give_back(self, source: str, destination: str) -> None:
        """Take the last counted message back: it was not sent. Its turn is free again unless that was done already."""
        row = self._rows.get(self._key(source, destination))
        if row is None or not row.sent:
            return
        row.sent -= 1
        if row.before_unix is not None:
            row.next_unix, row.before_unix = row.before_unix, None
        self._dirty.add(self._key(source, destination))

    def deferred(self, source: str, destination: str, now: float) -> None:
        self._row(source, destination, now).deferred += 1
        self._dirty.add(self._key(source, destination))

    def blocked(self, source: str, destination: str, now: float) -> None:
        self._row(source, destination, now).blocked += 1
        self._dirty.add(self._key(source, destination))

    def complained(self, source: str, destination: str, count: int, now: float) -> None:
        """Count complaints of a provider's users about mail of this source, on the day they are heard."""
        self._row(source, destination, now).complaints += count
        self._dirty.add(self._key(source, destination))

    def set_stage(self, source: str, provider: str, stage: int, now: float) -> None:
        """Go on from another stage at once; the day begins anew."""
        row = self._row(source, provider, now)
        self._rows[self._key(source, provider)] = Progress(
            stage=stage, day=row.day, last_sent_unix=now if row.last_sent_unix else 0.0, last="set by hand"
        )
        self._dirty.add(self._key(source, provider))

    def forget(self, source: str) -> None:
        """Drop the plans of a source that is no more."""
        for key in [key for key in self._rows if key[0] == source]:
            del self._rows[key]
            self._dirty.add(key)

    def state(self, source: str, provider: str, now: float) -> PlanState:
        row = self._row(source, provider, now)
        return PlanState(
            source=source,
            provider=provider,
            stage=row.stage,
            stages=len(self.plan.stages),
            quota=self._quota(row, provider),
            sent=row.sent,
            deferred=row.deferred,
            blocked=row.blocked,
            complaints=row.complaints,
            bad_days=row.bad_days,
            wait_seconds=self.wait(source, provider, now),
            last=row.last,
        )

    def dirty(self) -> list[tuple[str, bytes]]:
        changed, self._dirty = self._dirty, set()
        return encoded(changed, self._rows, _encode)

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        return decoded(rows, self._rows, _decode)

    def _key(self, source: str, destination: str) -> tuple[str, str]:
        return source, self.plan.provider_of(destination)

    def _row(self, source: str, destination: str, now: float) -> Progress:
        key, today = self._key(source, destination), int(now // _DAY)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = Progress(day=today)
        elif today > row.day:
            row = self._rows[key] = self._next_day(row, key[1], today, now)
            self._dirty.add(key)
        return row

    def _next_day(self, row: Progress, provider: str, today: int, now: float) -> Progress:
        if row.stage <= len(self.plan.stages):
            row = judge(row, self._quota(row, provider))
        is_idle = row.last_sent_unix and now - row.last_sent_unix > _IDLE_SECONDS
        row = restarted(row) if is_idle else row
        row.day = today
        return row

    def _quota(self, row: Progress, destination: str) -> int:
        return self.plan.quota(row.stage, destination)


def per_hour(quota: int) -> int:
    """The most that may leave in an hour at a day's quota; in any hour, so rounded up."""
    return math.ceil(quota / 24 * _EVENLY)


def _spacing(quota: int) -> float:
    return _DAY / (quota * _EVENLY)
