"""What the triggers see of one sender, for the charts of people. Reads only; must never count anything."""

from collections.abc import Callable
from datetime import UTC, datetime

from relay.cases.views import RateView, SignalsView
from relay.clock import Clock
from relay.control.access import require
from relay.control.errors import NotFound
from relay.control.questions import Questions
from relay.policy.signals.live import Signals, SignalState
from relay.policy.triggers.posterior import Prior, sure_above
from relay.policy.triggers.sequential import (
    COMPLAINT_LINE,
    COMPLAINT_PRIOR,
    HARD_BOUNCE_LINE,
    HARD_BOUNCE_PRIOR,
    SPAM_PRIOR,
)
from relay.settings import Policy
from relay.tree import Principal, Role

_HOUR, _DAY, _WEEK = 3_600, 86_400, 604_800


class SignalDesk:
    """Answers from the counts in memory, and for a sender that is not there from the counters' file."""

    def __init__(
        self,
        signals: Signals,
        questions: Questions,
        clock: Clock,
        policy: Callable[[], Policy],
        hourly_of: Callable[[str, str], int],
    ) -> None:
        """hourly_of(account, sender): recipients an hour that its limits in force allow, 0 for no limit."""
        self._signals, self._questions, self._clock = signals, questions, clock
        self._policy, self._hourly_of = policy, hourly_of

    def show(self, principal: Principal, sender: str) -> SignalsView:
        require(principal, Role.VIEWER)
        account, policy = self._questions.account_of(principal, sender), self._policy()
        known = self._signals.state(sender, self._clock.unix(), policy)
        if known is None:
            raise NotFound(f"nothing is counted of {sender!r}: it has sent nothing yet, or not for long")
        return SignalsView(
            sender=sender,
            history=known.history,
            first_seen_at=datetime.fromtimestamp(known.first_seen_unix, UTC),
            volume=known.volume,
            usual_volume=known.usual_volume,
            most_volume=known.most_volume,
            unique=known.unique,
            usual_unique=known.usual_unique,
            most_unique=known.most_unique,
            weeks=known.weeks,
            stranger_share=known.strangers / known.day_seen if known.day_seen else 0.0,
            usual_stranger_share=known.usual_strangers,
            burst=known.burst,
            burst_line=policy.burst_line,
            limit=self._hourly_of(account, sender),
            rates=rates(known, policy),
        )


def rates(known: SignalState, policy: Policy) -> list[RateView]:
    """The three rates a sender is stopped for, as policy/triggers/sequential.py judges them."""

    def rate(signal: str, bad: float, seen: float, prior: Prior, line: float, window: int) -> RateView:
        seen = max(seen, bad)  # an outcome may come after its message has left the window
        return RateView(
            signal=signal,  # type: ignore[arg-type]
            bad=bad,
            seen=seen,
            window_seconds=window,
            prior_bad=prior.bad,
            prior_good=prior.good,
            line=line,
            certainty=sure_above(line, bad, seen, prior),
            needed=policy.certainty,
        )

    return [
        rate("spam", known.spam_count, known.seen, SPAM_PRIOR, policy.spam_line, _HOUR),
        rate("hard_bounce", known.hard_bounces, known.day_seen, HARD_BOUNCE_PRIOR, HARD_BOUNCE_LINE, _DAY),
        rate("complaint", known.complaints, known.week_seen, COMPLAINT_PRIOR, COMPLAINT_LINE, _WEEK),
    ]
