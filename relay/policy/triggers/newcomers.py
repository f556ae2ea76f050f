"""What the new senders of an account share: one spam trigger, so that inventing names buys nothing (spec 2.5).

A hijacked server can send each message under another name, and no name lives long enough for its own trigger. So what
senders of less than a day send counts for all of them together. Who is held by his own trigger leaves the group first:
one hijacked newcomer must not stop his neighbours. Pure; must never keep state or ask a clock.
"""

from dataclasses import dataclass

from relay.policy.decisions.decision import Evidence, State
from relay.policy.triggers.posterior import copies, percent, share
from relay.policy.triggers.sequential import Alarm
from relay.settings import Policy
from relay.tree import NEWCOMER_SPAM_RATE

NEWCOMER_SECONDS = 86_400.0
NEWCOMER_SENDERS = 3  # spec 2.5: fewer are hijacked senders, not a hijacked server


@dataclass(frozen=True, slots=True)
class GroupSignal:
    """What an account's newcomers sent together in 1 h; a suspect message is half a spam.

    `senders` are those with bad messages. `certainty` is 0 while they are fewer than NEWCOMER_SENDERS.
    """

    spam_count: float = 0.0
    seen: float = 0.0
    certainty: float = 0.0
    senders: tuple[str, ...] = ()
    bad_messages: tuple[str, ...] = ()
    counted_from_unix: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """The newcomers' standing and signal; `key` is account|newcomers|."""

    key: str
    state: State
    signal: GroupSignal


def group_alarm(signal: GroupSignal, policy: Policy) -> Alarm | None:
    """Return the alarm of an account's newcomers, None while there is none."""
    if len(signal.senders) < NEWCOMER_SENDERS or signal.certainty < policy.certainty:
        return None
    reason = (
        f"{share(signal.spam_count, signal.seen)} messages of new senders in the last hour were scored as spam"
        f"{copies(signal.seen)}, from {len(signal.senders)} senders; "
        f"{percent(signal.certainty)} sure the true rate is above {percent(policy.spam_line)}"
    )
    evidence: Evidence = {
        "spam": signal.spam_count,
        "seen": signal.seen,
        "window_minutes": 60,
        "line": policy.spam_line,
        "messages": list(signal.bad_messages),
        "senders": list(signal.senders),
    }
    return Alarm(NEWCOMER_SPAM_RATE, reason, signal.certainty, 3_600, evidence)
