"""The routes of the control API for mail that waits."""

from starlette.requests import Request

from relay.control.requests import Routes, body, limit
from relay.control.waiting.desk import QueueDesk
from relay.control.waiting.views import PauseDone, PauseOrder, QueueDone, QueueOrder, QueueView
from relay.tree import Principal


class QueueRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: QueueDesk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        return [
            ("GET", "/v1/queue/recipients", self.recipients, 200),
            ("GET", "/v1/queue/messages/{id}", self.message, 200),
            ("POST", "/v1/queue/retry", self.retry, 200),
            ("POST", "/v1/queue/bounce", self.bounce, 200),
            ("POST", "/v1/queue/pause", self.pause, 200),
            ("POST", "/v1/queue/resume", self.resume, 200),
        ]

    async def recipients(self, principal: Principal, request: Request) -> QueueView:
        query = request.query_params
        order = QueueOrder(
            destination=query.get("destination", ""),
            account=query.get("account", ""),
            sender=query.get("sender", ""),
            message=query.get("message", ""),
        )
        return await self._desk.list(principal, order, limit(request, 200))

    async def message(self, principal: Principal, request: Request) -> QueueView:
        return await self._desk.show(principal, request.path_params["id"])

    async def retry(self, principal: Principal, request: Request) -> QueueDone:
        return await self._desk.retry(principal, await body(request, QueueOrder))

    async def bounce(self, principal: Principal, request: Request) -> QueueDone:
        return await self._desk.bounce(principal, await body(request, QueueOrder))

    async def pause(self, principal: Principal, request: Request) -> PauseDone:
        return await self._desk.pause(principal, await body(request, PauseOrder))

    async def resume(self, principal: Principal, request: Request) -> PauseDone:
        return await self._desk.resume(principal, await body(request, PauseOrder))
