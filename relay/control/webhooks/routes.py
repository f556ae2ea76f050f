"""The routes of the control API for webhooks, and for the link that a customer releases a sender by."""

from collections.abc import Callable, Sequence

from starlette.requests import Request

from relay.control.access import require
from relay.control.questions import Questions
from relay.control.requests import Routes, body
from relay.control.webhooks.commands import WebhookDesk
from relay.control.webhooks.views import (
    NewWebhook,
    ReleaseLink,
    WebhookAdded,
    WebhookKey,
    WebhookRemoval,
    WebhookRemoved,
    WebhookView,
)
from relay.policy.decisions.decision import Decision
from relay.tree import Principal, Role


class WebhookRoutes:
    """One method per route. `link` gives the link of a decision: the URL, or why there is none."""

    def __init__(self, desk: WebhookDesk, questions: Questions, link: Callable[[Decision], ReleaseLink]) -> None:
        self._desk, self._questions, self._link = desk, questions, link

    def table(self) -> Routes:
        return [
            ("GET", "/v1/webhooks", self.list, 200),
            ("POST", "/v1/webhooks", self.add, 201),
            ("GET", "/v1/webhooks/keys", self.keys, 200),
            ("POST", "/v1/webhooks/{id}/remove", self.remove, 200),
            ("GET", "/v1/decisions/{id}/link", self.link, 200),
        ]

    async def list(self, principal: Principal, request: Request) -> Sequence[WebhookView]:
        return await self._desk.list(principal)

    async def add(self, principal: Principal, request: Request) -> WebhookAdded:
        return await self._desk.add(principal, await body(request, NewWebhook))

    async def keys(self, principal: Principal, request: Request) -> Sequence[WebhookKey]:
        return await self._desk.keys(principal)

    async def remove(self, principal: Principal, request: Request) -> WebhookRemoved:
        return await self._desk.remove(principal, request.path_params["id"], await body(request, WebhookRemoval))

    async def link(self, principal: Principal, request: Request) -> ReleaseLink:
        require(principal, Role.ABUSE)
        return self._link(self._questions.find(principal, request.path_params["id"]))
