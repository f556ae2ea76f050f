"""The routes of the control API for egress sources, pools and warm-up."""

from starlette.requests import Request

from relay.control.accounts.views import Order
from relay.control.desk import Desk
from relay.control.egress.views import (
    BandsView,
    NewBands,
    NewSource,
    PoolOrder,
    PoolView,
    SourceChange,
    SourceView,
    StageOrder,
    StandOrder,
    WarmupView,
)
from relay.control.requests import Routes, body
from relay.delivery.egress.sources import SourceState
from relay.tree import Principal


class EgressRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        return [
            ("GET", "/v1/egress/sources", self.sources, 200),
            ("POST", "/v1/egress/sources", self.add_source, 201),
            ("GET", "/v1/egress/sources/{source}", self.source, 200),
            ("PATCH", "/v1/egress/sources/{source}", self.change_source, 200),
            ("POST", "/v1/egress/sources/{source}/activate", self.activate, 200),
            ("POST", "/v1/egress/sources/{source}/quarantine", self.quarantine, 200),
            ("POST", "/v1/egress/sources/{source}/retire", self.retire, 200),
            ("POST", "/v1/egress/sources/{source}/remove", self.remove_source, 200),
            ("GET", "/v1/egress/bands", self.bands, 200),
            ("POST", "/v1/egress/bands", self.set_bands, 200),
            ("GET", "/v1/egress/pools", self.pools, 200),
            ("GET", "/v1/egress/pools/{pool}", self.pool, 200),
            ("POST", "/v1/egress/pools/{pool}", self.set_pool, 200),
            ("POST", "/v1/egress/pools/{pool}/remove", self.remove_pool, 200),
            ("GET", "/v1/egress/warmup", self.warmups, 200),
            ("GET", "/v1/egress/warmup/{source}", self.warmup, 200),
            ("POST", "/v1/egress/warmup/{source}/start", self.start_warmup, 200),
            ("POST", "/v1/egress/warmup/{source}/stop", self.stop_warmup, 200),
            ("POST", "/v1/egress/warmup/{source}/stage", self.set_stage, 200),
        ]

    async def sources(self, principal: Principal, request: Request) -> list[SourceView]:
        return self._desk.sources.list(principal)

    async def add_source(self, principal: Principal, request: Request) -> SourceView:
        return await self._desk.sources.add(principal, await body(request, NewSource))

    async def source(self, principal: Principal, request: Request) -> SourceView:
        return self._desk.sources.show(principal, request.path_params["source"])

    async def change_source(self, principal: Principal, request: Request) -> SourceView:
        change = await body(request, SourceChange)
        return await self._desk.sources.change(principal, request.path_params["source"], change)

    async def activate(self, principal: Principal, request: Request) -> SourceView:
        return await self._stand(principal, request, SourceState.ACTIVE)

    async def quarantine(self, principal: Principal, request: Request) -> SourceView:
        return await self._stand(principal, request, SourceState.QUARANTINED)

    async def retire(self, principal: Principal, request: Request) -> SourceView:
        return await self._stand(principal, request, SourceState.RETIRED)

    async def remove_source(self, principal: Principal, request: Request) -> SourceView:
        order = await body(request, Order)
        return await self._desk.sources.remove(principal, request.path_params["source"], order)

    async def bands(self, principal: Principal, request: Request) -> BandsView:
        return self._desk.bands.show(principal)

    async def set_bands(self, principal: Principal, request: Request) -> BandsView:
        return await self._desk.bands.set(principal, await body(request, NewBands))

    async def pools(self, principal: Principal, request: Request) -> list[PoolView]:
        return self._desk.pools.list(principal)

    async def pool(self, principal: Principal, request: Request) -> PoolView:
        return self._desk.pools.show(principal, request.path_params["pool"])

    async def set_pool(self, principal: Principal, request: Request) -> PoolView:
        order = await body(request, PoolOrder)
        return await self._desk.pools.set(principal, request.path_params["pool"], order)

    async def remove_pool(self, principal: Principal, request: Request) -> PoolView:
        order = await body(request, Order)
        return await self._desk.pools.remove(principal, request.path_params["pool"], order)

    async def warmups(self, principal: Principal, request: Request) -> list[WarmupView]:
        return self._desk.warmup.list(principal)

    async def warmup(self, principal: Principal, request: Request) -> WarmupView:
        return self._desk.warmup.show(principal, request.path_params["source"])

    async def start_warmup(self, principal: Principal, request: Request) -> WarmupView:
        order = await body(request, Order)
        return await self._desk.warmup.switch(principal, request.path_params["source"], order, on=True)

    async def stop_warmup(self, principal: Principal, request: Request) -> WarmupView:
        order = await body(request, Order)
        return await self._desk.warmup.switch(principal, request.path_params["source"], order, on=False)

    async def set_stage(self, principal: Principal, request: Request) -> WarmupView:
        order = await body(request, StageOrder)
        return await self._desk.warmup.set_stage(principal, request.path_params["source"], order)

    async def _stand(self, principal: Principal, request: Request, state: SourceState) -> SourceView:
        order = await body(request, StandOrder)
        return await self._desk.sources.stand(principal, request.path_params["source"], state, order)
