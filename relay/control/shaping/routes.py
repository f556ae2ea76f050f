"""The routes of the control API for destinations and the rules that shape what they get."""

from starlette.requests import Request

from relay.control.requests import Routes, body
from relay.control.shaping.commands import ShapingDesk
from relay.control.shaping.views import (
    DestinationChanged,
    DestinationView,
    OverrideOrder,
    ResumeOrder,
    RulesView,
    SuspendOrder,
)
from relay.tree import Principal


class ShapingRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: ShapingDesk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        return [
            ("GET", "/v1/destinations", self.destinations, 200),
            ("GET", "/v1/destinations/{destination}", self.destination, 200),
            ("POST", "/v1/destinations/{destination}/suspend", self.suspend, 200),
            ("POST", "/v1/destinations/{destination}/resume", self.resume, 200),
            ("POST", "/v1/destinations/{destination}/override", self.override, 200),
            ("GET", "/v1/shaping/rules", self.rules, 200),
        ]

    async def destinations(self, principal: Principal, request: Request) -> list[DestinationView]:
        return self._desk.list(principal)

    async def destination(self, principal: Principal, request: Request) -> DestinationView:
        return self._desk.show(principal, request.path_params["destination"])

    async def suspend(self, principal: Principal, request: Request) -> DestinationChanged:
        order = await body(request, SuspendOrder)
        return await self._desk.suspend(principal, request.path_params["destination"], order)

    async def resume(self, principal: Principal, request: Request) -> DestinationChanged:
        order = await body(request, ResumeOrder)
        return await self._desk.resume(principal, request.path_params["destination"], order)

    async def override(self, principal: Principal, request: Request) -> DestinationChanged:
        order = await body(request, OverrideOrder)
        return await self._desk.override(principal, request.path_params["destination"], order)

    async def rules(self, principal: Principal, request: Request) -> RulesView:
        return self._desk.rules(principal)
