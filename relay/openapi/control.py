"""The document of the control API."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from relay.control.requests import Routes
from relay.control.views import Problem
from relay.openapi.document import About, document
from relay.openapi.reading import Operation, operation_of

_ABOUT = About(
    title="Mailweir control API",
    text="Commands to one relay and questions about it. The token's role and part of the tree decide what it may do.",
    server="http://127.0.0.1:8025",
    problem=Problem,
    security={"token": {"type": "http", "scheme": "bearer"}},
)
PLAIN = (
    Operation("GET", "/healthz", "healthz", "Whether the relay takes mail; 503 and the reasons when not.", 200),
    Operation("GET", "/metrics", "metrics", "Prometheus metrics.", 200),
    Operation("GET", "/openapi.json", "openapi", "This document.", 200),
)


def control_document(tables: Sequence[Routes]) -> dict[str, Any]:
    """Return the document of routes as the relay has them."""
    named = _with_names_of_their_own([_named(*route) for table in tables for route in table])
    return document(_ABOUT, [*PLAIN, *named], {("GET", each.path): {"security": []} for each in PLAIN})


def _with_names_of_their_own(operations: Sequence[Operation]) -> list[Operation]:
    """One method may answer two paths: the second is named by its parameters too."""
    seen: set[str] = set()
    found = []
    for each in operations:
        name = "_".join([each.name, *each.path_parameters]) if each.name in seen else each.name
        seen.add(name)
        found.append(replace(each, name=name))
    return found


def _named(method: str, path: str, answer: Any, status: int) -> Operation:
    """An operation under a name of its own: that of its room and its method."""
    operation = operation_of(method, path, answer, status)
    room = type(answer.__self__).__name__.strip("_").removesuffix("Routes").lower()
    return replace(operation, name=f"{room}_{operation.name}")
