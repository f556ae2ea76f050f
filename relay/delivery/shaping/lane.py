"""One destination as seen from one egress source: what is in force there, folded into numbers that cost nothing to ask.

Pure; `now` is Unix seconds. The numbers hold until `changes_at`; then, and after every change, `refresh` folds anew.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from relay.delivery.shaping import aimd, google
from relay.delivery.shaping.effects import ShapingEffect
from relay.delivery.shaping.pace import Pace
from relay.delivery.shaping.providers import Provider
from relay.delivery.shaping.rules import Kind, ShapingRule

HOUR = 3600.0
_MINUTE = 60.0


class LaneRow(msgspec.Struct, frozen=True, kw_only=True):
    """What of a lane survives a restart. `source` "": of all sources."""

    destination: str
    source: str
    effects: list[ShapingEffect] = []
    learned: aimd.Learned | None = None
    procedure: google.Procedure | None = None
    matches: dict[str, list[float]] = {}


@dataclass(slots=True, eq=False)
class Lane:
    """`open`: connections. `common`: the effects of all sources, a list that the lanes of a destination share."""

    destination: str
    source: str
    provider: Provider
    common: list[ShapingEffect]
    effects: list[ShapingEffect] = field(default_factory=list)
    learned: aimd.Learned | None = None
    procedure: google.Procedure | None = None
    matches: dict[str, list[float]] = field(default_factory=dict)
    open: int = 0
    # both begin without a limit: the first `refresh` slows them down, with a pause, so that a restart sends no more
    pace: Pace = field(default_factory=Pace)
    opening: Pace = field(default_factory=Pace)
    connections: int = 1
    messages_per_connection: int = 1
    resumes_at: float = 0.0
    changes_at: float = 0.0
    sent: int = 0
    minute_ends_at: float = 0.0
    _sent_before: int = 0

    # ---- what went lately, for the pace to halve ----

    def roll(self, now: float) -> None:
        """Begin another minute of counting."""
        self._sent_before = self.sent if now < self.minute_ends_at + _MINUTE else 0
        self.sent, self.minute_ends_at = 0, now + _MINUTE

    def observed(self, now: float) -> float:
        """Messages a minute, lately; two in the first second are no pace of two a minute."""
        if now >= self.minute_ends_at:
            self.roll(now)
        if self._sent_before:
            return float(max(self.sent, self._sent_before))
        return self.sent * _MINUTE / max(1.0, now - (self.minute_ends_at - _MINUTE))

    # ---- what is in force ----

    def refresh(self, now: float) -> bool:
        """Fold what is in force into numbers; tell whether something has ended."""
        ended = self._drop_ended(now)
        effects = [effect for effect in (*self.common, *self.effects) if effect.until_at > now]
        provider = self.provider
        by_hand, by_rule = [e for e in effects if e.author], [e for e in effects if not e.author]
        connections = _last(by_hand, Kind.CONNECTIONS) or provider.connections
        rate = _last(by_hand, Kind.RATE) or provider.messages_per_minute or math.inf
        self.connections = max(1, int(min(connections, *_values(by_rule, Kind.CONNECTIONS), *self._slower(now))))
        rate = min(rate, *_values(by_rule, Kind.RATE), self._learned_rate(now))
        opening = min(provider.connections_per_minute or math.inf, *_values(by_rule, Kind.CONNECTION_RATE))
        self.messages_per_connection = int(
            min(provider.messages_per_connection, *_values(by_rule, Kind.MESSAGES_PER_CONNECTION))
        )
        self.pace.change(0.0 if rate == math.inf else rate, now)
        self.opening.change(0.0 if opening == math.inf else opening, now)
        stops = [effect.until_at for effect in effects if effect.kind is Kind.SUSPEND]
        if self.procedure is not None and google.is_stopped(self.procedure, now):
            stops.append(self.procedure.stopped_until)
        self.resumes_at = max(stops, default=0.0)
        self.changes_at = min((*(effect.until_at for effect in effects), *self._next_changes(now)), default=math.inf)
        return ended

    def in_force(self, now: float) -> list[ShapingEffect]:
        """This lane's own effects, what was learned and Google's procedure among them; not the common ones."""
        found = [effect for effect in self.effects if effect.until_at > now]
        if self.learned is not None and aimd.ends_at(self.learned) > now:
            found += learned_effects(self, self.learned, now)
        if self.procedure is not None and google.ends_at(self.procedure) > now:
            found.append(procedure_effect(self, self.procedure, now))
        return found

    def reaches(self, rule: ShapingRule, now: float) -> bool:
        """Count a match of a rule; tell whether it fires."""
        if rule.is_immediate:
            return True
        recent = [at for at in self.matches.get(rule.id, []) if at > now - HOUR]
        self.matches[rule.id] = [*recent, now]
        if len(recent) + 1 < rule.threshold:
            return False
        del self.matches[rule.id]
        return True

    def row(self) -> LaneRow | None:
        """What to remember; None: nothing."""
        if not (self.effects or self.learned or self.procedure or self.matches):
            return None
        return LaneRow(
            destination=self.destination,
            source=self.source,
            effects=self.effects,
            learned=self.learned,
            procedure=self.procedure,
            matches=self.matches,
        )

    def next_end_at(self) -> float:
        """When the first part of the row is over."""
        ends = [effect.until_at for effect in self.effects]
        ends += [at[-1] + HOUR for at in self.matches.values()]
        if self.learned is not None:
            ends.append(aimd.ends_at(self.learned))
        if self.procedure is not None:
            ends.append(google.ends_at(self.procedure))
        return min(ends, default=math.inf)

    def _drop_ended(self, now: float) -> bool:
        kept = [effect for effect in self.effects if effect.until_at > now]
        ended = len(kept) < len(self.effects)
        self.effects[:] = kept
        for rule_id in [rule_id for rule_id, at in self.matches.items() if at[-1] <= now - HOUR]:
            del self.matches[rule_id]
            ended = True
        if self.learned is not None and aimd.ends_at(self.learned) <= now:
            self.learned, ended = None, True
        if self.procedure is not None and google.ends_at(self.procedure) <= now:
            self.procedure, ended = None, True
        return ended

    def _slower(self, now: float) -> Iterable[int]:
        if self.learned is not None:
            yield aimd.connections_of(self.learned, now)
        if self.procedure is not None:
            yield self.procedure.connections

    def _learned_rate(self, now: float) -> float:
        return aimd.rate_of(self.learned, now) or math.inf if self.learned is not None else math.inf

    def _next_changes(self, now: float) -> Iterable[float]:
        if self.learned is not None:
            yield aimd.changes_at(self.learned, now)
        if self.procedure is not None:
            is_stopped = google.is_stopped(self.procedure, now)
            yield self.procedure.stopped_until if is_stopped else google.ends_at(self.procedure)


def learned_effects(lane: Lane, learned: aimd.Learned, now: float) -> list[ShapingEffect]:
    """What AIMD has in force, as effects."""
    values = [(Kind.CONNECTIONS, float(aimd.connections_of(learned, now))), (Kind.RATE, aimd.rate_of(learned, now))]
    return [
        ShapingEffect(
            destination=lane.destination,
            source=lane.source,
            kind=kind,
            value=value,
            rule="aimd",
            reply=learned.reply,
            since_at=learned.cut_at,
            until_at=aimd.ends_at(learned),
        )
        for kind, value in values
        if value
    ]


def procedure_effect(lane: Lane, procedure: google.Procedure, now: float) -> ShapingEffect:
    """Where Google's procedure stands, as an effect."""
    is_stopped = google.is_stopped(procedure, now)
    return ShapingEffect(
        destination=lane.destination,
        source=lane.source,
        kind=Kind.SUSPEND if is_stopped else Kind.CONNECTIONS,
        value=0.0 if is_stopped else float(procedure.connections),
        rule="google",
        reply=procedure.reply,
        since_at=procedure.since_at,
        until_at=procedure.stopped_until if is_stopped else google.ends_at(procedure),
        blames=procedure.blames,
    )


def _last(effects: Sequence[ShapingEffect], kind: Kind) -> float:
    """The youngest word of an operator; 0: none."""
    return next((effect.value for effect in reversed(effects) if effect.kind is kind), 0.0)


def _values(effects: Sequence[ShapingEffect], kind: Kind) -> list[float]:
    return [effect.value for effect in effects if effect.kind is kind] or [math.inf]
