"""The routes of the control API for policies."""

from starlette.requests import Request

from relay.control.policies.desk import PolicyDesk
from relay.control.policies.views import PolicyDone, PolicyOrder, PolicyView, RollbackOrder, VersionView
from relay.control.requests import Routes, body
from relay.tree import Principal


class PolicyRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: PolicyDesk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        return [
            ("GET", "/v1/policy", self.show, 200),
            ("POST", "/v1/policy", self.apply, 200),
            ("GET", "/v1/policy/versions", self.versions, 200),
            ("GET", "/v1/policy/versions/{version}", self.show, 200),
            ("POST", "/v1/policy/rollback", self.rollback, 200),
        ]

    async def show(self, principal: Principal, request: Request) -> PolicyView:
        return self._desk.show(principal, request.path_params.get("version", ""))

    async def versions(self, principal: Principal, request: Request) -> list[VersionView]:
        return self._desk.list(principal)

    async def apply(self, principal: Principal, request: Request) -> PolicyDone:
        return await self._desk.apply(principal, await body(request, PolicyOrder))

    async def rollback(self, principal: Principal, request: Request) -> PolicyDone:
        return await self._desk.rollback(principal, await body(request, RollbackOrder))
