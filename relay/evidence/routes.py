"""The routes of the control API for what came back."""

from starlette.requests import Request

from relay.control.requests import Routes, body
from relay.evidence.desk import EvidenceDesk
from relay.evidence.views import ClaimOrder, Proved, ReturnedOrder, Suppressions
from relay.tree import Principal


class EvidenceRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: EvidenceDesk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        return [("POST", "/v1/proofs", self.prove, 200), ("POST", "/v1/returned", self.take, 200)]

    async def prove(self, principal: Principal, request: Request) -> list[Proved]:
        return self._desk.prove(principal, await body(request, ClaimOrder))

    async def take(self, principal: Principal, request: Request) -> Suppressions:
        return await self._desk.take(principal, await body(request, ReturnedOrder))
