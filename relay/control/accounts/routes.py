"""The routes of the control API for accounts, logins, networks and limits."""

from starlette.requests import Request

from relay.control.accounts.views import (
    AccountAdded,
    AccountChange,
    AccountChanged,
    AccountView,
    CredentialView,
    LimitOrder,
    LimitView,
    NetworkView,
    NewAccount,
    NewCredential,
    NewNetwork,
    NoLimits,
    Order,
    Rotation,
    Secret,
)
from relay.control.desk import Desk
from relay.control.requests import Routes, body
from relay.tree import Principal


class AccountRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        """A login may contain slashes, so its routes match the rest."""
        return [
            ("GET", "/v1/accounts", self.accounts, 200),
            ("POST", "/v1/accounts", self.add_account, 201),
            ("GET", "/v1/accounts/{account}", self.account, 200),
            ("PATCH", "/v1/accounts/{account}", self.change_account, 200),
            ("POST", "/v1/accounts/{account}/suspend", self.suspend_account, 200),
            ("POST", "/v1/accounts/{account}/resume", self.resume_account, 200),
            ("POST", "/v1/accounts/{account}/remove", self.remove_account, 200),
            ("POST", "/v1/accounts/{account}/restore", self.restore_account, 200),
            ("POST", "/v1/accounts/{account}/credentials", self.add_credential, 201),
            ("POST", "/v1/accounts/{account}/networks", self.allow, 201),
            ("GET", "/v1/credentials", self.credentials, 200),
            ("POST", "/v1/credentials/{login:path}/rotate", self.rotate, 200),
            ("DELETE", "/v1/credentials/{login:path}", self.revoke, 200),
            ("GET", "/v1/networks", self.networks, 200),
            ("POST", "/v1/networks/remove", self.disallow, 200),
            ("GET", "/v1/limits", self.limits, 200),
            ("POST", "/v1/limits", self.set_limits, 200),
            ("POST", "/v1/limits/remove", self.remove_limits, 200),
        ]

    async def accounts(self, principal: Principal, request: Request) -> list[AccountView]:
        return self._desk.accounts.list(principal)

    async def add_account(self, principal: Principal, request: Request) -> AccountAdded:
        return await self._desk.accounts.add(principal, await body(request, NewAccount))

    async def account(self, principal: Principal, request: Request) -> AccountView:
        return self._desk.accounts.show(principal, request.path_params["account"])

    async def change_account(self, principal: Principal, request: Request) -> AccountChanged:
        change = await body(request, AccountChange)
        return await self._desk.accounts.change(principal, request.path_params["account"], change)

    async def suspend_account(self, principal: Principal, request: Request) -> AccountChanged:
        order = await body(request, Order)
        return await self._desk.accounts.suspend(principal, request.path_params["account"], order)

    async def resume_account(self, principal: Principal, request: Request) -> AccountChanged:
        order = await body(request, Order)
        return await self._desk.accounts.resume(principal, request.path_params["account"], order)

    async def remove_account(self, principal: Principal, request: Request) -> AccountChanged:
        order = await body(request, Order)
        return await self._desk.accounts.remove(principal, request.path_params["account"], order)

    async def restore_account(self, principal: Principal, request: Request) -> AccountChanged:
        order = await body(request, Order)
        return await self._desk.accounts.restore(principal, request.path_params["account"], order)

    async def add_credential(self, principal: Principal, request: Request) -> Secret:
        new = await body(request, NewCredential)
        return await self._desk.credentials.add(principal, request.path_params["account"], new)

    async def allow(self, principal: Principal, request: Request) -> NetworkView:
        new = await body(request, NewNetwork)
        return await self._desk.networks.allow(principal, request.path_params["account"], new)

    async def credentials(self, principal: Principal, request: Request) -> list[CredentialView]:
        return self._desk.credentials.list(principal, _account(request))

    async def rotate(self, principal: Principal, request: Request) -> Secret:
        order = await body(request, Rotation)
        return await self._desk.credentials.rotate(principal, request.path_params["login"], order)

    async def revoke(self, principal: Principal, request: Request) -> Secret:
        order = await body(request, Order)
        return await self._desk.credentials.revoke(principal, request.path_params["login"], order)

    async def networks(self, principal: Principal, request: Request) -> list[NetworkView]:
        return self._desk.networks.list(principal, _account(request))

    async def disallow(self, principal: Principal, request: Request) -> NetworkView:
        return await self._desk.networks.disallow(principal, await body(request, NewNetwork))

    async def limits(self, principal: Principal, request: Request) -> list[LimitView]:
        return self._desk.limits.list(principal, _account(request))

    async def set_limits(self, principal: Principal, request: Request) -> LimitView:
        return await self._desk.limits.set(principal, await body(request, LimitOrder))

    async def remove_limits(self, principal: Principal, request: Request) -> LimitView:
        return await self._desk.limits.remove(principal, await body(request, NoLimits))


def _account(request: Request) -> str | None:
    return request.query_params.get("account") or None
