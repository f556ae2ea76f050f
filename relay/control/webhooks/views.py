"""What the control API says of webhooks. A secret is shown to whoever adds one, once, and to the caller of them all."""

from datetime import datetime

import msgspec


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/webhooks. `account` "": for all accounts; `conditions` []: for all conditions."""

    url: str
    account: str = ""
    conditions: list[str] = []
    dry_run: bool = False


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint."""

    id: str
    url: str
    account: str
    conditions: list[str]
    created_at: datetime


class WebhookKey(WebhookView, frozen=True, kw_only=True):
    """An endpoint with what its calls are signed with: for analytics, which makes them."""

    secret: str


class WebhookAdded(msgspec.Struct, frozen=True, kw_only=True):
    """A new endpoint and its secret, which is not shown again."""

    webhook: WebhookView
    secret: str
    undo: str = ""
    dry_run: bool = False


class WebhookRemoval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/webhooks/{id}/remove."""

    dry_run: bool = False


class WebhookRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed. Its undo makes a new secret."""

    webhook: WebhookView
    undo: str = ""
    dry_run: bool = False


class ReleaseLink(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/decisions/{id}/link. `url` "": this decision's contact may not release; `why` says why."""

    url: str
    why: str = ""
