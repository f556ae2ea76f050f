"""The one plot that the demo shows and the check proves: the attack, the hold, the release, and who felt it."""

from collections.abc import Callable

from analytics.simulation.ledger import Sent
from analytics.simulation.stage import Stage, in_thread
from relay.control.client import ControlError
from relay.control.views import DecisionView, Freed, ReleaseOrder
from relay.policy.decisions.decision import Effect

ATTACK_RATE = 4.0  # messages a second of the hacked plugin
_POLL_SECONDS = 0.25


async def start_attack(stage: Stage) -> None:
    """Let the plugin of the victim's site spam from now on."""
    stage.customers.phase = "attack"
    stage.customers.start_attack(stage.victim, ATTACK_RATE)


async def until_held(stage: Stage, seconds: float) -> DecisionView | None:
    """Wait for the decision that holds the victim; None when none came in time."""
    deadline = stage.clock.unix() + seconds
    while stage.clock.unix() < deadline:
        found = await _open_hold(stage)
        if found is not None:
            return found
        await stage.clock.sleep(_POLL_SECONDS)
    return None


async def until_released(stage: Stage, decision: DecisionView, seconds: float) -> DecisionView | None:
    """Wait until somebody has released the decision; None when nobody did in time."""
    deadline = stage.clock.unix() + seconds
    while stage.clock.unix() < deadline:
        try:
            now = await in_thread(lambda: stage.control.decision(decision.id))
        except ControlError:
            return None
        if not now.is_open:
            return now
        await stage.clock.sleep(min(1.0, _POLL_SECONDS * 2))
    return None


async def release(stage: Stage, decision: DecisionView) -> Freed:
    """Release as the dashboard's button does: the same call, but the demo does not wait for the sender's pace."""
    order = ReleaseOrder(note="released by the demo", content=True, at_once=True)
    return await in_thread(lambda: stage.control.release_decision(decision.id, order))


async def until(stage: Stage, is_true: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; tell whether it came true in time."""
    deadline = stage.clock.unix() + seconds
    while not is_true():
        if stage.clock.unix() >= deadline:
            return False
        await stage.clock.sleep(0.1)
    return True


def first_abuse_unix(stage: Stage) -> float:
    """When the first abusive message was begun."""
    return min((one.began_unix for one in stage.ledger.abusive() if one.began_unix), default=0.0)


def delivered(entries: list[Sent]) -> int:
    """Count messages that a mailbox has."""
    return sum(bool(one.arrivals) for one in entries)


def waiting(stage: Stage) -> list[Sent]:
    """The victim's messages that the relay has and no mailbox."""
    return [one for one in stage.ledger.open_ends() if one.sender == stage.victim.key]


async def _open_hold(stage: Stage) -> DecisionView | None:
    sender = stage.victim.key
    rows = await in_thread(lambda: stage.control.decisions(sender=sender, open_only=True))
    return next((row for row in rows if row.effect is Effect.HOLD), None)
