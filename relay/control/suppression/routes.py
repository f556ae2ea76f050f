"""The routes of the control API for the suppression list."""

from collections.abc import Sequence

from starlette.requests import Request

from relay.control.desk import Desk
from relay.control.errors import Invalid
from relay.control.requests import Routes, body, limit
from relay.control.suppression.rows import Wanted
from relay.control.suppression.suppressed import Reason
from relay.control.suppression.views import SuppressionChanged, SuppressionOrder, SuppressionRemoval, SuppressionView
from relay.tree import Principal


class SuppressionRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk.suppressions

    def table(self) -> Routes:
        return [
            ("GET", "/v1/suppressions", self.list, 200),
            ("POST", "/v1/suppressions", self.add, 200),
            ("POST", "/v1/suppressions/remove", self.remove, 200),
        ]

    async def list(self, principal: Principal, request: Request) -> Sequence[SuppressionView]:
        """`account`, `address`, `reason` choose; `global=1`: rows that hold for all. `after` is `account|address` of
        the last row that was seen."""
        query = request.query_params
        account = query.get("account") or None
        reason, after = query.get("reason", ""), query.get("after", "")
        if reason and reason not in [*Reason]:
            raise Invalid(f"reason = {reason!r}: must be one of {', '.join(Reason)}")
        seen_account, separator, seen_address = after.partition("|")
        wanted = Wanted(
            account="" if query.get("global") == "1" else account,
            address=query["address"].lower() if query.get("address") else None,
            reason=Reason(reason) if reason else None,
            after=(seen_account, seen_address) if separator else None,
            limit=limit(request, 200),
        )
        return await self._desk.list(principal, wanted)

    async def add(self, principal: Principal, request: Request) -> SuppressionChanged:
        return await self._desk.add(principal, await body(request, SuppressionOrder))

    async def remove(self, principal: Principal, request: Request) -> SuppressionChanged:
        return await self._desk.remove(principal, await body(request, SuppressionRemoval))
