"""The routes of the control API for domains."""

from starlette.requests import Request

from relay.control.requests import Routes, body
from relay.domains.desk import DomainDesk
from relay.domains.views import CheckReport, DomainOrder, DomainView, NewDomain
from relay.tree import Principal


class DomainRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: DomainDesk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        return [
            ("GET", "/v1/domains", self.domains, 200),
            ("POST", "/v1/domains", self.add, 201),
            ("GET", "/v1/domains/{domain}", self.domain, 200),
            ("POST", "/v1/domains/{domain}/remove", self.remove, 200),
            ("POST", "/v1/domains/{domain}/rotate", self.rotate, 200),
            ("POST", "/v1/domains/{domain}/end-key", self.end_key, 200),
            ("POST", "/v1/domains/{domain}/check", self.check, 200),
        ]

    async def domains(self, principal: Principal, request: Request) -> list[DomainView]:
        return self._desk.list(principal, request.query_params.get("account") or None)

    async def add(self, principal: Principal, request: Request) -> DomainView:
        return await self._desk.add(principal, await body(request, NewDomain))

    async def domain(self, principal: Principal, request: Request) -> DomainView:
        return self._desk.show(principal, request.path_params["domain"], request.query_params.get("account", ""))

    async def remove(self, principal: Principal, request: Request) -> DomainView:
        return await self._desk.remove(principal, request.path_params["domain"], await body(request, DomainOrder))

    async def rotate(self, principal: Principal, request: Request) -> DomainView:
        return await self._desk.rotate(principal, request.path_params["domain"], await body(request, DomainOrder))

    async def end_key(self, principal: Principal, request: Request) -> DomainView:
        return await self._desk.end_key(principal, request.path_params["domain"], await body(request, DomainOrder))

    async def check(self, principal: Principal, request: Request) -> CheckReport:
        return await self._desk.check(principal, request.path_params["domain"], await body(request, DomainOrder))
