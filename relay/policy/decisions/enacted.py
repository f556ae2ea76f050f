"""What a decision does to the counts of its sender, the moment it is in force. For commands and for the simulator."""

from collections.abc import Iterable
from datetime import datetime

from relay.policy.decisions.decision import PARKING, Effect, Proposal
from relay.policy.signals.live import Signals


def enacted(proposals: Iterable[Proposal], signals: Signals, now: datetime) -> None:
    """Take who is stopped out of its account's newcomers, and who is blocked pays for its outcomes by that."""
    for proposal in proposals:
        if proposal.effect in PARKING and proposal.starts_at <= now:
            signals.set_apart(proposal.sender)
            if proposal.effect is not Effect.HOLD:
                signals.pay_outcomes(proposal.sender)
