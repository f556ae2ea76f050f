"""All lanes: made when first asked for, dropped when quiet; what is in force in them survives a restart.

A counters.Source: the table "shaping". One row for each lane that has effects, one for each rule that ever matched.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from relay.delivery.shaping.effects import ShapingEffect
from relay.delivery.shaping.lane import Lane, LaneRow
from relay.delivery.shaping.providers import Provider, Providers

_log = logging.getLogger("mailweir.shaping")

_MAX_QUIET = 20_000  # destinations in memory, about 1.5 kB each; beyond, quiet ones are dropped
_LANE, _RULE, _SINCE = "lane|", "rule|", "since"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LaneRow).decode


@dataclass(slots=True, eq=False)
class Place:
    """One destination: its lanes by source; `open`: connections of all of them. `common` has what holds for all."""

    provider: Provider
    common: Lane
    lanes: dict[str, Lane] = field(default_factory=dict)
    open: int = 0


class Lanes:
    """`places` is read directly on the hot path; everything that changes a lane goes through `changed`."""

    def __init__(self, providers: Providers) -> None:
        self.providers = providers
        self.places: dict[str, Place] = {}
        self.matched: dict[str, float] = {}
        self.since = 0.0
        self.latest = 0.0  # the latest `now` seen, for the writing thread's questions, which bring none
        self._holding: set[Lane] = set()
        self._dirty: set[Lane] = set()
        self._dirty_rules: set[str] = set()
        self._next_sweep = _MAX_QUIET

    def take_up(self, providers: Providers) -> None:
        self.providers = providers
        for destination, place in self.places.items():
            place.provider = providers.named(destination)
            for lane in place.lanes.values():
                lane.provider, lane.changes_at = place.provider, 0.0

    def make_place(self, destination: str) -> Place:
        if len(self.places) >= self._next_sweep:
            self._drop_quiet()
        provider = self.providers.named(destination)
        place = self.places[destination] = Place(provider, Lane(destination, "", provider, []))
        return place

    def make_lane(self, destination: str, source: str) -> Lane:
        """The lane of a source; of source "", what holds for all."""
        place = self.places.get(destination) or self.make_place(destination)
        if not source:
            return place.common
        lane = place.lanes.get(source)
        if lane is None:
            lane = place.lanes[source] = Lane(destination, source, place.provider, place.common.effects)
        return lane

    def of(self, destination: str, source: str) -> list[Lane]:
        """The lane of a source; of source "", all there are."""
        place = self.places.get(destination)
        if place is None:
            return []
        if not source:
            return [place.common, *place.lanes.values()]
        return [place.lanes[source]] if source in place.lanes else []

    def holding(self) -> list[Lane]:
        """Those with something in force, or counted."""
        return list(self._holding)

    def refresh(self, lane: Lane, now: float) -> None:
        """Fold what is in force anew; what has ended is forgotten."""
        if lane.refresh(now):
            self._dirty.add(lane)

    def changed(self, lane: Lane, now: float) -> None:
        """Something was set or ended there."""
        self._holding.add(lane)
        self._dirty.add(lane)
        lane.refresh(now)
        if not lane.source:
            for other in self.places[lane.destination].lanes.values():
                other.changes_at = 0.0

    def note_match(self, lane: Lane, rule_id: str, now: float) -> None:
        self.matched[rule_id] = now
        self._dirty_rules.add(rule_id)
        self._holding.add(lane)
        self._dirty.add(lane)

    def see(self, now: float) -> None:
        self.latest = max(self.latest, now)
        if not self.since:
            self.since = now
            self._dirty_rules.add(_SINCE)

    def dirty(self) -> list[tuple[str, bytes]]:
        for lane in [lane for lane in self._holding if lane.next_end_at() <= self.latest]:
            self.changed(lane, self.latest)
        rows = []
        for lane in self._dirty:
            row = lane.row()
            rows.append((f"{_LANE}{lane.destination}|{lane.source}", _encode(row) if row else b""))
            if row is None:
                self._holding.discard(lane)
        for rule_id in self._dirty_rules:
            known = rule_id == _SINCE
            rows.append(
                (_SINCE if known else f"{_RULE}{rule_id}", _encode(self.since if known else self.matched[rule_id]))
            )
        self._dirty.clear()
        self._dirty_rules.clear()
        return rows

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        unreadable = 0
        for key, content in rows:
            try:
                self._load(key, content)
            except (msgspec.DecodeError, UnicodeError) as error:
                _log.warning("shaping row unreadable key=%s error=%s", key, error)
                unreadable += 1
        return unreadable

    def _load(self, key: str, content: bytes) -> None:
        if key == _SINCE:
            self.since = msgspec.json.decode(content, type=float)
        elif key.startswith(_RULE):
            self.matched[key.removeprefix(_RULE)] = msgspec.json.decode(content, type=float)
        else:
            row = _decode(content)
            lane = self.make_lane(row.destination, row.source)
            lane.effects[:] = row.effects
            lane.learned, lane.procedure, lane.matches = row.learned, row.procedure, row.matches
            self._holding.add(lane)  # it is folded when first asked: until then there is no `now`

    def _drop_quiet(self) -> None:
        held = {lane.destination for lane in self._holding | self._dirty}
        self.places = {
            destination: place
            for destination, place in self.places.items()
            if place.open
            or destination in held
            or not all(lane.pace.is_idle(self.latest) for lane in place.lanes.values())
        }
        self._next_sweep = len(self.places) + _MAX_QUIET


def put(lane: Lane, effect: ShapingEffect) -> bool:
    """Set an effect, in the place of the same rule's earlier one; tell whether it is new."""
    for number, known in enumerate(lane.effects):
        if (known.kind, known.rule) == (effect.kind, effect.rule):
            is_new = known.until_at <= effect.since_at
            since = effect.since_at if is_new else known.since_at
            times = 1 if is_new else known.times + 1
            lane.effects[number] = msgspec.structs.replace(effect, since_at=since, times=times)
            return is_new
    lane.effects.append(effect)
    return True
