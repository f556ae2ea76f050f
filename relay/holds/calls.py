"""The control API's calls for held mail, as methods of its client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal, TypeVar

import msgspec

from relay.control.accounts.calls import quoted
from relay.holds.views import DropOrder, Freed, HeldContent, HeldGroupView, HeldQuery, HeldView, ReleaseOrder, Removed

_T = TypeVar("_T")


class HeldCalls(ABC):
    """What ControlClient inherits; each call is one request."""

    def held(
        self,
        *,
        sender: str = "",
        account: str = "",
        limit: int = 500,
        query: HeldQuery | None = None,
        before: str = "",
    ) -> list[HeldView]:
        """Parked messages, newest first; `before`: those behind that one."""
        asked = query or HeldQuery(sender=sender, account=account)
        return self._get("/v1/held", list[HeldView], _fields(asked) | {"limit": str(limit), "before": before})

    def held_groups(
        self, by: Literal["sender", "cluster", "rule"], query: HeldQuery | None = None, limit: int = 100
    ) -> list[HeldGroupView]:
        """Parked messages by sender, cluster or rule, the fullest group first."""
        asked = _fields(query or HeldQuery()) | {"by": by, "limit": str(limit)}
        return self._get("/v1/held/groups", list[HeldGroupView], asked)

    def held_message(self, message_id: str, *, with_text: bool = False) -> HeldContent:
        """A parked message with its headers; that its text was looked at is audited."""
        return self._get(f"/v1/held/messages/{quoted(message_id)}", HeldContent, {"text": "1" if with_text else ""})

    def release_held(self, order: ReleaseOrder) -> Freed:
        return self._post("/v1/held/release", order, Freed)

    def drop_held(self, order: DropOrder) -> Removed:
        return self._post("/v1/held/drop", order, Removed)

    @abstractmethod
    def _get(self, path: str, answer: type[_T], query: Mapping[str, str] | None = None) -> _T: ...

    @abstractmethod
    def _post(self, path: str, order: msgspec.Struct, answer: type[_T]) -> _T: ...


def _fields(query: HeldQuery) -> dict[str, str]:
    return {name: str(value) for name, value in query.given.items()}
