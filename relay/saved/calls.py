"""The control API's calls for saved questions, as methods of its client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from relay.saved.views import SavedDone, SavedOrder, SavedQuestion, SavedRemoval

_T = TypeVar("_T")


class SavedCalls(ABC):
    """What ControlClient inherits; each call is one request."""

    def saved_questions(self) -> list[SavedQuestion]:
        """What the caller keeps, by kind and name."""
        return self._get("/v1/saved", list[SavedQuestion])

    def save_question(self, order: SavedOrder) -> SavedDone:
        """Keep a search or a free question; one of the same name is replaced."""
        return self._post("/v1/saved", order, SavedDone)

    def remove_saved(self, order: SavedRemoval) -> SavedDone:
        return self._post("/v1/saved/remove", order, SavedDone)

    @abstractmethod
    def _get(self, path: str, answer: type[_T], query: Mapping[str, str] | None = None) -> _T: ...

    @abstractmethod
    def _post(self, path: str, order: msgspec.Struct, answer: type[_T]) -> _T: ...
