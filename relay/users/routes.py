"""The routes of the control API for users and sessions."""

from starlette.requests import Request

from relay.control.requests import Routes, body
from relay.tree import Principal
from relay.users.desk import UserDesk, whoami
from relay.users.views import NewUser, SignIn, TokenOrder, UserChange, UsersKnown, UserToken, UserView, Whoami


class UserRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: UserDesk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        return [
            ("GET", "/v1/whoami", self.whoami, 200),
            ("GET", "/v1/sessions", self.known, 200),
            ("POST", "/v1/sessions", self.sign_in, 201),
            ("DELETE", "/v1/sessions", self.sign_out, 200),
            ("GET", "/v1/users", self.users, 200),
            ("POST", "/v1/users", self.add, 201),
            ("PATCH", "/v1/users/{name}", self.change, 200),
            ("POST", "/v1/users/{name}/token", self.token, 201),
            ("DELETE", "/v1/users/{name}", self.remove, 200),
        ]

    async def whoami(self, principal: Principal, request: Request) -> Whoami:
        return whoami(principal)

    async def known(self, principal: Principal, request: Request) -> UsersKnown:
        return self._desk.must_sign_in()

    async def sign_in(self, principal: Principal, request: Request) -> Whoami:
        return await self._desk.sign_in(principal, await body(request, SignIn))

    async def sign_out(self, principal: Principal, request: Request) -> Whoami:
        return await self._desk.sign_out(principal, bearer(request))

    async def users(self, principal: Principal, request: Request) -> list[UserView]:
        return self._desk.list(principal)

    async def add(self, principal: Principal, request: Request) -> UserView:
        return await self._desk.add(principal, await body(request, NewUser))

    async def change(self, principal: Principal, request: Request) -> UserView:
        return await self._desk.change(principal, request.path_params["name"], await body(request, UserChange))

    async def token(self, principal: Principal, request: Request) -> UserToken:
        return await self._desk.token(principal, request.path_params["name"], await body(request, TokenOrder))

    async def remove(self, principal: Principal, request: Request) -> UserView:
        dry_run = request.query_params.get("dry_run", "") == "1"
        return await self._desk.remove(principal, request.path_params["name"], dry_run=dry_run)


def bearer(request: Request) -> str:
    """The token a request came in with."""
    return request.headers.get("authorization", "").partition(" ")[2].strip()
