"""All commands on the tree together: what the control API, and the command line without a relay, hand orders to."""

from relay.clock import Clock
from relay.control.accounts.allowances import LimitDesk, Networks
from relay.control.accounts.commands import Accounts, InSpool
from relay.control.accounts.credentials import Credentials
from relay.control.egress.bands_desk import BandsDesk
from relay.control.egress.pools_desk import PoolsDesk, WarmupDesk
from relay.control.egress.sources_desk import SourcesDesk
from relay.control.state.memory import State
from relay.control.suppression.desk import SuppressionDesk
from relay.delivery.egress.egress import Egress
from relay.resellers.brand_desk import BrandDesk
from relay.resellers.desk import Resellers
from relay.saved.desk import SavedDesk


class Desk:
    """One desk per subject; each checks the principal's role and scope itself."""

    def __init__(self, state: State, clock: Clock, in_spool: InSpool, egress: Egress | None = None) -> None:
        """`egress`: the running relay's, None without one."""
        self.accounts = Accounts(state, in_spool)
        self.credentials = Credentials(state, clock)
        self.suppressions = SuppressionDesk(state, clock)
        self.networks, self.limits = Networks(state), LimitDesk(state)
        self.resellers, self.brands = Resellers(state), BrandDesk(state)
        self.sources, self.pools = SourcesDesk(state, clock, egress), PoolsDesk(state)
        self.bands = BandsDesk(state, clock, egress)
        self.warmup = WarmupDesk(state, clock, egress)
        self.saved = SavedDesk(state, clock)
