"""Triggers on what is unusual for a sender, and the warnings: throttle or watch, except a storm of bounces: hold.

Pure; must never keep state or ask a clock.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from relay.policy.decisions.decision import Effect, Evidence
from relay.policy.signals.habits import LEAST, Usual, line
from relay.policy.signals.signal import Alarm, SignalState
from relay.policy.triggers.posterior import Prior, copies, percent, share, sure_above
from relay.settings import Policy

_DAY, _HOUR = 86_400, 3_600
_LEARNT_WEEKS = 2  # before, nobody knows what is usual
_SPREAD = 0.7  # of the logarithm of an honest sender's busy hours: 3 of 20 hours twice the median, one 3 times
_P95 = 1.645
_FAILED_PRIOR = Prior(0.5, 4.5)
_STRANGERS_LEAST = 50
_STRANGERS_WEIGHT = 10.0  # recipients that the usual share is worth
_TIMES_USUAL_NULLS = 10.0
_TIMES_USUAL_NETWORKS = 3.0


def storm_alarms(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    """Mail from <>: bounces and auto-replies to forged senders (backscatter)."""
    usual = signal.usual_nulls
    if signal.nulls < max(policy.null_line, _TIMES_USUAL_NULLS * usual):
        return
    reason = f"{signal.nulls} recipients of mail from <> in this hour; usually {usual:g}, held from {policy.null_line}"
    evidence: Evidence = {"nulls": signal.nulls, "usual": usual, "line": policy.null_line, "window_minutes": 60}
    yield Alarm("null_sender_storm", reason, _poisson(signal.nulls, usual), _HOUR, evidence)


def same_text_alarms(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    """One suspect text from new senders only."""
    if signal.same_text < policy.same_text_senders:
        return
    certainty = 1.0 - 0.5**signal.same_text
    reason = (
        f"{signal.same_text} new senders, and nobody else, sent nearly the same text within an hour, "
        "and it looks like spam"
    )
    evidence: Evidence = {"senders": signal.same_text, "line": policy.same_text_senders, "window_minutes": 60}
    yield Alarm("same_text", reason, certainty, _HOUR, evidence)


def throttling_alarms(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    """Volume, unique recipients, strangers, failures, logins: slower until somebody knows more."""
    if signal.weeks >= _LEARNT_WEEKS:
        yield from _above_habit("volume", "recipients", signal.volume, signal.usual_volume, signal.most_volume)
        yield from _above_habit(
            "unique_recipients", "different recipients", signal.unique, signal.usual_unique, signal.most_unique
        )
    if signal.strangers >= _STRANGERS_LEAST:
        yield from _strangers(signal, policy)
    if signal.failed:
        yield from _failed(signal, policy)
    if signal.networks >= policy.login_networks:
        yield from _networks(signal, policy)


@dataclass(frozen=True, slots=True)
class _Warning:
    rule: str
    what: str
    line: float
    prior: Prior
    window_seconds: int
    least: float = 1


# Where SES reviews an account (spec 2.4): half the pause line of bounces, a fifth of that of complaints. For spam half
# the pause line, too, and two texts: one misjudged message of a new sender is surely above
SPAM_WARN, BOUNCE_WARN, COMPLAINT_WARN = 0.10, 0.05, 0.001
_SPAM = _Warning("spam_warning", "messages scored as spam", SPAM_WARN, Prior(0.2, 3.8), _HOUR, 1.5)
_BOUNCES = _Warning("hard_bounce_warning", "hard bounces", BOUNCE_WARN, Prior(0.5, 9.5), _DAY, 2)
_COMPLAINTS = _Warning("complaint_warning", "complaints", COMPLAINT_WARN, Prior(0.05, 49.95), 7 * _DAY)


def warning_alarms(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    """Yield what is above its warn line with policy.warn_certainty: watched, nothing else."""
    if signal.spam_count:
        yield from _warn(_SPAM, signal.spam_count, signal.seen, policy)
    if signal.hard_bounces:
        yield from _warn(_BOUNCES, signal.hard_bounces, signal.day_seen, policy)
    if signal.complaints:
        yield from _warn(_COMPLAINTS, signal.complaints, signal.week_seen, policy)
    if signal.place:
        yield from _new_country(signal, policy)


def _warn(kind: _Warning, bad: float, seen: float, policy: Policy) -> Iterator[Alarm]:
    seen = max(bad, seen)
    if bad < kind.least or (certainty := sure_above(kind.line, bad, seen, kind.prior)) < policy.warn_certainty:
        return
    reason = (
        f"{kind.what} {share(bad, seen)} in {kind.window_seconds // _HOUR} h{copies(seen)}; {percent(certainty)} sure "
        f"the true rate is above the warn line of {percent(kind.line)}"
    )
    evidence: Evidence = {"bad": bad, "seen": seen, "line": kind.line, "window_minutes": kind.window_seconds // 60}
    yield Alarm(kind.rule, reason, certainty, kind.window_seconds, evidence, Effect.WATCH)


def _above_habit(rule: str, what: str, count: int, usual: float, most: float) -> Iterator[Alarm]:
    if count <= LEAST or count <= (bound := line(Usual(usual, most))):
        return
    # log-normal hours whose 95th percentile is what is usual
    certainty = _normal(math.log(count / max(usual, 1.0)) / _SPREAD + _P95)
    reason = (
        f"{count} {what} in this hour; in this hour of the week usually at most {usual:g}, in any hour of five weeks "
        f"at most {most:g}; throttled above {bound:g}"
    )
    evidence: Evidence = {"count": count, "usual": usual, "most": most, "line": bound, "window_minutes": 60}
    yield Alarm(rule, reason, certainty, _HOUR, evidence, Effect.THROTTLE)


def _strangers(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    usual, seen = signal.usual_strangers, max(signal.day_seen, signal.strangers)
    bound = max(policy.stranger_line, 3 * usual)
    if bound >= 1:
        return  # it always writes to strangers
    prior = Prior(max(_STRANGERS_WEIGHT * usual, 0.1), _STRANGERS_WEIGHT * (1 - usual))
    certainty = sure_above(bound, signal.strangers, seen, prior)
    if certainty < policy.certainty:
        return
    reason = (
        f"{signal.strangers} of {seen} recipients in 24 h were never written to before, usually {percent(usual)}; "
        f"{percent(certainty)} sure the true share is above {percent(bound)}"
    )
    evidence: Evidence = {
        "strangers": signal.strangers,
        "seen": seen,
        "usual": usual,
        "line": bound,
        "window_minutes": 1_440,
    }
    yield Alarm("unknown_recipients", reason, certainty, _DAY, evidence, Effect.THROTTLE)


def _failed(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    bad = signal.failed + signal.hard_bounces
    seen = max(signal.day_seen, bad)
    certainty = sure_above(policy.failed_line, bad, seen, _FAILED_PRIOR)
    if certainty < policy.certainty:
        return
    reason = (
        f"recipients failed or put off {bad} of {seen} in 24 h; "
        f"{percent(certainty)} sure the true rate is above {percent(policy.failed_line)}"
    )
    evidence: Evidence = {"failed": bad, "seen": seen, "line": policy.failed_line, "window_minutes": 1_440}
    yield Alarm("failed_share", reason, certainty, _DAY, evidence, Effect.THROTTLE)


def _networks(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    usual = signal.usual_networks
    certainty = _poisson(signal.networks, usual)
    if signal.networks < _TIMES_USUAL_NETWORKS * usual or certainty < policy.certainty:
        return
    news = f"; never seen for it before: {', '.join(signal.news)}" if signal.news else ""
    reason = f"the login was used from {signal.networks} new networks in 24 h, usually {usual:g} a day{news}"
    evidence: Evidence = {
        "networks": signal.networks,
        "usual": usual,
        "line": policy.login_networks,
        "window_minutes": 1_440,
    }
    if signal.news:
        evidence["never_seen"] = list(signal.news)
    yield Alarm("login_networks", reason, certainty, _DAY, evidence, Effect.THROTTLE)


def _new_country(signal: SignalState, policy: Policy) -> Iterator[Alarm]:
    """Laplace's rule of succession: after m news in d days, the next day brings one with (m + 1) / (d + 2)."""
    certainty = 1.0 - (signal.place_moves + 1) / (signal.place_days + 2)
    if certainty < policy.warn_certainty:
        return
    reason = (
        f"login from a country never seen for this credential: {signal.place}; on {signal.place_days} days before "
        f"from {', '.join(signal.usual_places)} only, {percent(certainty)} sure that this is not its habit"
    )
    evidence: Evidence = {
        "place": signal.place,
        "days": signal.place_days,
        "moves": signal.place_moves,
        "usual": list(signal.usual_places),
        "window_minutes": 1_440,
    }
    yield Alarm("login_country", reason, certainty, _DAY, evidence, Effect.WATCH)


def _poisson(count: int, usual: float) -> float:
    """P(fewer than `count`) where `usual` are expected, at least one."""
    expected = max(usual, 1.0)
    if count > 50:
        return _normal(2 * (math.sqrt(count) - math.sqrt(expected)))  # Anscombe: the root has spread 1/2
    return min(math.exp(-expected) * sum([expected**n / math.factorial(n) for n in range(count)]), 1.0)


def _normal(deviations: float) -> float:
    return 0.5 * (1 + math.erf(deviations / math.sqrt(2)))
