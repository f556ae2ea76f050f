"""Writes an OpenAPI 3.1 document of operations. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from relay import __version__
from relay.openapi.reading import Operation

_PROBLEM = "application/problem+json"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class About:
    """What a document says of its API as a whole. `problem`: the type of its errors; `security`: schemes by name."""

    title: str
    text: str
    server: str
    problem: type
    security: Mapping[str, Mapping[str, str]]


Extra = Mapping[tuple[str, str], Mapping[str, Any]]  # method and path -> members that only this operation has


def document(about: About, operations: Sequence[Operation], extra: Extra | None = None) -> dict[str, Any]:
    """Return the document, ready for JSON."""
    schemas = _Schemas([about.problem, *_types(operations)])
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        more = (extra or {}).get((operation.method, operation.path), {})
        paths.setdefault(operation.path, {})[operation.method.lower()] = {**_item(operation, about, schemas), **more}
    return {
        "openapi": "3.1.0",
        "info": {"title": about.title, "version": __version__, "description": about.text},
        "servers": [{"url": about.server}],
        "security": [{name: []} for name in about.security],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": dict(about.security)},
    }


class _Schemas:
    """JSON Schemas of all types of a document, with one place for each struct."""

    def __init__(self, found: Iterable[Any]) -> None:
        self._types = list(found)
        schemas, self.components = msgspec.json.schema_components(
            self._types, ref_template="#/components/schemas/{name}"
        )
        self._schemas = list(schemas)

    def of(self, type_: Any) -> dict[str, Any]:
        return self._schemas[self._types.index(type_)]


def _types(operations: Sequence[Operation]) -> list[Any]:
    return [type_ for each in operations for type_ in (each.body, each.answer) if type_ is not None]


def _item(operation: Operation, about: About, schemas: _Schemas) -> dict[str, Any]:
    item: dict[str, Any] = {
        "operationId": operation.name,
        "summary": _summary(operation),
        "responses": {
            str(operation.status): _answer(operation, schemas),
            "default": {
                "description": "refused; the detail says why",
                "content": {_PROBLEM: {"schema": schemas.of(about.problem)}},
            },
        },
    }
    if operation.text:
        item["description"] = operation.text
    if parameters := _parameters(operation):
        item["parameters"] = parameters
    if operation.body is not None:
        item["requestBody"] = {"required": True, "content": {_JSON: {"schema": schemas.of(operation.body)}}}
    return item


def _summary(operation: Operation) -> str:
    first = operation.text.partition("\n")[0].partition(". ")[0].rstrip(".")
    return first or operation.name.partition("_")[2].replace("_", " ") or operation.name


def _answer(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.answer is not None:
        described["content"] = {_JSON: {"schema": schemas.of(operation.answer)}}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in operation.path_parameters
    ]
    in_query = [
        {"name": name, "in": "query", "schema": {"type": "integer" if name == "limit" else "string"}}
        for name in operation.query
    ]
    return in_path + in_query
