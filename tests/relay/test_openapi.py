"""The OpenAPI documents have every route, with the types that the code reads and answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.requests import Request

from analytics.inbox.doors import InboxDoors
from analytics.queries.named import QUERIES
from analytics.serving.openapi import query_document
from analytics.serving.tables import bare_table
from relay.control.requests import body, limit
from relay.control.views import HoldOrder
from relay.openapi.control import control_document
from relay.openapi.reading import openapi_path, operation_of
from relay.openapi.rooms import all_tables
from relay.openapi.submission import submission_document
from relay.tree import Principal
from tests.builders import Installation
from tests.sink import Sink


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Sink() as sink:
        installation = Installation(tmp_path_factory.mktemp("openapi"))
        installation.write(sink.port, model="none")
        with installation.running():
            yield installation


def served(port: int) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"http://127.0.0.1:{port}/openapi.json", verify=False, timeout=30).json()
    return found


def operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item}


def test_a_running_relay_serves_what_the_command_prints_of_its_control_api(node: Installation) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "relay.cli", "openapi", "control"], capture_output=True, text=True, check=True
    ).stdout

    assert operations(served(node.control)) == operations(json.loads(printed))


def test_every_route_of_the_relay_is_in_the_document(node: Installation) -> None:
    written = operations(served(node.control))

    for method, path in sorted(written):
        filled = path.replace("{", "").replace("}", "")
        answer = httpx2.request(method, f"http://127.0.0.1:{node.control}{filled}", verify=False, timeout=30)
        assert answer.status_code in ((200,) if method == "GET" and path in _OPEN else (401,)), (method, path)
    tables = {(method, openapi_path(path)) for table in all_tables() for method, path, _, _ in table}
    assert written == tables | {("GET", path) for path in _OPEN}


_OPEN = ("/healthz", "/metrics", "/openapi.json")


def test_a_room_that_is_forgotten_in_the_list_is_missed(node: Installation) -> None:
    without = control_document(all_tables()[1:])

    assert operations(served(node.control)) != operations(without)


def test_the_web_listener_serves_its_document_with_all_its_routes(node: Installation) -> None:
    document = served(node.web)

    assert document == submission_document()
    for method, path in operations(document):
        answer = httpx2.request(method, f"http://127.0.0.1:{node.web}{path}", verify=False, timeout=30)
        assert "there is nothing here" not in answer.text, (method, path)
        assert answer.status_code != 405, (method, path)
    assert set(document["paths"]) == {"/healthz", "/openapi.json", "/v1/messages", "/u/{token}", "/r/{token}"}


def test_every_named_question_has_a_path_with_its_parameters() -> None:
    document = query_document(bare_table())

    assert {path for path in document["paths"] if path.startswith("/q/")} == {f"/q/{name}" for name in QUERIES}
    culprits = document["paths"]["/q/culprits"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert culprits["required"] == ["address"]
    assert culprits["properties"]["limit"] == {"type": "integer", "default": 10}
    assert ("POST", "/v1/feeds/{kind}") in operations(document)
    assert {path for _, path, _ in InboxDoors.__new__(InboxDoors).table()} <= set(document["paths"])


@pytest.mark.parametrize(
    "document", [control_document(all_tables()), submission_document(), query_document(bare_table())]
)
def test_every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    named = [item["operationId"] for path in document["paths"].values() for item in path.values()]
    text = json.dumps(document)
    wanted = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}

    assert document["openapi"] == "3.1.0"
    assert len(named) == len(set(named))
    assert wanted <= set(document["components"]["schemas"])
    for path, item in document["paths"].items():
        for operation in item.values():
            in_path = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert in_path == {part.partition("}")[0] for part in path.split("{")[1:]}


class _Room:
    async def act(self, principal: Principal, request: Request) -> list[int]:
        """Do it. Then more."""
        return await self._more(request)

    async def _more(self, request: Request) -> list[int]:
        order = await body(request, HoldOrder)
        query = request.query_params
        return [limit(request, 5), len(query["which"]), len(query.get("other", "")), int(order.minutes or 0)]


def test_body_query_and_answer_are_read_through_the_methods_a_route_calls() -> None:
    operation = operation_of("POST", "/v1/x/{a:path}/{b}", _Room().act, 201)

    assert operation.body is HoldOrder
    assert operation.answer == list[int]
    assert sorted(operation.query) == ["limit", "other", "which"]
    assert operation.path_parameters == ["a", "b"]
    assert operation.text == "Do it. Then more."


def test_a_route_without_a_body_has_none() -> None:
    async def plain(principal: Principal, request: Request) -> int:
        return 1

    operation = operation_of("GET", "/v1/x", plain, 200)

    assert (operation.body, operation.query, operation.answer) == (None, [], int)
