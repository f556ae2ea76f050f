"""The control API: HTTP in front of Commands and Questions, and nothing more. Errors are RFC 9457 problem documents.

Role and scope are checked below, in the commands; here only the token becomes a Principal.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relay.cases.routes import CaseRoutes
from relay.control.access import require, require_whole_tree
from relay.control.accounts.routes import AccountRoutes
from relay.control.audit.chain import Act
from relay.control.audit.desk import AuditDesk
from relay.control.audit.routes import AuditRoutes
from relay.control.commands import Commands
from relay.control.desk import Desk
from relay.control.egress.routes import EgressRoutes
from relay.control.errors import Refusal, Unauthorized
from relay.control.requests import Answer, Routes, body, limit
from relay.control.serving import serve
from relay.control.shaping.routes import ShapingRoutes
from relay.control.state.memory import State
from relay.control.suppression.routes import SuppressionRoutes
from relay.control.tokens import principal_of
from relay.control.views import (
    ConfirmOrder,
    DecisionView,
    HoldOrder,
    NewDecision,
    Outcome,
    Problem,
    ReleaseOrder,
    Reloaded,
    ReloadOrder,
    SenderView,
    Stopped,
)
from relay.control.waiting.routes import QueueRoutes
from relay.holds.routes import HoldRoutes
from relay.holds.views import Freed, HeldView
from relay.resellers.routes import ResellerRoutes
from relay.saved.routes import SavedRoutes
from relay.tenants.desk import TenantDesk
from relay.tenants.routes import TenantRoutes
from relay.tree import Principal, Role

_log = logging.getLogger("mailweir.control")
_encode = msgspec.json.Encoder().encode
_HOW_TO_COME_IN = (
    "present `Authorization: Bearer TOKEN`; this node's tokens are the files tokens/admin.token, dashboard.token, "
    "analytics.token and notebook.token below its data folder (the setting `dir`)"
)

__all__ = ["House", "build_app", "build_desk", "serve"]


@dataclass(frozen=True, slots=True)
class House:
    """The relay around the commands: what GET /v1/status, /metrics and /healthz show, and what POST /v1/reload does."""

    status: Callable[[], dict[str, Any]]
    metrics: Callable[[], bytes]
    troubles: Callable[[], list[str]]
    reload: Callable[[bool], Awaitable[Reloaded]]


def build_app(
    commands: Commands, state: State, house: House, tokens: Mapping[str, Principal], more: Routes = ()
) -> Starlette:
    """Make the ASGI application. `more`: routes of other rooms."""

    def authenticated(request: Request) -> Principal:
        return _authenticate(request, tokens, state.users.principal_of)

    async def healthz(_request: Request) -> Response:
        troubles = house.troubles()
        if troubles:
            return _json({"status": "failing", "reasons": troubles}, 503)
        return _json({"status": "ok", "accounts": len(state.accounts)})

    async def prometheus(_request: Request) -> Response:
        return Response(house.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    tables = [
        AccountRoutes(commands.desk).table(),
        ResellerRoutes(commands.desk).table(),
        ShapingRoutes(commands.shaping).table(),
        more,
        EgressRoutes(commands.desk).table(),
        QueueRoutes(commands.queue).table(),
        SuppressionRoutes(commands.desk).table(),
        CaseRoutes(commands.cases).table(),
        HoldRoutes(commands).table(),
        AuditRoutes(AuditDesk(state)).table(),
        SavedRoutes(commands.desk.saved).table(),
        TenantRoutes(TenantDesk(state, commands.desk.accounts, commands.queue)).table(),
        RelayRoutes(commands, house, state.note).table(),
    ]
    plain = [Route("/healthz", healthz), Route("/metrics", prometheus), Route("/openapi.json", _described(tables))]
    return _app([*plain, *(route for table in tables for route in _guarded(table, authenticated))])


def build_desk(desk: Desk, principal: Principal, more: Routes = ()) -> Starlette:
    """Make the part of it that needs the state only, for one principal who has come in already."""
    rooms = (AccountRoutes(desk), ResellerRoutes(desk), EgressRoutes(desk), SuppressionRoutes(desk))
    table = [*(route for room in rooms for route in room.table()), *more]
    return _app(_guarded(table, lambda request: principal))


def _described(tables: Sequence[Routes]) -> Callable[[Request], Awaitable[Response]]:
    """What answers with the document of all these routes; it is made when somebody asks, and kept."""
    kept: list[dict[str, Any]] = []

    async def openapi(_request: Request) -> Response:
        if not kept:
            from relay.openapi.control import control_document  # seldom asked for; 0.2 s with what it makes

            kept.append(await asyncio.to_thread(control_document, tables))
        return _json(kept[0])

    return openapi


def _app(routes: Sequence[Route]) -> Starlette:
    return Starlette(routes=routes, exception_handlers={Refusal: _refused, HTTPException: _http_error})


def _guarded(table: Routes, who: Callable[[Request], Principal]) -> list[Route]:
    def endpoint(answer: Answer, status_code: int) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return _json(await answer(who(request), request), status_code)
            except (Refusal, HTTPException):
                raise
            except Exception:  # one broken request must not end as a bare text, nor twice in the log
                _log.exception("request failed method=%s path=%s", request.method, request.url.path)
                return _problem(500, "the relay could not do this; its log says why")

        return guarded

    return [Route(path, endpoint(answer, code), methods=[method]) for method, path, answer, code in table]


class RelayRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, commands: Commands, house: House, note: Callable[[Principal, Act], Awaitable[None]]) -> None:
        self._commands, self._questions, self._house, self._note = commands, commands.questions, house, note

    def table(self) -> Routes:
        """A sender may contain slashes, so its routes match the rest."""
        return [
            ("GET", "/v1/status", self.status, 200),
            ("POST", "/v1/reload", self.reload, 200),
            ("GET", "/v1/decisions", self.decisions, 200),
            ("POST", "/v1/decisions", self.propose, 201),
            ("GET", "/v1/decisions/{id}", self.decision, 200),
            ("POST", "/v1/decisions/{id}/release", self.release_decision, 200),
            ("POST", "/v1/decisions/{id}/confirm", self.confirm, 200),
            ("POST", "/v1/senders/{sender:path}/hold", self.hold, 201),
            ("POST", "/v1/senders/{sender:path}/release", self.release_sender, 200),
            ("GET", "/v1/senders/{sender:path}", self.sender, 200),
            ("GET", "/v1/messages/{id}", self.message, 200),
            ("GET", "/v1/queue", self.queue, 200),
            ("POST", "/v1/outcomes", self.outcome, 202),
        ]

    async def status(self, principal: Principal, request: Request) -> dict[str, Any]:
        require(principal, Role.VIEWER)
        return self._house.status()

    async def reload(self, principal: Principal, request: Request) -> Reloaded:
        require(principal, Role.OPERATOR)
        require_whole_tree(principal, "change its settings")
        order = await body(request, ReloadOrder)
        done = await self._house.reload(order.dry_run)
        if not order.dry_run:
            taken_up = {one.key: f"{one.before} -> {one.after}" for one in done.changes if one.key in done.taken_up}
            await self._note(principal, Act("reload", "", "", {**taken_up}))
        return done

    async def decisions(self, principal: Principal, request: Request) -> list[DecisionView]:
        query = request.query_params
        return self._questions.decisions(
            principal,
            sender=query.get("sender") or None,
            account=query.get("account") or None,
            open_only=query.get("open", "") not in ("", "0", "false"),
            limit=limit(request, 200),
        )

    async def propose(self, principal: Principal, request: Request) -> Stopped:
        return await self._commands.propose(principal, await body(request, NewDecision))

    async def decision(self, principal: Principal, request: Request) -> DecisionView:
        return self._questions.decision(principal, request.path_params["id"])

    async def release_decision(self, principal: Principal, request: Request) -> Freed:
        order = await body(request, ReleaseOrder)
        return await self._commands.release_decision(principal, request.path_params["id"], order)

    async def confirm(self, principal: Principal, request: Request) -> DecisionView:
        order = await body(request, ConfirmOrder)
        return await self._commands.confirm(principal, request.path_params["id"], order)

    async def hold(self, principal: Principal, request: Request) -> Stopped:
        return await self._commands.hold(principal, request.path_params["sender"], await body(request, HoldOrder))

    async def release_sender(self, principal: Principal, request: Request) -> Freed:
        order = await body(request, ReleaseOrder)
        return await self._commands.release_sender(principal, request.path_params["sender"], order)

    async def sender(self, principal: Principal, request: Request) -> SenderView:
        return self._questions.sender(principal, request.path_params["sender"])

    async def message(self, principal: Principal, request: Request) -> HeldView:
        return self._questions.message(principal, request.path_params["id"])

    async def queue(self, principal: Principal, request: Request) -> dict[str, Any]:
        return self._questions.queue(principal)

    async def outcome(self, principal: Principal, request: Request) -> dict[str, str]:
        await self._commands.outcome(principal, await body(request, Outcome))
        return {"status": "counted"}


def _authenticate(
    request: Request, tokens: Mapping[str, Principal], session: Callable[[str], Principal | None]
) -> Principal:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized(f"no token; {_HOW_TO_COME_IN}")
    principal = principal_of(tokens, token.strip()) or session(token.strip())
    if principal is None:
        raise Unauthorized(f"this token is not one of this node, or its session is over; {_HOW_TO_COME_IN}")
    return principal


def _json(value: object, status_code: int = 200) -> Response:
    return Response(_encode(value), status_code, media_type="application/json")


def _problem(status_code: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    problem = Problem(title=HTTPStatus(status_code).phrase, status=status_code, detail=detail)
    return Response(_encode(problem), status_code, headers, media_type="application/problem+json")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthorized) else None
    return _problem(error.status, error.detail, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"there is nothing at {request.method} {request.url.path}" if error.status_code == 404 else error.detail
    return _problem(error.status_code, detail, error.headers)
