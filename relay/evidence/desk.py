"""Commands on what came back: whether it is genuine, and what it suppresses. Analytics' own; see access.py."""

from relay.control.access import require, require_whole_tree
from relay.control.errors import Invalid
from relay.control.suppression.suppressed import Reason
from relay.delivery.headers import is_feedback_of, is_genuine, referenced_message
from relay.evidence.rule import Evidence
from relay.evidence.suppressing import Suppressing
from relay.evidence.views import (
    CLAIMS_MAX,
    ROWS_MAX,
    Claim,
    ClaimOrder,
    Proved,
    ReturnedOrder,
    Suppressions,
)
from relay.returns.paths import ReturnPaths
from relay.spool.store import Spool
from relay.tree import Principal, Role


class EvidenceDesk:
    """Every command takes its Principal first. Must never say more of a forged claim than that it is none of ours."""

    def __init__(self, secret: bytes, paths: ReturnPaths, spool: Spool, suppressing: Suppressing) -> None:
        self._secret, self._paths, self._spool, self._suppressing = secret, paths, spool, suppressing

    def prove(self, principal: Principal, order: ClaimOrder) -> list[Proved]:
        """Answer each claim, in order."""
        require(principal, Role.OPERATOR)
        require_whole_tree(principal, "trace what came back")
        if len(order.claims) > CLAIMS_MAX:
            raise Invalid(f"{len(order.claims)} claims: give at most {CLAIMS_MAX} at once")
        return [self._proved(claim) for claim in order.claims]

    async def take(self, principal: Principal, order: ReturnedOrder) -> Suppressions:
        """Suppress by the rule, at once."""
        require(principal, Role.OPERATOR)
        require_whole_tree(principal, "suppress for what came back")
        if len(order.rows) > ROWS_MAX:
            raise Invalid(f"{len(order.rows)} rows: give at most {ROWS_MAX} at once")
        evidence = [
            Evidence(row.account, row.address, Reason(row.reason), row.message_id, row.enhanced, row.said, is_hard=True)
            for row in order.rows
        ]
        return Suppressions(suppressed=await self._suppressing.take(evidence, principal))

    def _proved(self, claim: Claim) -> Proved:
        match claim.kind:
            case "return_path":
                return self._traced(claim.value)
            case "reference":
                is_ours = referenced_message(claim.value) == claim.message_id and is_genuine(
                    self._secret, claim.value, claim.account, claim.sender
                )
            case "feedback_id":
                is_ours = is_feedback_of(self._secret, claim.value, claim.account, claim.sender)
        if not is_ours:
            return Proved()
        return Proved(is_genuine=True, message_id=claim.message_id, account=claim.account, sender=claim.sender)

    def _traced(self, address: str) -> Proved:
        traced = self._paths.read(address)
        origin = self._spool.origins.find(traced.number) if traced else None
        if traced is None or origin is None or traced.position >= len(origin.recipients):
            return Proved()
        return Proved(
            is_genuine=True,
            message_id=self._spool.message_id(traced.number),
            account=origin.account,
            reseller=origin.reseller,
            sender=origin.sender,
            recipient_id=traced.number + traced.position,
            recipient=origin.recipients[traced.position],
        )
