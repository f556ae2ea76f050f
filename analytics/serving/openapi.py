"""The OpenAPI 3.1 document of the query API, read from its doors and its named questions."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from analytics.queries.named import QUERIES, Query, Required
from analytics.serving.answers import ARROW, json
from relay.control.views import Problem
from relay.openapi.document import About, document
from relay.openapi.reading import Operation, operation_of

Table = Sequence[tuple[str, str, Callable[..., Awaitable[Response]]]]

_ABOUT = About(
    title="Mailweir query API",
    text="Questions to the warehouse, answered as Arrow IPC streams; and the doors for reports from outside.",
    server="http://127.0.0.1:8026",
    problem=Problem,
    security={"token": {"type": "http", "scheme": "bearer"}},
)
_NAMED = "/q/{name}"
_PLAIN = (
    Operation("GET", "/healthz", "healthz", "How far the warehouse has come.", 200),
    Operation("GET", "/openapi.json", "openapi", "This document.", 200),
)
_ARROW_ANSWERS = frozenset({_NAMED, "/sql", "/v1/search", "/v1/stream"})
_STATUS = {"/v1/complaints": 202}


def query_document(table: Table) -> dict[str, Any]:
    """Return the document of doors as analytics has them; each named question has a path of its own beside them."""
    doors = [_door(*route) for route in table]
    written = document(_ABOUT, [*_PLAIN, *doors], {(each.method, each.path): {"security": []} for each in _PLAIN})
    named = written["paths"].pop(_NAMED)["post"]
    for name, query in QUERIES.items():
        written["paths"][f"/q/{name}"] = {"post": _question(named, name, query)}
    for path, item in written["paths"].items():
        if path in _ARROW_ANSWERS or path.startswith("/q/"):
            item["post"]["responses"]["200"]["content"] = {ARROW: {"schema": {"type": "string", "format": "binary"}}}
    return written


def described(table: Table) -> Callable[[Request], Awaitable[Response]]:
    """What answers with the document; it is made when somebody asks, and kept."""
    kept: list[dict[str, Any]] = []

    async def openapi(_request: Request) -> Response:
        if not kept:
            kept.append(await asyncio.to_thread(query_document, table))
        return json(kept[0])

    return openapi


def _door(method: str, path: str, answer: Callable[..., Awaitable[Response]]) -> Operation:
    operation = operation_of(method, path, answer, _STATUS.get(path, 200))
    body = None if operation.body in (bytes, str) else operation.body
    return replace(operation, name=f"query_{operation.name}", body=body, answer=None)


def _question(named: dict[str, Any], name: str, query: Query) -> dict[str, Any]:
    """The operation of one named question: its parameters, with their defaults."""
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "since": {"type": "string", "format": "date-time", "description": f"default: {query.days} days ago"},
            "account": {"type": "string", "default": ""},
            **{key: _parameter(default) for key, default in query.params.items()},
        },
        "required": [key for key, default in query.params.items() if isinstance(default, Required)],
    }
    return {
        "operationId": f"ask_{name}",
        "summary": f"the question {name}",
        "requestBody": {"content": {"application/json": {"schema": schema}}},
        "responses": deepcopy(named["responses"]),
    }


def _parameter(default: str | int | Required) -> dict[str, Any]:
    if isinstance(default, Required):
        return {"type": "string"}
    return {"type": "integer" if isinstance(default, int) else "string", "default": default}
