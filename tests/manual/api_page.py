"""docs/reference/api.md, written from the OpenAPI documents; and the doors of all three APIs."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from analytics.serving.openapi import query_document
from analytics.serving.tables import bare_table
from relay.openapi.control import control_document
from relay.openapi.rooms import all_tables
from relay.openapi.submission import submission_document

_HEAD = """# The APIs
Written from the code by `python -m tests.test_docs`; do not edit by hand. The same as OpenAPI 3.1:
`mailweir openapi control` (`submission`, `query`), and `/openapi.json` of each listener. How to log in and send:
[http.md](../http.md); roles, and tokens for programs: [users.md](../users.md); searches: [search.md](../search.md).

| API | listens on | who may |
|---|---|---|
| control | `control.listen`, 127.0.0.1:8025 | a bearer token, of `DIR/tokens` or a user's; roles are enforced |
| submission | `web.listen`, 127.0.0.1:8027 | an account's login, or its token; `/u/` and `/r/`: people with a link |
| query | `analytics.listen`, 127.0.0.1:8026 | a token as for control; *Arrow*: answers as an Arrow IPC stream |

A token sees and changes its part of the tree only, and each change stands in the audit log. What is refused answers
`application/problem+json` with `detail`, in words (RFC 9457). *takes* names parameters of the path and of the query,
then the record in the body; records stand below each API.
"""
_SCHEMA = "#/components/schemas/"
_JSON, _ARROW, _PLAIN = "application/json", "application/vnd.apache.arrow.stream", "text/plain"


def api_page() -> str:
    """Return the whole page."""
    parts = [_HEAD]
    for name, found in documents().items():
        parts += [
            f"## {name.capitalize()}",
            found["info"]["description"],
            "",
            *_doors(found),
            "",
            *_records(name, found),
        ]
    return "\n".join(parts).rstrip() + "\n"


def documents() -> dict[str, dict[str, Any]]:
    """Return the three documents by name."""
    return {
        "control": control_document(all_tables()),
        "submission": submission_document(),
        "query": query_document(bare_table()),
    }


def has_door(method: str, path: str) -> bool:
    """Tell whether an API answers a path, whose place holders may be called as one likes, or be filled in."""
    asked = path.partition("?")[0].rstrip("/").split("/")
    for found in documents().values():
        for known, item in found["paths"].items():
            parts = known.split("/")
            if method.lower() in item and len(parts) == len(asked) and all(map(_fits, parts, asked)):
                return True
    return False


def _fits(known: str, asked: str) -> bool:
    return known == asked or (known.startswith("{") and asked != "")


def _doors(found: Mapping[str, Any]) -> Iterator[str]:
    yield from ("| door | what | takes | gives |", "|---|---|---|---|")
    for path, item in found["paths"].items():
        for method, one in item.items():
            what = _cell(one.get("description") or one["summary"])
            yield f"| `{method.upper()} {path}` | {what} | {_takes(one)} | {_gives(one)} |"


def _takes(one: Mapping[str, Any]) -> str:
    names = [f"`{found['name']}`" for found in one.get("parameters", [])]
    body = one.get("requestBody", {}).get("content", {})
    for kind, held in body.items():
        if "properties" in held.get("schema", {}):
            names += [f"`{name}`" for name in held["schema"]["properties"]]
        else:
            names.append(_type(held.get("schema", {})) if kind == _JSON else f"`{kind}`")
    return ", ".join(names)


def _gives(one: Mapping[str, Any]) -> str:
    for status, answer in one["responses"].items():
        if status != "default":
            kinds = [_answer(kind, held) for kind, held in answer.get("content", {}).items()]
            return f"{status} {', '.join(kinds)}".rstrip()
    return ""


def _answer(kind: str, held: Mapping[str, Any]) -> str:
    return {_JSON: _type(held.get("schema", {})), _ARROW: "Arrow", _PLAIN: "text"}.get(kind, f"`{kind}`")


def _records(api: str, found: Mapping[str, Any]) -> Iterator[str]:
    schemas = found.get("components", {}).get("schemas", {})
    if not schemas:
        return
    yield f"### Records of the {api} API"
    yield from (
        "Behind a field's name `?` says that it may be absent, `=` what then holds.",
        "",
        "| record | what | fields |",
        "|---|---|---|",
    )
    for name, schema in sorted(schemas.items()):
        required = set(schema.get("required", []))
        fields = [_field(key, one, key in required) for key, one in schema.get("properties", {}).items()]
        told = ", ".join(fields) or _type(schema)
        yield f"| {name} | {_cell(schema.get('description', ''))} | {told} |"
    yield ""


def _field(name: str, schema: Mapping[str, Any], is_required: bool) -> str:
    default = schema.get("default")
    shown = "" if is_required or default in (None, "", [], {}) else f" = {default}"
    return f"`{name}`{'' if is_required else '?'} {_type(schema)}{shown}"


def _type(schema: Any) -> str:
    if not isinstance(schema, dict):  # a tuple: its places are typed one by one
        return "any"
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_SCHEMA)
    if "enum" in schema:
        return " / ".join(str(one) for one in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        return f"map to {_type(schema['additionalProperties'])}"
    return str(schema.get("format") or schema.get("type") or "any")


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")
