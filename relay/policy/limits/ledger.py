"""The ledger: what every key has used and booked, in memory, and room for several claims at once or for none.

A sender without room now is booked at the first time it has room, behind its earlier bookings, and counts there: so
the limit holds for what leaves. Rows go to counters.sqlite by `dirty` and come back by `load`, still encoded until
their key is heard of. Must never ask a clock itself: time only comes in, and is not allowed to go back.
"""

import math
import struct
from collections import OrderedDict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from relay.policy.limits import windows
from relay.policy.limits.claims import MULTIPLIED, Ask, Claim, LimitUse
from relay.policy.limits.levels import Level, LimitSet
from relay.policy.limits.usage import Usage
from relay.policy.limits.windows import DAY_SLOT_SECONDS, HOUR_SLOT_SECONDS, SLOTS_AFTER

KEPT_SECONDS = 2 * (SLOTS_AFTER + 1) * DAY_SLOT_SECONDS  # what is booked a day ahead counts for a day after that
LONGEST_DELAY_SECONDS = 86_400.0  # half of what the queue keeps mail for: the rest belongs to the destination's retries

_CLOCK = ""  # the row that remembers how far time had come
_instant = struct.Struct("<d")
_NOTHING = Ask(0)


@dataclass(slots=True)
class Taking:
    """What `take` took, for `give_back`; no claims when it was refused.

    `use` is what decided; `hour_used` of `hour_limit` recipients are those of the last claim, the end sender's.
    """

    use: LimitUse
    hour_used: int = 0
    hour_limit: int = 0
    claims: Sequence[Claim] = ()
    ask: Ask = _NOTHING
    now: float = 0.0
    due: float = 0.0


class Ledger:
    """Use per key. Idle keys are forgotten on the way, here and in the file; at most `capacity` are kept."""

    def __init__(self, capacity: int = 1_000_000) -> None:
        self._usages: OrderedDict[str, Usage | bytes] = OrderedDict()
        self._loaded: dict[str, bytes] = {}  # of the file, and not heard of since
        self._dirty: set[str] = set()
        self._gone: set[str] = set()
        self._capacity = capacity
        self._last = self._offset = self._crowded_until = 0.0

    def __len__(self) -> int:
        return len(self._usages) + len(self._loaded)

    def is_crowded(self, now_unix: float) -> bool:
        """Tell whether a sender was refused that may still have no room; else nobody needs to be looked at early."""
        return now_unix + self._offset < self._crowded_until

    def take(self, claims: Sequence[Claim], ask: Ask, now_unix: float) -> Taking:
        """Take what is asked from every claim, now or at one later time (use.due_unix), or from none."""
        now = due = self._advanced(now_unix)
        decisive, name = claims[-1], "rcpts_per_hour"
        for claim in claims:
            at, limit_name = self._earliest(claim, ask, now)
            if at > now and (refused := self._refused(claim, limit_name, ask, now, at)):
                return Taking(refused, *self._hour(claims[-1], now))
            if at > due:
                due, decisive, name = at, claim, limit_name
        for claim in claims if due > now else ():
            if claim.is_shared:  # room now is not room then: others have booked in between
                at = self._usage(claim.row).between(claim.limits, ask, now, due)
                if at > due and (refused := self._refused(claim, "rcpts_per_hour", ask, now, at)):
                    return Taking(refused, *self._hour(claims[-1], now))
                due = at
        delayed = self._use(decisive, name, ask, now, due=due) if due > now else None
        for claim in claims:
            self._usage(claim.row).count(claim.limits, ask, due if claim.band else now)
            self._dirty.add(claim.row)
        hour_used, hour_limit = self._hour(claims[-1], now)
        use = delayed or LimitUse(hour_used, hour_limit, True, now_unix, ask.amount, whose=claims[-1].whose)
        return Taking(use, hour_used, hour_limit, claims, ask, now, due)

    def look(self, claims: Sequence[Claim], ask: Ask, now_unix: float) -> LimitUse | None:
        """Return the refusal that `take` would give, if it would; nothing is taken."""
        now = self._advanced(now_unix)
        for claim in claims:
            at, name = self._earliest(claim, ask, now)
            if at > now and (refused := self._refused(claim, name, ask, now, at)):
                return refused
        return None

    def room(self, claim: Claim, name: str, now_unix: float) -> tuple[int, float]:
        """Return how many more recipients fit under rcpts_per_hour or rcpts_per_day, what is booked included, and the
        seconds until all is free; with none left, until one fits."""
        now, usage = self._advanced(now_unix), self._usage(claim.row)
        limit = getattr(claim.limits, name) or 0
        left = max(limit - usage.used(name, now) - usage.booked(now), 0)
        if left:
            return left, usage.all_free(name, now) - now
        return 0, max(usage.earliest(LimitSet(**{name: limit}), Ask(1), now)[0] - now, 1.0)

    def give_back(self, taking: Taking, *, but: Container[Level] = ()) -> None:
        """Return what a message took that came to nothing, once; at the levels `but` it stays used.

        Who was written to stays known for its hour: the retry costs nothing then, and of two sessions with the same
        recipient none can free it for a third.
        """
        claims, taking.claims = taking.claims, ()
        for claim in claims:
            if claim.level in but:
                continue
            self._usage(claim.row).give_back(taking.ask, taking.due if claim.band else taking.now)
            self._dirty.add(claim.row)

    def dirty(self) -> list[tuple[str, bytes]]:
        """Return the rows changed since the last call, as bytes for `load`; empty: the row is gone.

        They stay encoded until their key is heard of again: a third less memory, and nothing for the garbage collector
        to walk over (0.6 s for a million objects).
        """
        if not self._dirty and not self._gone:
            return []
        rows = [(row, b"") for row in self._gone]
        for row in self._dirty:
            usage = self._usages[row]
            data = self._usages[row] = usage if isinstance(usage, bytes) else usage.encoded()
            rows.append((row, data))
        self._gone.clear()
        self._dirty.clear()
        return [*rows, (_CLOCK, _instant.pack(self._last))]

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        """Take rows back in. What is unreadable is logged when its key is heard of, so none is counted here."""
        self._loaded = dict(rows)
        clock = self._loaded.pop(_CLOCK, b"")
        if len(clock) == _instant.size:
            self._last = max(self._last, *_instant.unpack(clock))  # a run whose clock was ahead: go on from there
        while len(self._loaded) > self._capacity:
            self._loaded.popitem()
        return 0

    def _advanced(self, now_unix: float) -> float:
        """Time as the ledger counts it: where the clock went back it stands still, so nobody is freed or locked out."""
        now = now_unix + self._offset
        if now < self._last:
            self._offset += self._last - now
            now = self._last
        self._last = now
        return now

    def _earliest(self, claim: Claim, ask: Ask, now: float) -> tuple[float, str]:
        usage = self._usage(claim.row)
        if claim.is_shared:
            return usage.between(claim.limits, ask, now, now), "rcpts_per_hour"
        return usage.earliest(claim.limits, ask, now)

    def _usage(self, row: str) -> Usage:
        usage = self._usages.get(row)
        if isinstance(usage, Usage):
            return usage
        if usage is None:
            usage = self._loaded.pop(row, None)
            self._sweep()
            self._gone.discard(row)
        known = self._usages[row] = Usage() if usage is None else Usage.decoded(usage)
        return known

    def _sweep(self) -> None:
        """Forget idle keys, up to two per new one: the table shrinks faster than it can grow, and no call pays for all.

        Keys in use go to the end, so that each is looked at in its turn.
        """
        for _ in range(min(2, len(self))):
            row, usage = self._loaded.popitem() if self._loaded else self._usages.popitem(last=False)
            known = Usage.decoded(usage) if isinstance(usage, bytes) else usage
            if known.is_idle(self._last) or len(self) >= self._capacity - 1:
                self._dirty.discard(row)
                self._gone.add(row)
            else:
                self._usages[row] = usage

    def _hour(self, claim: Claim, now: float) -> tuple[int, int]:
        limit, window = claim.limits.rcpts_per_hour or 0, self._usage(claim.row).hour
        if not limit or not window:
            return 0, limit
        return window[0] - windows.booked(window, int(now // HOUR_SLOT_SECONDS)), limit

    # ---- what is not the usual case ----

    def _refused(self, claim: Claim, name: str, ask: Ask, now: float, at: float) -> LimitUse | None:
        """The refusal, unless the message may be booked for `at`."""
        usage = self._usage(claim.row)
        if at == math.inf:
            return self._use(claim, name, ask, now, free=usage.all_free(name, now))
        if not claim.band:
            return self._use(claim, name, ask, now, free=at)
        booked = usage.booked(now)
        free = max(at - LONGEST_DELAY_SECONDS, 0.0)
        if booked + ask.amount > claim.band:
            free = max(free, usage.drained(now, booked + ask.amount - claim.band))
        elif free <= now:
            return None
        self._crowded_until = max(self._crowded_until, free)
        return replace(self._use(claim, name, ask, now, free=free), booked=booked, band=claim.band)

    def _use(self, claim: Claim, name: str, ask: Ask, now: float, *, free: float = 0.0, due: float = 0.0) -> LimitUse:
        return LimitUse(
            used=self._usage(claim.row).used(name, now),
            limit=getattr(claim.limits, name) or 0,
            is_allowed=due > 0,
            next_unix=(due or max(free, now)) - self._offset,
            asked=_amount(name, ask),
            name=name,
            whose=claim.whose,
            base=getattr(claim.base, name) or 0,
            multiplier=claim.multiplier if name in MULTIPLIED else 1.0,
            due_unix=due - self._offset if due else None,
        )


def _amount(name: str, ask: Ask) -> int:
    match name:
        case "messages_per_hour":
            return 1
        case "unique_rcpts_per_hour":
            return len(ask.recipients)
        case _:
            return ask.amount
