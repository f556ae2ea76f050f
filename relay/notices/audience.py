"""Who hears of a message's failures, by what the state says of its account and sender at this moment."""

from relay.clock import Clock
from relay.control.state.memory import State
from relay.notices.addressee import Addressee, addressee
from relay.policy.decisions.decision import PARKED
from relay.policy.signals.live import Signals
from relay.spool.store import SpooledMessage
from relay.tree import newcomers_of


class Audience:
    """Asked once for the failures of a message at one destination."""

    def __init__(self, state: State, signals: Signals, clock: Clock) -> None:
        self._state, self._signals, self._clock = state, signals, clock

    def of(self, message: SpooledMessage) -> Addressee:
        login = self._state.credentials.get(message.mail_from)
        return addressee(
            message.mail_from,
            message.sender,
            self._state.account_of_name(message.account),
            is_stopped=self._is_stopped(message),
            is_login=login is not None and login.account == message.account and not login.is_revoked,
        )

    def _is_stopped(self, message: SpooledMessage) -> bool:
        """Held, blocked or suspended, alone or with the account's newcomers."""
        now = self._clock.now()
        own = self._state.state_of(message.sender, now)
        if own.standing in PARKED:
            return True
        group = self._state.state_of(newcomers_of(message.account), now)
        is_newcomer = group.standing in PARKED and self._signals.is_newcomer(message.sender, now.timestamp())
        return is_newcomer and not own.is_reinstated(now)
