"""The routes of the control API for saved questions."""

from collections.abc import Sequence

from starlette.requests import Request

from relay.control.requests import Routes, body
from relay.saved.desk import SavedDesk
from relay.saved.views import SavedDone, SavedOrder, SavedQuestion, SavedRemoval
from relay.tree import Principal


class SavedRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: SavedDesk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        return [
            ("GET", "/v1/saved", self.list, 200),
            ("POST", "/v1/saved", self.put, 200),
            ("POST", "/v1/saved/remove", self.remove, 200),
        ]

    async def list(self, principal: Principal, request: Request) -> Sequence[SavedQuestion]:
        return await self._desk.list(principal)

    async def put(self, principal: Principal, request: Request) -> SavedDone:
        return await self._desk.put(principal, await body(request, SavedOrder))

    async def remove(self, principal: Principal, request: Request) -> SavedDone:
        return await self._desk.remove(principal, await body(request, SavedRemoval))
