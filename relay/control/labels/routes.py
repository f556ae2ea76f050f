"""The routes of the control API for labels and models."""

from starlette.requests import Request

from relay.control.labels.commands import LabelDesk
from relay.control.labels.models import ModelDesk
from relay.control.labels.views import LabelDone, LabelOrder, ModelCard, ModelOrder, ModelView
from relay.control.requests import Routes, body
from relay.tree import Principal


class LabelRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, labels: LabelDesk, models: ModelDesk) -> None:
        self._labels, self._models = labels, models

    def table(self) -> Routes:
        return [
            ("POST", "/v1/labels", self.label, 200),
            ("GET", "/v1/model", self.model, 200),
            ("GET", "/v1/models", self.models, 200),
            ("POST", "/v1/model", self.promote, 200),
            ("POST", "/v1/model/rollback", self.rollback, 200),
        ]

    async def label(self, principal: Principal, request: Request) -> LabelDone:
        return await self._labels.label(principal, await body(request, LabelOrder))

    async def model(self, principal: Principal, request: Request) -> ModelView:
        return self._models.show(principal)

    async def models(self, principal: Principal, request: Request) -> list[ModelCard]:
        return await self._models.cards(principal)

    async def promote(self, principal: Principal, request: Request) -> ModelView:
        return await self._models.promote(principal, await body(request, ModelOrder))

    async def rollback(self, principal: Principal, request: Request) -> ModelView:
        return await self._models.rollback(principal, await body(request, ModelOrder))
