"""The routes of the control API for held mail."""

from collections.abc import Mapping
from typing import get_args

from starlette.requests import Request

from relay.control.commands import Commands
from relay.control.errors import Invalid
from relay.control.requests import Routes, body, limit
from relay.holds.views import DropOrder, Freed, HeldContent, HeldGroupView, HeldQuery, HeldView, ReleaseOrder, Removed
from relay.spool.held import By
from relay.tree import Principal


class HoldRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, commands: Commands) -> None:
        self._commands, self._desk = commands, commands.holds

    def table(self) -> Routes:
        return [
            ("GET", "/v1/held", self.held, 200),
            ("GET", "/v1/held/groups", self.groups, 200),
            ("GET", "/v1/held/messages/{id}", self.message, 200),
            ("POST", "/v1/held/release", self.release, 200),
            ("POST", "/v1/held/drop", self.drop, 200),
        ]

    async def held(self, principal: Principal, request: Request) -> list[HeldView]:
        before = request.query_params.get("before", "")
        return await self._desk.page(principal, _query(request), limit(request, 500), before)

    async def groups(self, principal: Principal, request: Request) -> list[HeldGroupView]:
        by = request.query_params.get("by", "sender")
        for known in get_args(By):
            if by == known:
                return await self._desk.groups(principal, _query(request), known, limit(request, 100))
        raise Invalid(f"by = {by!r}: give sender, cluster or rule")

    async def message(self, principal: Principal, request: Request) -> HeldContent:
        with_text = request.query_params.get("text", "") not in ("", "0", "false")
        return await self._desk.show(principal, request.path_params["id"], with_text=with_text)

    async def release(self, principal: Principal, request: Request) -> Freed:
        return await self._commands.release_held(principal, await body(request, ReleaseOrder))

    async def drop(self, principal: Principal, request: Request) -> Removed:
        return await self._desk.drop(principal, await body(request, DropOrder))


def _query(request: Request) -> HeldQuery:
    given = request.query_params
    return HeldQuery(
        sender=given.get("sender", ""),
        account=given.get("account", ""),
        cluster=given.get("cluster", ""),
        rule=given.get("rule", ""),
        score_from=_number("score_from", given),
        score_to=_number("score_to", given),
        older_seconds=_number("older_seconds", given),
    )


def _number(name: str, given: Mapping[str, str]) -> float | None:
    text = given.get(name, "")
    try:
        return float(text) if text else None
    except ValueError:
        raise Invalid(f"{name} = {text!r}: give a number") from None
