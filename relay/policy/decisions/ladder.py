"""What follows from an alarm: how hard the sender is stopped this time, until when, and who else (spec 2.5).

new -> ok -> watch -> throttled -> held -> blocked -> suspended. The first stop is what the alarm asks for. A stop that
ends by itself leaves a day of watching; who is stopped again in it is blocked, and one block too many within a week
suspends. Pure; must never keep state or ask a clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from relay.policy.decisions.decision import STANDING_OF, STOPPING, Effect, Evidence, Standing, State
from relay.policy.triggers.sequential import SPAM_PRIOR as _PRIOR
from relay.policy.triggers.sequential import Alarm, SignalState, beta_exceeds, percent
from relay.settings import Policy

CLEAN_TRAFFIC, ACCOUNT_WIDE = "clean_traffic", "account_wide"

_ORDER = list(Standing)
_PROBABLY = 0.5  # spec 2.5: released when P(rate > warn line) is below


@dataclass(frozen=True, slots=True)
class Rung:
    """The effect that an alarm has now. `ends_at` None: until a person ends it. `note` is added to the reason."""

    effect: Effect
    ends_at: datetime | None
    note: str = ""
    value: float | None = None  # the share of its limits that the sender keeps


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a hold may end early."""

    reason: str
    evidence: Evidence


def rung(alarm: Alarm, state: State, now: datetime, policy: Policy) -> Rung | None:
    """Return what the alarm does to a sender that stands at `state`; None: it has that already, or worse."""
    if alarm.effect in STOPPING:
        return _stop(alarm.effect, state, now, policy)
    if _ORDER.index(STANDING_OF[alarm.effect]) <= _ORDER.index(state.standing):
        return None
    if alarm.effect is Effect.THROTTLE:
        return Rung(Effect.THROTTLE, _after(now, policy.throttle_minutes), value=policy.throttle_factor)
    return Rung(Effect.WATCH, _after(now, policy.watch_minutes))


def early_end(state: State, signal: SignalState, policy: Policy) -> Ended | None:
    """Return why an automatic hold may end before its time: fresh traffic, and enough of it, is clean."""
    row = state.decision
    if row is None or not row.proposal.is_automatic or row.proposal.effect is not Effect.HOLD:
        return None
    if row.proposal.ends_at is None or signal.spam_count or signal.seen < policy.clean_messages:
        return None  # a person has confirmed it, or it goes on, or too little is known
    doubt = beta_exceeds(policy.spam_warn_line, 0.0, signal.seen, _PRIOR.bad, _PRIOR.good)
    if doubt >= _PROBABLY:
        return None
    reason = (
        f"the last {signal.seen:g} messages within an hour were clean; {percent(1 - doubt)} sure the true spam rate is "
        f"below {percent(policy.spam_warn_line)}"
    )
    return Ended(reason, {"seen": signal.seen, "spam": 0, "line": policy.spam_warn_line, "window_minutes": 60})


def climbs(sender: str, stopped: Sequence[str], policy: Policy) -> list[str]:
    """Return the senders of an account stopped within the hour, this one too, where they are enough to think of the
    whole server; [] else. Then its unknown and new senders are held, and nobody with a history."""
    senders = list(dict.fromkeys((*stopped, sender)))
    return senders if len(senders) >= policy.climb_senders else []


def gives_back(suspect: int, parked: int, policy: Policy) -> bool:
    """Tell whether a stop that ends by itself gives back what it parked: not where so much of it scored as suspect that
    the rest is the same hand's work, which the model did not see through. Then a person decides."""
    return suspect < policy.spam_line * parked


def _stop(asked: Effect, state: State, now: datetime, policy: Policy) -> Rung:
    effect, note = asked, ""
    if state.watched_from is not None:
        effect, note = Effect.BLOCK, f"again within 24 h after the stop that ended at {state.watched_from:%H:%M} UTC"
    if effect is Effect.HOLD:
        return Rung(Effect.HOLD, _after(now, policy.hold_minutes), note)
    if state.blocks + 1 >= policy.blocks_until_suspended:
        return Rung(Effect.SUSPEND, None, f"stopped for the {_nth(state.blocks + 1)} time in 7 days")
    return Rung(Effect.BLOCK, _after(now, policy.block_minutes), note)


def _after(now: datetime, minutes: int) -> datetime:
    return now + timedelta(minutes=minutes)


def _nth(number: int) -> str:
    """
    >>> _nth(1), _nth(2), _nth(3), _nth(11), _nth(22)
    ('1st', '2nd', '3rd', '11th', '22nd')
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
