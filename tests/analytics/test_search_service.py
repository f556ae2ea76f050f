"""Searches through the query API: scope, faults, streams and giving up, with the real client."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from analytics.client import QueryClient, QueryError
from tests.analytics.records import Story, write
from tests.analytics.test_service import Service, served
from tests.builders import Installation, until

_SLOW = "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE hash(a.range, b.range) = 7"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with three messages that came just now."""
    folder: Path = tmp_path_factory.mktemp("search")
    installation = Installation(folder)
    installation.write(1, "", model="none")
    with served(installation) as running:
        with running.client("dashboard") as client:
            story = Story(start=datetime.now(UTC) - timedelta(minutes=5))
            records = [story.reception(1, 0, rcpts=2), story.delivery(1), story.reception(2, 1, subject="Other")]
            write(running.settings.journal_dir, "relay-mw1-a-00000001", records)
            until(lambda: len(client.search("")) == 3, 30, lambda: "not ingested")
        yield running


def test_a_search_answers_with_how_far_it_came(service: Service) -> None:
    with service.client("dashboard") as client:
        found = client.search("delivered:Y")
        few = client.search("", limit=1)

    assert found["message_id"].tolist() == ["mw1.1"]
    assert found.attrs["is_complete"]
    assert found.attrs["searched_from"] <= found["received_at"].min()
    assert len(few) == 1
    assert not few.attrs["is_complete"]


def test_a_fault_is_a_refusal_that_points_at_the_place(service: Service) -> None:
    with service.client("dashboard") as client, pytest.raises(QueryError) as caught:
        client.search("to:a sendr:b")

    assert caught.value.status == 422
    assert "     ^^^^^" in caught.value.detail


def test_nobody_without_a_token_searches(service: Service) -> None:
    with QueryClient(service.url, "") as client:
        for ask in (lambda: client.search(""), lambda: client.stop("x")):
            with pytest.raises(QueryError) as caught:
                ask()
            assert caught.value.status == 401


def test_a_stream_brings_a_query_or_a_table_whole(service: Service) -> None:
    with service.client("dashboard") as client:
        with client.stream(query="subject:order") as reader:
            assert reader.read_all()["recipient"].to_pylist() == ["r0@post.example", "r1@post.example"]
        with client.stream(table="message", account="acme") as reader:
            assert reader.read_all()["message_id"].to_pylist() == ["mw1.1", "mw1.2"]
        with client.stream(table="message", account="nobody") as reader:
            assert reader.read_all().num_rows == 0
        for order in ({"table": "ingested_file"}, {"table": "message; DROP TABLE message"}, {"query": "((("}):
            with pytest.raises(QueryError), client.stream(**order) as reader:
                pa.Table.from_batches(reader)


def test_only_the_one_who_asked_can_give_a_question_up(service: Service) -> None:
    caught: list[QueryError] = []

    def ask() -> None:
        with service.client("admin") as client:
            try:
                client.sql(_SLOW, id="mine")
            except QueryError as error:
                caught.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    with service.client("notebook") as other, service.client("admin") as same:
        assert not other.stop("mine")
        until(lambda: same.stop("mine"), 30, lambda: "it never ran")
        asking.join(30)
        assert not same.stop("mine")

    assert [error.status for error in caught] == [503]  # and not 504, of the time limit
