"""What a destination may get now against what its provider's table says, and which rule made the difference. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from relay.control.shaping.views import DestinationView, EffectView
from relay.delivery.shaping.rules import Kind


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit at one egress source ("": all of them). `effect` None: nothing but the table."""

    source: str
    words: str
    configured: float | None
    now: float | None
    effect: EffectView | None


_WORDS = {
    Kind.CONNECTIONS: "connections at once",
    Kind.RATE: "messages a minute",
    Kind.MESSAGES_PER_CONNECTION: "messages per connection",
    Kind.CONNECTION_RATE: "new connections a minute",
}


def stop(view: DestinationView) -> EffectView | None:
    """What stops a destination, for all sources before one; of several, what lasts longest."""
    stops = [effect for effect in view.effects if effect.kind == Kind.SUSPEND]
    return max(stops, key=lambda effect: (effect.source == "", _end(effect)), default=None)


def limits(view: DestinationView) -> list[Limit]:
    """Every limit: first for all sources, then for each source that something else is in force for."""
    found = []
    for kind, value in _configured(view).items():
        of_kind = [effect for effect in view.effects if effect.kind == kind]
        common = [effect for effect in of_kind if not effect.source]
        found.append(_folded("", kind, value, common))
        for source in sorted({effect.source for effect in of_kind} - {""}):
            own = [effect for effect in of_kind if effect.source == source]
            found.append(_folded(source, kind, value, [*common, *own]))
    return found


def by_hand(effects: Sequence[EffectView], kind: Kind, source: str) -> float | None:
    """The number that a person set for this source ("": for all of them) and that holds; None: none did."""
    own = [one.value for one in effects if one.author and one.kind == kind and one.source == source]
    return own[-1] if own else None


def in_words(effects: Sequence[EffectView]) -> str:
    """What is in force, as the list of destinations says it; "" for nothing."""
    return ", ".join(dict.fromkeys(_said(effect) for effect in effects))


def _folded(source: str, kind: Kind, configured: float | None, effects: Sequence[EffectView]) -> Limit:
    """As delivery/shaping/lane.py folds: an operator's youngest word replaces the table's, rules only lower it."""
    by_hand = [effect for effect in effects if effect.author]
    current, because = (by_hand[-1].value, by_hand[-1]) if by_hand else (configured, None)
    for effect in effects:
        if not effect.author and (current is None or effect.value < current):
            current, because = effect.value, effect
    return Limit(source, _WORDS[kind], configured, current, because)


def _configured(view: DestinationView) -> dict[Kind, float | None]:
    return {
        Kind.CONNECTIONS: view.connections,
        Kind.RATE: view.messages_per_minute,
        Kind.MESSAGES_PER_CONNECTION: view.messages_per_connection,
        Kind.CONNECTION_RATE: view.connections_per_minute,
    }


def _said(effect: EffectView) -> str:
    where = f" from {effect.source}" if effect.source else ""
    match effect.kind:
        case Kind.SUSPEND:
            return f"stopped{where}"
        case Kind.CONNECTIONS:
            return f"{effect.value:g} connection{'' if effect.value == 1 else 's'}{where}"
        case Kind.RATE:
            return f"{effect.value:g} a minute{where}"
        case Kind.MESSAGES_PER_CONNECTION:
            return f"{effect.value:g} per connection{where}"
        case Kind.CONNECTION_RATE:
            return f"{effect.value:g} new connections a minute{where}"
        case _:
            return f"names the sender's {effect.blames or 'domains'}{where}"


def _end(effect: EffectView) -> float:
    return effect.until_at.timestamp() if isinstance(effect.until_at, datetime) else float("inf")
