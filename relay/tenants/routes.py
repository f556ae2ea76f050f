"""The routes of the control API for tenants."""

from starlette.requests import Request

from relay.control.requests import Routes, body
from relay.tenants.desk import TenantDesk
from relay.tenants.views import TenantDone, TenantHeaderOrder, TenantOrder, TenantsView
from relay.tree import Principal


class TenantRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: TenantDesk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        """A tenant may contain slashes, so its routes match the rest."""
        return [
            ("GET", "/v1/accounts/{account}/tenants", self.tenants, 200),
            ("POST", "/v1/accounts/{account}/tenants/header", self.set_header, 200),
            ("POST", "/v1/accounts/{account}/tenants/{tenant:path}/pause", self.pause, 200),
            ("POST", "/v1/accounts/{account}/tenants/{tenant:path}/resume", self.resume, 200),
        ]

    async def tenants(self, principal: Principal, request: Request) -> TenantsView:
        """Tenants of an account that are paused or stopped, or have mail that waits."""
        return await self._desk.list(principal, request.path_params["account"])

    async def set_header(self, principal: Principal, request: Request) -> TenantDone:
        """Say which header of an account's mail names its tenants."""
        order = await body(request, TenantHeaderOrder)
        return await self._desk.set_header(principal, request.path_params["account"], order)

    async def pause(self, principal: Principal, request: Request) -> TenantDone:
        """Let one tenant's mail lie, new mail too; the others notice nothing."""
        account, tenant = request.path_params["account"], request.path_params["tenant"]
        return await self._desk.pause(principal, account, tenant, await body(request, TenantOrder))

    async def resume(self, principal: Principal, request: Request) -> TenantDone:
        """End a tenant's pause."""
        account, tenant = request.path_params["account"], request.path_params["tenant"]
        return await self._desk.resume(principal, account, tenant, await body(request, TenantOrder))
