"""What is left of a caller's limits, for the HTTP door's answers. Changes nothing."""

from dataclasses import dataclass
from datetime import timedelta

from relay.envelope import Submission
from relay.front.identity import identify
from relay.policy.limits.claims import Claim
from relay.reception.admission import Gate

_WINDOWS = {"rcpts_per_hour": timedelta(hours=1), "rcpts_per_day": timedelta(days=1)}


@dataclass(frozen=True, slots=True)
class Quota:
    """The tightest of the limits that apply, in recipients. `level`: sender, senders, domain, account or reseller.

    `reset_seconds`: until everything is free again; with nothing left, until one recipient fits.
    """

    level: str
    limit: int
    remaining: int
    window: timedelta
    reset_seconds: float


def quota_of(gate: Gate, submission: Submission) -> Quota | None:
    """Return what is left for the sender of a message; None where nothing limits it."""
    sender = identify(submission, submission.content).sender
    claims = (*gate.parents(submission.account, submission.mail_from), *gate.own(submission.account, sender.key))
    found = [
        _left(gate, claim, name, limit)
        for claim in claims
        for name in _WINDOWS
        if (limit := getattr(claim.limits, name) or 0)
    ]
    return min(found, key=lambda quota: quota.remaining, default=None)


def headers_of(quota: Quota) -> dict[str, str]:
    """Write a quota as header fields: those of the IETF's draft (draft-ietf-httpapi-ratelimit-headers), and the older
    ones that most clients know.

    >>> headers_of(Quota("sender", 200, 150, timedelta(hours=1), 61.2))["RateLimit"]
    '"sender";r=150;t=62'
    """
    reset = int(-(-quota.reset_seconds // 1))
    return {
        "RateLimit-Policy": f'"{quota.level}";q={quota.limit};w={int(quota.window.total_seconds())}',
        "RateLimit": f'"{quota.level}";r={quota.remaining};t={reset}',
        "X-RateLimit-Limit": str(quota.limit),
        "X-RateLimit-Remaining": str(quota.remaining),
        "X-RateLimit-Reset": str(reset),
    }


def _left(gate: Gate, claim: Claim, name: str, limit: int) -> Quota:
    remaining, wait = gate.ledger.room(claim, name, gate.clock.unix())
    return Quota(claim.level.value, limit, remaining, _WINDOWS[name], wait)
