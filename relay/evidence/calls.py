"""The control API's calls for what came back, as its client's methods."""

from collections.abc import Sequence

from relay.control.accounts.calls import AccountCalls
from relay.evidence.views import Claim, ClaimOrder, Proved, ReturnedMail, ReturnedOrder, Suppressions


class EvidenceCalls(AccountCalls):
    """What ControlClient inherits; each call is one request."""

    def prove(self, claims: Sequence[Claim]) -> list[Proved]:
        """Ask whether claims are genuine; an answer for each, in order."""
        return self._post("/v1/proofs", ClaimOrder(claims=[*claims]), list[Proved])

    def returned(self, rows: Sequence[ReturnedMail]) -> Suppressions:
        """Have addresses suppressed by the relay's rule."""
        return self._post("/v1/returned", ReturnedOrder(rows=[*rows]), Suppressions)
