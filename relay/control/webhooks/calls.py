"""The control API's calls for webhooks, as methods of its client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from relay.control.accounts.calls import quoted
from relay.control.webhooks.views import (
    NewWebhook,
    ReleaseLink,
    WebhookAdded,
    WebhookKey,
    WebhookRemoval,
    WebhookRemoved,
    WebhookView,
)

_T = TypeVar("_T")


class WebhookCalls(ABC):
    """What ControlClient inherits; each call is one request."""

    def webhooks(self) -> list[WebhookView]:
        return self._get("/v1/webhooks", list[WebhookView])

    def webhook_keys(self) -> list[WebhookKey]:
        """All endpoints with their secrets; for operators of the whole tree."""
        return self._get("/v1/webhooks/keys", list[WebhookKey])

    def add_webhook(self, new: NewWebhook) -> WebhookAdded:
        return self._post("/v1/webhooks", new, WebhookAdded)

    def remove_webhook(self, webhook_id: str, order: WebhookRemoval | None = None) -> WebhookRemoved:
        return self._post(f"/v1/webhooks/{quoted(webhook_id)}/remove", order or WebhookRemoval(), WebhookRemoved)

    def release_link(self, decision_id: str) -> ReleaseLink:
        """The link by which a decision's contact may release its sender."""
        return self._get(f"/v1/decisions/{quoted(decision_id)}/link", ReleaseLink)

    @abstractmethod
    def _get(self, path: str, answer: type[_T], query: Mapping[str, str] | None = None) -> _T: ...

    @abstractmethod
    def _post(self, path: str, order: msgspec.Struct, answer: type[_T]) -> _T: ...
