"""Which of our addresses a connection leaves from: the pool's sources, those that may, in weighted turns.

A source is eligible unless it is quarantined or retired, rests for the destination (ip_states.py), or has used up its
warm-up quota there (warmup.py). Mail is never delayed by warm-up while the pool has a warm source that may. Without any
configured source there is one implicit source, and nothing here costs anything. Pure: `now` is Unix seconds.
`destination` is the provider's name where one is known, else the domain.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from relay.delivery.egress.bands import Bands
from relay.delivery.egress.ip_states import IpStates, blames_address, is_deferral, is_policy_block
from relay.delivery.egress.plan import load_plan
from relay.delivery.egress.rotation import Rotation
from relay.delivery.egress.sources import FAIR, EgressSource, Members, SourceState, may_warm
from relay.delivery.egress.warmup import WarmUp
from relay.delivery.replies import Category
from relay.policy.signals.counters import Table
from relay.reply import Reply

IMPLICIT = "default"
_WARMUP_KEPT_SECONDS = 400 * 86_400.0  # a plan may wait longer than its source may be idle
_REST_KEPT_SECONDS = 7 * 86_400.0  # the longest rest, and the clean day after it
_DRAINED_SECONDS = 5.0  # for a connection of a source that takes nothing new: long enough to end it
_NOBODY_SECONDS = 600.0  # all sources are quarantined: only a person changes that


@dataclass(frozen=True, slots=True)
class Source:
    """An address to send from, as a member of a pool. `address` "": the system chooses. `family` 0: any."""

    name: str
    address: str
    ehlo: str
    weight: int

    @property
    def family(self) -> int:
        """4, 6, or 0 where the system chooses."""
        return 0 if not self.address else 6 if ":" in self.address else 4


class Egress:
    """All sources and pools of the relay. `warmup`, `ip_states` and `bands` are tables of counters.sqlite."""

    def __init__(self, hostname: str, sources: Iterable[EgressSource] = (), pools: Members | None = None) -> None:
        self.warmup, self.ip_states, self.bands = WarmUp(load_plan()), IpStates(), Bands()
        self._implicit = Source(IMPLICIT, "", hostname, 1)
        self._only = (self._implicit,)
        self._rounds: dict[tuple[str, str], Rotation] = {}
        self.take_up(sources, pools or {})

    def tables(self) -> list[Table]:
        """What counters.sqlite keeps of it."""
        return [
            Table("warmup", self.warmup, _WARMUP_KEPT_SECONDS),
            Table("ip_state", self.ip_states, _REST_KEPT_SECONDS),
            Table("egress_band", self.bands, _REST_KEPT_SECONDS),
        ]

    def take_up(self, sources: Iterable[EgressSource], pools: Members) -> None:
        """Use other sources and pools from the next connection on; what is in flight ends where it is."""
        known = {one.name: one for one in sources if one.state is not SourceState.RETIRED}
        active = {name: one for name, one in known.items() if one.state is SourceState.ACTIVE}
        self._is_configured = bool(known)
        self._addresses = {name: one.address for name, one in known.items()}
        self._taking = frozenset(active) if known else frozenset((IMPLICIT,))
        self._warming = frozenset(name for name, one in active.items() if one.is_warming)
        own = {pool: self._sources(active, members) for pool, members in pools.items()}
        usual = own.get(FAIR) or self._sources(active, dict.fromkeys(active, 1))
        self._pools = {pool: members or usual for pool, members in own.items()}
        self._usual = usual
        self._rounds.clear()

    def resolve(self, pool: str) -> str:
        """A name that pools treated alike share: "" is that of those without own members, while nothing warms up."""
        if not self._is_configured:
            return ""
        return pool if pool in self._pools or (self._warming and not may_warm(pool)) else ""

    def is_warming(self, source: str) -> bool:
        """Tell whether each message of a source is counted against a plan."""
        return source in self._warming

    def members(self, pool: str) -> Sequence[Source]:
        """The sources a pool uses: its own, else those of `fair`, else all, else the implicit one."""
        return self._pools.get(pool, self._usual) if self._is_configured else self._only

    def candidates(self, pool: str, destination: str, now: float) -> Sequence[Source]:
        """The sources that may take mail now, the one whose turn it is first; nothing is advanced."""
        if not self._is_configured:
            return self._only
        fit = self._eligible(pool, destination, now)
        if len(fit) < 2:
            return fit
        first = self._preferred(pool, destination, fit, now)
        order = self._round(pool, destination).order(self._weights(fit, destination, now))
        return sorted((fit[place] for place in order), key=lambda one: one not in first)

    def choose(self, pool: str, destination: str, now: float, may: Callable[[Source], bool]) -> Source | None:
        """The source for the next connection, of those for which `may`; its turn is over then."""
        if not self._is_configured:
            return self._implicit if may(self._implicit) else None
        fit = [one for one in self._eligible(pool, destination, now) if may(one)]
        if not fit:
            return None
        fit = self._preferred(pool, destination, fit, now)
        return fit[self._round(pool, destination).take(self._weights(fit, destination, now))]

    def has_other(self, pool: str, destination: str, source: str, now: float) -> bool:
        """Tell whether another source of the pool may take the mail, at once or when its warm-up has room."""
        if not self._is_configured:
            return False
        rest_left = self.ip_states.rest_left
        others = (one.name for one in self._allowed(pool, destination, now) if one.name != source)
        return any(not rest_left(name, destination, now) for name in others)

    def wait(self, pool: str, destination: str, now: float) -> float:
        """Seconds until a source of the pool may take mail, when none may now."""
        if not self._is_configured:
            return 0.0
        waits = (self._wait(one, destination, now) for one in self._allowed(pool, destination, now))
        return min(waits, default=_NOBODY_SECONDS)

    def message_wait(self, source: str, destination: str, now: float) -> float:
        """0: one more message may go from this source, and is counted; else the seconds until its quota has room.

        A source that was quarantined, retired or removed has none: its open connections take nothing new.
        """
        if source in self._warming:
            return self.warmup.take(source, destination, now)
        return 0.0 if source in self._taking else _DRAINED_SECONDS

    def give_back(self, source: str, destination: str) -> None:
        """The message counted last was not sent."""
        if source in self._warming:
            self.warmup.give_back(source, destination)

    def succeeded(self, source: str, destination: str, now: float) -> None:
        """A message was delivered."""
        if self._is_configured:
            self.ip_states.delivered(source, destination, now)

    def heard(self, source: str, destination: str, category: Category, reply: Reply, now: float) -> bool:
        """Take a 4yz or 5yz reply as evidence; tell whether the source rests for the destination now.

        Replies of ours say nothing, nor does anything of the implicit source: there is no other to turn to.
        """
        if source not in self._addresses:
            return False
        is_warming = source in self._warming
        if is_deferral(category, reply):
            self.ip_states.deferred(source, destination, now)
            if is_warming:
                self.warmup.deferred(source, destination, now)
        if is_warming and is_policy_block(category, reply):
            self.warmup.blocked(source, destination, now)
        if not blames_address(category, reply, self._addresses[source]):
            return False
        self.ip_states.blocked(source, destination, now)
        return True

    def complained(self, source: str, destination: str, count: int, now: float) -> None:
        """Complaints about mail of this source, for its warm-up."""
        if source in self._warming:
            self.warmup.complained(source, destination, count, now)

    def forget(self, source: str) -> None:
        """Drop what was known of a source that was removed: its name may be given to another address."""
        self.warmup.forget(source)
        self.ip_states.wake(source)

    def _sources(self, active: dict[str, EgressSource], weights: Mapping[str, int]) -> tuple[Source, ...]:
        hostname = self._implicit.ehlo
        return tuple(
            Source(name, active[name].address, active[name].ehlo or hostname, weight)
            for name, weight in weights.items()
            if name in active
        )

    def _is_cold(self, one: Source, destination: str, now: float) -> bool:
        return one.name in self._warming and not self.warmup.is_warm(one.name, destination, now)

    def _allowed(self, pool: str, destination: str, now: float) -> Sequence[Source]:
        """The members, without those too cold for such mail unless there are no others."""
        members = self.members(pool)
        if not self._warming or may_warm(pool):
            return members
        return [one for one in members if not self._is_cold(one, destination, now)] or members

    def _wait(self, one: Source, destination: str, now: float) -> float:
        rest = self.ip_states.rest_left(one.name, destination, now)
        return max(rest, self.warmup.wait(one.name, destination, now)) if one.name in self._warming else rest

    def _eligible(self, pool: str, destination: str, now: float) -> list[Source]:
        return [one for one in self._allowed(pool, destination, now) if not self._wait(one, destination, now)]

    def _preferred(self, pool: str, destination: str, fit: list[Source], now: float) -> list[Source]:
        """Mail of good senders, and of dedicated pools, uses up what warm-up allows first; `fair` takes its turns."""
        if not self._warming or pool in ("", FAIR) or not may_warm(pool):
            return fit
        return [one for one in fit if self._is_cold(one, destination, now)] or fit

    def _weights(self, fit: Sequence[Source], destination: str, now: float) -> list[tuple[str, float]]:
        """Half as often where it is put off much, or where analytics calls it poor or bad."""
        degraded, low = self.ip_states.is_degraded, self.bands.is_low
        return [
            (
                one.name,
                one.weight * (0.5 if degraded(one.name, destination, now) or low(one.name, destination, now) else 1.0),
            )
            for one in fit
        ]

    def _round(self, pool: str, destination: str) -> Rotation:
        key = pool, self.warmup.plan.provider_of(destination)
        return self._rounds.get(key) or self._rounds.setdefault(key, Rotation())
