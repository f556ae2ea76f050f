"""What is known of a sender when its message is judged, and what a trigger says of it. Values only."""

from dataclasses import dataclass

import msgspec

from relay.policy.decisions.decision import Effect, Evidence
from relay.policy.signals.origins import NOT_ROAMING, Roaming

ZERO = 0.0  # the one object: msgspec leaves out a default by its identity


class SignalState(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A sender's counts with the message at hand: spam of 1 h, hard bounces of 24 h, complaints of 7 d.

    A plain value with all that `alarms` asks for: written whole into the journal, it lets a verdict be computed again.

    In `spam_count` a suspect message is half a spam. `certainty` is P(true spam rate >
    policy.spam_line). `bad_messages` are the ids of the latest bad ones. `counted_from_unix`: since when bad ones are
    counted, the first message or the last `forgive`. `burst` is the sum of burst.py: `burst_bad` of the last
    `burst_seen` messages raised it.

    Recipients of 24 h: `failed` for good or put off, and `strangers`, never written to before (0 while nobody knows to
    whom the sender usually writes); `usual_strangers` is their usual share. Recipients of this hour: `volume`, `unique`
    ones, and `nulls`, in mail from <>; `usual_...` and `most_...` as habits.py has them, `weeks` old. `networks`: new
    ones in 24 h from which the login was used, with `news` of countries and autonomous systems among them. `place`: a
    country never seen for the login, from which this message came; on `place_days` days before it came from somewhere
    new `place_moves` times, and was used from `usual_places`. `same_text`: new senders, this one too, that sent
    nearly the same suspect text within the hour, and nobody else did.
    """

    spam_count: float = ZERO
    seen: float = ZERO
    certainty: float = ZERO
    history: int = 0
    first_seen_unix: float = ZERO
    hard_bounces: int = 0
    day_seen: int = 0
    complaints: int = 0
    week_seen: int = 0
    bad_messages: tuple[str, ...] = ()
    counted_from_unix: float = ZERO
    burst: float = ZERO
    burst_bad: int = 0
    burst_seen: int = 0
    failed: int = 0
    nulls: int = 0
    usual_nulls: float = ZERO
    volume: int = 0
    usual_volume: float = ZERO
    most_volume: float = ZERO
    unique: int = 0
    usual_unique: float = ZERO
    most_unique: float = ZERO
    weeks: int = 0
    strangers: int = 0
    usual_strangers: float = ZERO
    networks: int = 0
    usual_networks: float = ZERO
    news: tuple[str, ...] = ()
    place: str = ""
    place_days: int = 0
    place_moves: int = 0
    usual_places: tuple[str, ...] = ()
    same_text: int = 0


class Traits(msgspec.Struct, frozen=True, gc=False):
    """What is known of one message beside its score. `fingerprint`: of its text (content/fingerprint.py), "" for one
    too short, None: unknown, then each text counts as another one. `recipients`: hashed (unique.py), empty: unknown.
    `is_null`: it comes from <>. The rest as in SignalState."""

    fingerprint: str | None = None
    recipients: tuple[bytes, ...] = ()
    is_null: bool = False
    roaming: Roaming = NOT_ROAMING
    same_text: int = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """A trigger that fires, with its reason in words, how far back its evidence reaches, and what it asks for."""

    rule: str
    reason: str
    certainty: float
    window_seconds: int
    evidence: Evidence
    effect: Effect = Effect.HOLD
