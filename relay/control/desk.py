"""All commands on the tree together: what the control API, and the command line without a relay, hand orders to."""

from relay.clock import Clock
from relay.control.accounts import Accounts, InSpool
from relay.control.allowances import LimitDesk, Networks, Resellers
from relay.control.credentials import Credentials
from relay.control.state import State


class Desk:
    """One desk per subject; each checks the principal's role and scope itself."""

    def __init__(self, state: State, clock: Clock, in_spool: InSpool) -> None:
        self.accounts = Accounts(state, in_spool)
        self.credentials = Credentials(state, clock)
        self.networks, self.limits, self.resellers = Networks(state), LimitDesk(state), Resellers(state)
