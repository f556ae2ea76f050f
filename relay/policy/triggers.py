"""Sequential triggers: how sure the counts make us that a sender's true rate lies above its line (spec 2.4).

One rule for three signals, and it prints its own reason. A detector of another kind (issue 7: CUSUM on the log odds,
for the burst behind a long clean history) is one more line in `alarms`. Pure; must never keep state or ask a clock.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from relay.policy.decision import Effect, Evidence
from relay.settings import Policy


@dataclass(frozen=True, slots=True)
class Prior:
    """Beta(bad, good): what is believed of a sender before it sent anything."""

    bad: float
    good: float


# Means 5 %, 5 % and 0.1 % with the weight of 4, 10 and 50 messages: simulated in spec 2.4
SPAM_PRIOR = Prior(0.2, 3.8)
HARD_BOUNCE_PRIOR = Prior(0.5, 9.5)
COMPLAINT_PRIOR = Prior(0.05, 49.95)

# spec 2.4: where SES pauses an account
HARD_BOUNCE_LINE = 0.10
COMPLAINT_LINE = 0.005


class SignalState(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A sender's counts with the message at hand: spam of 1 h, hard bounces of 24 h, complaints of 7 d.

    A plain value with all that `alarms` asks for: written whole into the journal, it lets a verdict be computed again.

    In `spam_count` a suspect message is half a spam. `certainty` is P(true spam rate >
    policy.spam_line). `bad_messages` are the ids of the latest bad ones. `counted_from_unix`: since when bad ones are
    counted, the first message or the last `forgive`.
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


@dataclass(frozen=True, slots=True)
class Alarm:
    """A trigger that fires, with its reason in words, how far back its evidence reaches, and what it asks for."""

    rule: str
    reason: str
    certainty: float
    window_seconds: int
    evidence: Evidence
    effect: Effect = Effect.HOLD


def alarms(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    """Yield the triggers that fire, the fastest first."""
    yield from _spam_alarm(signal, policy)
    yield from _outcome_alarm(_HARD_BOUNCES, signal.hard_bounces, signal.day_seen, policy)
    yield from _outcome_alarm(_COMPLAINTS, signal.complaints, signal.week_seen, policy)


@lru_cache(maxsize=65_536)  # senders have the same few counts; 6 us each
def spam_certainty(bad: float, seen: float, line: float) -> float:
    """Return P(true spam rate > line) after `bad` of `seen` messages."""
    return beta_exceeds(line, bad, seen, SPAM_PRIOR.bad, SPAM_PRIOR.good)


def beta_exceeds(line: float, bad: float, seen: float, prior_bad: float, prior_good: float) -> float:
    """Return P(rate > line | bad of seen) under the prior Beta(prior_bad, prior_good).

    That is 1 - I_line(a, b), the regularised incomplete beta function, by the continued fraction of
    Abramowitz and Stegun 26.5.8 on the side where it converges fast.

    >>> round(beta_exceeds(0.2, 5, 5, 0.2, 3.8), 4)
    0.9929
    """
    a, b = prior_bad + bad, prior_good + max(seen - bad, 0.0)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(line) + b * math.log1p(-line)
    if log_front < -745:  # exp() would be 0: the line lies far out on one side of the mean
        return 1.0 if line * (a + b) < a else 0.0
    front = math.exp(log_front)
    if line * (a + b + 2) < a + 1:
        return min(max(1.0 - front * _continued_fraction(line, a, b) / a, 0.0), 1.0)
    return min(max(front * _continued_fraction(1.0 - line, b, a) / b, 0.0), 1.0)


def percent(probability: float) -> str:
    """Write a probability for a reader, never rounded up to certainty.

    >>> percent(0.9942), percent(0.99999), percent(0.005)
    ('99.4 %', 'over 99.9 %', '0.5 %')
    """
    if probability > 0.999:
        return "over 99.9 %"
    return f"{probability * 100:.1f}".removesuffix(".0") + " %"


def _spam_alarm(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    if not signal.spam_count or signal.certainty < policy.certainty:
        return
    reason = (
        f"{signal.spam_count:g} of {signal.seen:g} messages in the last hour were scored as spam; "
        f"{percent(signal.certainty)} sure the true rate is above {percent(policy.spam_line)}"
    )
    evidence: Evidence = {
        "spam": signal.spam_count,
        "seen": signal.seen,
        "window_minutes": 60,
        "line": policy.spam_line,
        "messages": list(signal.bad_messages),
    }
    yield Alarm("spam_rate", reason, signal.certainty, 3_600, evidence)


@dataclass(frozen=True, slots=True)
class _OutcomeLine:
    noun: str
    line: float
    prior: Prior
    days: int


_HARD_BOUNCES = _OutcomeLine("hard_bounce", HARD_BOUNCE_LINE, HARD_BOUNCE_PRIOR, 1)
_COMPLAINTS = _OutcomeLine("complaint", COMPLAINT_LINE, COMPLAINT_PRIOR, 7)


def _outcome_alarm(kind: _OutcomeLine, bad: int, seen: int, policy: Policy) -> Iterator[Alarm]:
    if not bad:
        return
    seen = max(seen, bad)  # an outcome may come after its message has left the window
    certainty = beta_exceeds(kind.line, bad, seen, kind.prior.bad, kind.prior.good)
    if certainty < policy.certainty:
        return
    reason = (
        f"{kind.noun.replace('_', ' ')}s {bad} of {seen} in {kind.days * 24} h; "
        f"{percent(certainty)} sure the true rate is above {percent(kind.line)}"
    )
    evidence: Evidence = {
        f"{kind.noun}s": bad,
        "seen": seen,
        "window_minutes": kind.days * 24 * 60,
        "line": kind.line,
    }
    yield Alarm(f"{kind.noun}_rate", reason, certainty, kind.days * 86_400, evidence, Effect.BLOCK)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Evaluate the fraction by Lentz's method; O(sqrt(max(a, b))) terms."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, 10_000):
        m2 = a + 2 * m
        term = m * (b - m) * x / ((m2 - 1.0) * m2)
        d = 1.0 + term * d
        c = 1.0 + term / c
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = c if abs(c) > tiny else tiny
        value *= d * c
        term = -(a + m) * (a + b + m) * x / (m2 * (m2 + 1.0))
        d = 1.0 + term * d
        c = 1.0 + term / c
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = c if abs(c) > tiny else tiny
        step = d * c
        value *= step
        if abs(step - 1.0) < 1e-10:
            return value
    return value
