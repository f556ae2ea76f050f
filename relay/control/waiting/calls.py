"""The control API's calls for mail that waits, as methods of its client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from relay.control.accounts.calls import quoted
from relay.control.waiting.views import PauseDone, PauseOrder, QueueDone, QueueOrder, QueueView

_T = TypeVar("_T")


class QueueCalls(ABC):
    """What ControlClient inherits; each call is one request."""

    def queued(
        self, *, destination: str = "", account: str = "", sender: str = "", message: str = "", limit: int = 200
    ) -> QueueView:
        """Recipients that wait, lane by lane, and the pauses."""
        query = {"destination": destination, "account": account, "sender": sender, "message": message}
        return self._get("/v1/queue/recipients", QueueView, query | {"limit": str(limit)})

    def queued_message(self, message_id: str) -> QueueView:
        return self._get(f"/v1/queue/messages/{quoted(message_id)}", QueueView)

    def retry_queued(self, order: QueueOrder) -> QueueDone:
        return self._post("/v1/queue/retry", order, QueueDone)

    def bounce_queued(self, order: QueueOrder) -> QueueDone:
        return self._post("/v1/queue/bounce", order, QueueDone)

    def pause_queue(self, order: PauseOrder) -> PauseDone:
        return self._post("/v1/queue/pause", order, PauseDone)

    def resume_queue(self, order: PauseOrder) -> PauseDone:
        return self._post("/v1/queue/resume", order, PauseDone)

    @abstractmethod
    def _get(self, path: str, answer: type[_T], query: Mapping[str, str] | None = None) -> _T: ...

    @abstractmethod
    def _post(self, path: str, order: msgspec.Struct, answer: type[_T]) -> _T: ...
