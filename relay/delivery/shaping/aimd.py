"""What a destination's refusals teach: halve at once, recover slowly (additive increase, multiplicative decrease).

Spec 2.9: on a rate-type 4yz rate and connections are halved, at least 1 remains; 10 % of what there was before comes
back every 10 minutes without such a reply. One that complains of connections halves these only: a hop that allows two
of them takes as many messages as before. Pure functions on values.
"""

import math

import msgspec

STEP_SECONDS = 600.0
STEP_SHARE = 0.1
# Ten connections may be told the same thing at the same moment: that is one refusal, not 1/1024 of the pace
SAME_EVENT_SECONDS = 30.0
_EPSILON = 1e-9


class Learned(msgspec.Struct, frozen=True):
    """The pace after the last halving. `base_...`: before the first one; rates in messages a minute, 0: not limited."""

    base_rate: float
    rate: float
    base_connections: int
    connections: float
    cut_at: float
    heard_at: float
    reply: str


def cut(before: Learned | None, rate: float, connections: int, reply: str, now: float) -> Learned:
    """Halve. `connections`: what is in force without anything learned; `rate`: likewise, 0: leave the rate alone."""
    if before is None or now >= ends_at(before):
        before = Learned(rate, rate, connections, connections, -math.inf, now, reply)
    if now - before.cut_at < SAME_EVENT_SECONDS:
        return msgspec.structs.replace(before, heard_at=now)
    if rate and not before.base_rate:
        before = msgspec.structs.replace(before, base_rate=rate, rate=rate)
    old_rate = rate_of(before, now)
    return Learned(
        base_rate=before.base_rate,
        rate=max(min(1.0, before.base_rate), old_rate / 2) if rate else old_rate,
        base_connections=before.base_connections,
        connections=max(1.0, _recovered(before.connections, before.base_connections, before, now) / 2),
        cut_at=now,
        heard_at=now,
        reply=reply,
    )


def rate_of(learned: Learned, now: float) -> float:
    """Messages a minute now; 0: not limited."""
    return _recovered(learned.rate, learned.base_rate, learned, now)


def connections_of(learned: Learned, now: float) -> int:
    """Connections at once now, at least 1."""
    return max(1, int(_recovered(learned.connections, learned.base_connections, learned, now) + _EPSILON))


def changes_at(learned: Learned, now: float) -> float:
    """When the next tenth comes back."""
    return learned.heard_at + STEP_SECONDS * (_steps(learned, now) + 1)


def ends_at(learned: Learned) -> float:
    """When all of it has come back, if no further refusal comes."""
    missing = [
        (base - value) / (STEP_SHARE * base)
        for base, value in ((learned.base_rate, learned.rate), (learned.base_connections, learned.connections))
        if base
    ]
    return learned.heard_at + STEP_SECONDS * math.ceil(max(missing, default=0.0) - _EPSILON)


def _recovered(value: float, base: float, learned: Learned, now: float) -> float:
    return min(base, value + STEP_SHARE * base * _steps(learned, now))


def _steps(learned: Learned, now: float) -> int:
    return max(0, int((now - learned.heard_at) // STEP_SECONDS))
