"""Commands on the endpoints of webhooks."""

import re
import secrets
from datetime import datetime
from urllib.parse import urlsplit

from relay.clock import Clock
from relay.control.access import in_sight, require, require_whole_tree, sees
from relay.control.audit.chain import Act
from relay.control.checks import shell
from relay.control.errors import Conflict, Invalid, NotFound
from relay.control.state.memory import State
from relay.control.webhooks.conditions import CONDITIONS
from relay.control.webhooks.views import (
    NewWebhook,
    WebhookAdded,
    WebhookKey,
    WebhookRemoval,
    WebhookRemoved,
    WebhookView,
)
from relay.tree import Principal, Role, Scope

MOST, MOST_OF_ACCOUNT = 500, 10  # each is a row, a few pending calls and two connections of analytics

_SECRET_BYTES = 32
_URL_LENGTH = 500
_URL = re.compile(r"https?://[^\s\x00-\x20\x7f<>\"\\^`{|}]+", re.ASCII)


class WebhookDesk:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state, self._book, self._clock = state, state.webhooks, clock

    async def keys(self, principal: Principal) -> list[WebhookKey]:
        """All of them, with their secrets: for whoever makes the calls."""
        require(principal, Role.OPERATOR)
        require_whole_tree(principal, "read the secrets of webhooks")
        return await self._book.all()

    async def list(self, principal: Principal) -> list[WebhookView]:
        """Endpoints in the principal's part of the tree, without their secrets."""
        require(principal, Role.ABUSE)
        return [_view(key) for key in await self._book.all() if self._is_seen(principal, key.account)]

    async def add(self, principal: Principal, new: NewWebhook) -> WebhookAdded:
        """Have an endpoint called from now on."""
        require(principal, Role.OPERATOR)
        if new.account:
            in_sight(self._state.accounts, principal, new.account)
        else:
            require_whole_tree(principal, "hear of all accounts")
        known = await self._book.all()
        _check(new, known)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        key = _key(new, secret, self._clock.now())
        undo = shell("webhook", "rm", key.id)
        if not new.dry_run:
            act = Act("webhook.add", new.account, key.id, {"url": new.url, "conditions": ",".join(new.conditions)})
            await self._book.add(key, principal, act)
        return WebhookAdded(webhook=_view(key), secret="" if new.dry_run else secret, undo=undo, dry_run=new.dry_run)

    async def remove(self, principal: Principal, webhook_id: str, order: WebhookRemoval) -> WebhookRemoved:
        """Call an endpoint no more; what waits for it is not sent."""
        require(principal, Role.OPERATOR)
        key = next((one for one in await self._book.all() if one.id == webhook_id), None)
        if key is None or not self._is_seen(principal, key.account):
            raise NotFound(f"there is no webhook {webhook_id!r}; `mailweir webhook ls` shows them all")
        if not order.dry_run:
            await self._book.remove(webhook_id, principal, Act("webhook.remove", key.account, key.id, {"url": key.url}))
        words = ["--account", key.account] if key.account else ["--global"]
        words += [word for name in key.conditions for word in ("--condition", name)]
        return WebhookRemoved(webhook=_view(key), undo=shell("webhook", "add", key.url, *words), dry_run=order.dry_run)

    def _is_seen(self, principal: Principal, account: str) -> bool:
        if not account:
            return principal.scope == Scope()
        return sees(principal, account, self._state.reseller_of(account))


def _check(new: NewWebhook, known: list[WebhookKey]) -> None:
    parts = urlsplit(new.url) if len(new.url) <= _URL_LENGTH and _URL.fullmatch(new.url) else None
    try:
        is_address = parts is not None and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_address = False
    if parts is None or not is_address:
        raise Invalid(f"url {new.url[:80]!r}: write it like https://hooks.example.org/mail, at most {_URL_LENGTH} long")
    if parts.username is not None or parts.fragment:
        raise Invalid("url: without a login and without a #fragment; the signature says that a call is ours")
    if unknown := [name for name in new.conditions if name not in CONDITIONS]:
        raise Invalid(f"condition {unknown[0]!r}: must be one of {', '.join(CONDITIONS)}")
    if any((key.url, key.account) == (new.url, new.account) for key in known):
        raise Conflict(f"{new.url} is called for this already; `mailweir webhook ls` shows it")
    own = [key for key in known if key.account == new.account]
    if len(known) >= MOST or (new.account and len(own) >= MOST_OF_ACCOUNT):
        raise Invalid(f"there are enough webhooks: at most {MOST_OF_ACCOUNT} of an account, {MOST} in all")


def _key(new: NewWebhook, secret: str, now: datetime) -> WebhookKey:
    return WebhookKey(
        id=f"wh{secrets.token_hex(4)}",
        url=new.url,
        account=new.account,
        conditions=list(dict.fromkeys(new.conditions)),
        created_at=now,
        secret=secret,
    )


def _view(key: WebhookKey) -> WebhookView:
    return WebhookView(**{name: getattr(key, name) for name in WebhookView.__struct_fields__})
