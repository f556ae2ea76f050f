"""The control API's calls for labels and models, as methods of its client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from relay.control.labels.views import LabelDone, LabelOrder, ModelCard, ModelOrder, ModelView

_T = TypeVar("_T")


class LabelCalls(ABC):
    """What ControlClient inherits; each call is one request."""

    def label(self, order: LabelOrder) -> LabelDone:
        return self._post("/v1/labels", order, LabelDone)

    def model(self) -> ModelView:
        return self._get("/v1/model", ModelView)

    def models(self) -> list[ModelCard]:
        """The models there are, the youngest first."""
        return self._get("/v1/models", list[ModelCard])

    def promote_model(self, order: ModelOrder) -> ModelView:
        """Answers when the relay scores by it. Raises ControlError for a model that cannot be used."""
        return self._post("/v1/model", order, ModelView)

    def rollback_model(self, order: ModelOrder) -> ModelView:
        return self._post("/v1/model/rollback", order, ModelView)

    @abstractmethod
    def _get(self, path: str, answer: type[_T], query: Mapping[str, str] | None = None) -> _T: ...

    @abstractmethod
    def _post(self, path: str, order: msgspec.Struct, answer: type[_T]) -> _T: ...
