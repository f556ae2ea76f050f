"""Sequential triggers: how sure the counts make us that a sender's true rate lies above its line (spec 2.4).

One rule for three signals, and it prints its own reason. Beside it burst.py, for the burst behind a long clean
history, and unusual.py, for what is unusual of a sender.
Pure; must never keep state or ask a clock.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from relay.policy.decisions.decision import Effect, Evidence
from relay.policy.signals.signal import Alarm, SignalState
from relay.policy.triggers.posterior import Prior, beta_exceeds, copies, percent, share, sure_above
from relay.policy.triggers.unusual import same_text_alarms, storm_alarms, throttling_alarms, warning_alarms
from relay.settings import Policy

__all__ = ["Alarm", "SignalState", "alarms", "beta_exceeds", "percent", "spam_certainty"]

# Means 5 %, 5 % and 0.1 % with the weight of 4, 10 and 50 messages: simulated in spec 2.4
SPAM_PRIOR = Prior(0.2, 3.8)
HARD_BOUNCE_PRIOR = Prior(0.5, 9.5)
COMPLAINT_PRIOR = Prior(0.05, 49.95)

# spec 2.4: where SES pauses an account
HARD_BOUNCE_LINE = 0.10
COMPLAINT_LINE = 0.005


def alarms(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    """Yield the triggers that fire, the severest and fastest first; a warning only when nothing else does."""
    is_calm = True
    for alarm in _pausing(signal, policy):
        is_calm = False
        yield _placed(alarm, signal.place) if signal.place else alarm
    if is_calm:
        yield from warning_alarms(signal, policy)


def spam_certainty(bad: float, seen: float, line: float) -> float:
    """Return P(true spam rate > line) after `bad` of `seen` messages."""
    return sure_above(line, bad, seen, SPAM_PRIOR)


def _placed(alarm: Alarm, place: str) -> Alarm:
    """Say beside a trigger's own reason from where its sender was logged in, where that is new."""
    reason = f"{alarm.reason}; its login came from a country never seen for it: {place}"
    return replace(alarm, reason=reason, evidence={**alarm.evidence, "place": place})


def _pausing(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    yield from _spam_alarm(signal, policy)
    yield from _burst_alarm(signal, policy)
    if signal.nulls:
        yield from storm_alarms(signal, policy)
    if signal.same_text:
        yield from same_text_alarms(signal, policy)
    yield from _outcome_alarm(_HARD_BOUNCES, signal.hard_bounces, signal.day_seen, policy)
    yield from _outcome_alarm(_COMPLAINTS, signal.complaints, signal.week_seen, policy)
    yield from throttling_alarms(signal, policy)


def _spam_alarm(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    if not signal.spam_count or signal.certainty < policy.certainty:
        return
    reason = (
        f"{share(signal.spam_count, signal.seen)} messages in the last hour were scored as spam{copies(signal.seen)}; "
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


def _burst_alarm(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    if signal.burst < policy.burst_line:
        return
    certainty = 1.0 - math.exp(-signal.burst)  # of log odds summed; capped and damped, so rather too little
    reason = (
        f"{signal.burst_bad} of the last {signal.burst_seen} messages look like spam, whatever came before; "
        f"{percent(certainty)} sure that the sender has changed"
    )
    evidence: Evidence = {
        "burst": round(signal.burst, 3),
        "line": policy.burst_line,
        "bad": signal.burst_bad,
        "seen": signal.burst_seen,
        "messages": list(signal.bad_messages),
    }
    yield Alarm("spam_burst", reason, certainty, 3_600, evidence)


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
    certainty = sure_above(kind.line, bad, seen, kind.prior)
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
