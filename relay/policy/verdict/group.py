"""Puts a message beside the other new senders of its account: their signal and their standing.

Must never hold anybody: see judge.py.
"""

from collections.abc import Callable
from datetime import datetime

from relay.policy.decisions.decision import PARKED, State
from relay.policy.signals.live import Signals, SignalState
from relay.policy.triggers.newcomers import NEWCOMER_SECONDS, Group
from relay.settings import Policy
from relay.tree import newcomers_of


class Newcomers:
    """Reads signals and standings; keeps nothing."""

    def __init__(self, signals: Signals, state_of: Callable[[str], State], policy: Policy) -> None:
        self._signals, self._state_of, self._policy = signals, state_of, policy

    def take_up(self, policy: Policy) -> None:
        self._policy = policy

    def key_for(self, account: str, state: State, *, is_forwarded: bool) -> str:
        """Return the key for which a message counts too, "" for none.

        What strangers send through a forwarder, and who is held already, says nothing about an account's newcomers.
        """
        return "" if is_forwarded or state.standing in PARKED else newcomers_of(account)

    def group(self, key: str, signal: SignalState, now_unix: float) -> Group | None:
        """Return what the verdict must know of the sender's fellows; None unless it is new."""
        if not key or now_unix - signal.first_seen_unix >= NEWCOMER_SECONDS:
            return None
        return Group(key, self._state_of(key), self._signals.group(key, now_unix, self._policy))

    def is_parked(self, sender: str, group: Group | None, now: datetime) -> bool:
        """Tell whether a hold has come since the verdict: it has parked the message by its later commit."""
        state = self._state_of(sender)
        if state.standing in PARKED:
            return True
        if group is None or state.is_reinstated(now) or not self._signals.is_newcomer(sender, now.timestamp()):
            return False
        return self._state_of(group.key).standing in PARKED
