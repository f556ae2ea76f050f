"""The routes of the control API for resellers and their brands."""

from collections.abc import Sequence

from starlette.requests import Request

from relay.control.accounts.views import NewReseller, Order, ResellerView
from relay.control.desk import Desk
from relay.control.requests import Routes, body
from relay.resellers.views import BrandBack, BrandDone, BrandOrder, BrandsView, BrandView, ResellerChange
from relay.tree import Principal


class ResellerRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        return [
            ("GET", "/v1/resellers", self.resellers, 200),
            ("POST", "/v1/resellers", self.add_reseller, 201),
            ("GET", "/v1/resellers/{reseller}", self.reseller, 200),
            ("PATCH", "/v1/resellers/{reseller}", self.change_reseller, 200),
            ("POST", "/v1/resellers/{reseller}/suspend", self.suspend_reseller, 200),
            ("POST", "/v1/resellers/{reseller}/resume", self.resume_reseller, 200),
            ("POST", "/v1/resellers/{reseller}/remove", self.remove_reseller, 200),
            ("POST", "/v1/resellers/{reseller}/restore", self.restore_reseller, 200),
            ("GET", "/v1/resellers/{reseller}/brand", self.brand, 200),
            ("POST", "/v1/resellers/{reseller}/brand", self.set_brand, 200),
            ("POST", "/v1/resellers/{reseller}/brand/back", self.brand_back, 200),
            ("GET", "/v1/brand", self.own_brand, 200),
            ("GET", "/v1/brand/of-host/{host}", self.brand_of_host, 200),
        ]

    async def resellers(self, principal: Principal, request: Request) -> Sequence[ResellerView]:
        """Resellers, with their limits and how many accounts they have."""
        return self._desk.resellers.list(principal)

    async def add_reseller(self, principal: Principal, request: Request) -> ResellerView:
        """Add a reseller."""
        return await self._desk.resellers.add(principal, await body(request, NewReseller))

    async def reseller(self, principal: Principal, request: Request) -> ResellerView:
        """One reseller."""
        return self._desk.resellers.show(principal, request.path_params["reseller"])

    async def change_reseller(self, principal: Principal, request: Request) -> ResellerView:
        """Set a reseller's contact."""
        change = await body(request, ResellerChange)
        return await self._desk.resellers.change(principal, request.path_params["reseller"], change)

    async def suspend_reseller(self, principal: Principal, request: Request) -> ResellerView:
        """Refuse all new mail of all its accounts."""
        order = await body(request, Order)
        return await self._desk.resellers.suspend(principal, request.path_params["reseller"], order)

    async def resume_reseller(self, principal: Principal, request: Request) -> ResellerView:
        """Take mail of its accounts again."""
        order = await body(request, Order)
        return await self._desk.resellers.resume(principal, request.path_params["reseller"], order)

    async def remove_reseller(self, principal: Principal, request: Request) -> ResellerView:
        """End a reseller without accounts and users."""
        order = await body(request, Order)
        return await self._desk.resellers.remove(principal, request.path_params["reseller"], order)

    async def restore_reseller(self, principal: Principal, request: Request) -> ResellerView:
        """Bring a removed reseller back."""
        order = await body(request, Order)
        return await self._desk.resellers.restore(principal, request.path_params["reseller"], order)

    async def brand(self, principal: Principal, request: Request) -> BrandsView:
        """A reseller's brand, and its earlier versions."""
        return await self._desk.brands.show(principal, request.path_params["reseller"])

    async def set_brand(self, principal: Principal, request: Request) -> BrandDone:
        """Change parts of a reseller's brand."""
        return await self._desk.brands.set(principal, request.path_params["reseller"], await body(request, BrandOrder))

    async def brand_back(self, principal: Principal, request: Request) -> BrandDone:
        """Put an earlier version of a brand in force again."""
        return await self._desk.brands.back(principal, request.path_params["reseller"], await body(request, BrandBack))

    async def own_brand(self, principal: Principal, request: Request) -> BrandView:
        """The brand under which the asker sees this relay."""
        return self._desk.brands.own(principal)

    async def brand_of_host(self, principal: Principal, request: Request) -> BrandView:
        """Whose brand a host name has."""
        return self._desk.brands.of_host(principal, request.path_params["host"])
