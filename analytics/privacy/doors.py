"""What the query API does about people's traces: forget an address, purge what is old or of a customer who left."""

import asyncio
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from analytics.privacy.forgetting import Forgetting
from analytics.privacy.purging import Purging
from analytics.serving.answers import body, json
from analytics.serving.ask import Unanswerable
from analytics.serving.doors import Answer, require
from relay.clock import Clock
from relay.privacy.forgotten import Forgotten, NoAddress
from relay.privacy.views import Forgot, Trace
from relay.tree import Principal, Role


class ForgottenOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/forgotten: `token` as the relay gave it for the same address."""

    address: str
    token: str
    dry_run: bool = False


class PurgeOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/purge: by age in days, or all of an account; one of them."""

    days: int | None = None
    account: str = ""
    dry_run: bool = False


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted, or would be."""

    traces: list[Trace]
    dry_run: bool


class PrivacyDoors:
    """One method per route."""

    def __init__(self, forgetting: Forgetting, purging: Purging, clock: Clock) -> None:
        self._forgetting, self._purging, self._clock = forgetting, purging, clock

    def table(self) -> Sequence[tuple[str, str, Answer]]:
        """Method, path, answer."""
        return [("POST", "/v1/forgotten", self.forget), ("POST", "/v1/purge", self.purge)]

    async def forget(self, principal: Principal, request: Request) -> Response:
        require(principal, Role.ADMIN, "delete data")
        order = await body(request, ForgottenOrder)
        try:
            forgotten = Forgotten.of(order.address, order.token)
        except NoAddress as error:
            raise Unanswerable(str(error)) from None
        traces = await asyncio.to_thread(self._forgetting.forget, forgotten, dry_run=order.dry_run)
        return json(Forgot(token=order.token, traces=traces, dry_run=order.dry_run))

    async def purge(self, principal: Principal, request: Request) -> Response:
        require(principal, Role.ADMIN, "delete data")
        order, purging = await body(request, PurgeOrder), self._purging
        if (order.days is None) == (not order.account):
            raise Unanswerable("days or account: give one of them")
        if order.days is not None and order.days < 1:
            raise Unanswerable(f"days = {order.days}: at least 1, as the last day is still being worked on")
        if order.days is not None:
            done = asyncio.to_thread(purging.older_than, self._clock.now(), order.days, dry_run=order.dry_run)
        else:
            done = asyncio.to_thread(purging.of_account, order.account, dry_run=order.dry_run)
        return json(Purged(traces=await done, dry_run=order.dry_run))
