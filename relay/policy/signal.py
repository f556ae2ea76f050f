"""What is known of a sender when its message is judged, and what a trigger says of it. Values only."""

from dataclasses import dataclass

import msgspec

from relay.policy.decision import Effect, Evidence


class SignalState(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A sender's counts with the message at hand: spam of 1 h, hard bounces of 24 h, complaints of 7 d.

    A plain value with all that `alarms` asks for: written whole into the journal, it lets a verdict be computed again.

    In `spam_count` a suspect message is half a spam. `certainty` is P(true spam rate >
    policy.spam_line). `bad_messages` are the ids of the latest bad ones. `counted_from_unix`: since when bad ones are
    counted, the first message or the last `forgive`. `burst` is the sum of burst.py: `burst_bad` of the last
    `burst_seen` messages raised it.
    """

    spam_count: float = 0.0
    seen: float = 0.0
    certainty: float = 0.0
    history: int = 0
    first_seen_unix: float = 0.0
    hard_bounces: int = 0
    day_seen: int = 0
    complaints: int = 0
    week_seen: int = 0
    bad_messages: tuple[str, ...] = ()
    counted_from_unix: float = 0.0
    burst: float = 0.0
    burst_bad: int = 0
    burst_seen: int = 0


class Traits(msgspec.Struct, frozen=True, gc=False):
    """What is known of one message beside its score. `fingerprint`: of its text (content/fingerprint.py), "" for one
    too short, None: unknown, then each text counts as another one."""

    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """A trigger that fires, with its reason in words, how far back its evidence reaches, and what it asks for."""

    rule: str
    reason: str
    certainty: float
    window_seconds: int
    evidence: Evidence
    effect: Effect = Effect.HOLD
