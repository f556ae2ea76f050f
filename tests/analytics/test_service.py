"""The query API from the outside: a real server, the real client."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import pytest

from analytics.client import AnalyticsDown, QueryClient, QueryError
from analytics.process import Running, started
from analytics.serving import ask
from relay.clock import SystemClock
from relay.control.client import ControlClient
from relay.control.serving import serve
from relay.settings import Settings
from tests.analytics.records import START, Story, write
from tests.builders import Installation, until

JOBS = {
    "feeds",
    "inbox",
    "inbox_retention",
    "ingest",
    "rollups",
    "reputation",
    "reputation_parts",
    "retention",
    "retraining",
    "words",
    "words_retention",
}


@dataclass
class Service:
    """A running service and its settings."""

    running: Running
    settings: Settings
    url: str

    def client(self, name: str) -> QueryClient:
        return QueryClient.of(self.settings, name)


@contextmanager
def served(installation: Installation) -> Iterator[Service]:
    """The process' parts in this process, the server in a thread."""
    settings = installation.settings
    stop, loop = asyncio.Event(), asyncio.new_event_loop()
    up = threading.Event()

    with started(settings, SystemClock()) as running:

        async def run() -> None:
            async with serve(running.api.app(), "127.0.0.1", installation.query):
                up.set()
                await stop.wait()

        thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
        thread.start()
        try:
            assert up.wait(10)
            yield Service(running, settings, f"http://127.0.0.1:{installation.query}")
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    installation = Installation(tmp_path)
    installation.write(1, "", model="none")
    with served(installation) as running:
        yield running


def test_what_is_closed_in_the_journal_is_answered(service: Service) -> None:
    story = Story()

    write(service.settings.journal_dir, "relay-mw1-a-00000001", [story.reception(1), story.delivery(1)])

    with service.client("dashboard") as client:
        until(lambda: client.table("tiles", since=START).to_pylist()[0]["delivered"] == 1, 30, lambda: "not ingested")
        frame = client.frame("flow", since=START - timedelta(minutes=5), bucket_seconds=86_400)
        assert frame["accepted"].sum() == 1
        assert str(frame["bucket_at"].dtype) == "datetime64[us, UTC]"
        until(lambda: client.health()["behind_files"] == 0)  # put away after the commit
        assert client.health()["last_ingest_at"]


@pytest.mark.parametrize(("name", "allowed"), [("admin", True), ("notebook", True), ("dashboard", False)])
def test_free_questions_need_the_right_token(service: Service, name: str, allowed: bool) -> None:
    with service.client(name) as client:
        if allowed:
            assert client.sql("SELECT 42 AS answer")["answer"].tolist() == [42]
        else:
            with pytest.raises(QueryError, match="token of the notebook or of the admin") as caught:
                client.sql("SELECT 42 AS answer")
            assert caught.value.status == 403


def test_complaint_is_journaled_attributed_and_ingested(service: Service) -> None:
    story = Story()
    write(service.settings.journal_dir, "relay-mw1-a-00000001", [story.reception(1), story.delivery(1)])

    with service.client("dashboard") as client:
        until(lambda: client.table("ingest").to_pylist()[0]["files"] == 1, 30, lambda: "not ingested")
        taken = client.complaint(message_id="mw1.1", recipient="r0@post.example", provider="post.example")
        until(lambda: complaints(client) == 1, 30, lambda: "complaint not ingested")

    # No relay runs here: said, not hidden, and the complaint is not lost for it.
    assert taken == {"sender": "acme|mailfrom|news@acme.example", "relay_told": False}


def complaints(client: QueryClient) -> int:
    return int(client.table("sender_summary", sender="acme|mailfrom|news@acme.example").to_pylist()[0]["complaints"])


def test_complaint_about_nothing_is_refused(service: Service) -> None:
    with service.client("dashboard") as client, pytest.raises(QueryError, match="names a message_id or a sender"):
        client.complaint(recipient="r0@post.example")


def test_viewer_may_not_complain(service: Service) -> None:
    with service.client("notebook") as client, pytest.raises(QueryError, match="role viewer") as caught:
        client.complaint(message_id="mw1.1")

    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("method", "path", "token", "body", "status"),
    [
        ("POST", "/q/tiles", "", b"{}", 401),
        ("POST", "/q/tiles", "wrong", b"{}", 401),
        ("POST", "/q/nothing", "admin", b"{}", 404),
        ("POST", "/q/tiles", "admin", b"{", 422),
        ("POST", "/q/tiles", "admin", b"[]", 422),
        ("POST", "/q/tiles", "admin", b'{"since":"x"}', 422),
        ("POST", "/q/tiles", "admin", b'{"account":"' + b"x" * 300_000 + b'"}', 413),
        ("GET", "/q/tiles", "admin", b"", 405),
        ("GET", "/nowhere", "admin", b"", 404),
        ("POST", "/sql", "admin", b'{"sql":"DROP TABLE message"}', 422),
        ("POST", "/v1/complaints", "admin", b'{"who":"x"}', 422),
    ],
)
def test_errors_are_problem_documents(
    service: Service, method: str, path: str, token: str, body: bytes, status: int
) -> None:
    file = service.settings.tokens_dir / f"{token}.token"
    headers = {"Authorization": f"Bearer {file.read_text().strip() if file.is_file() else token}"} if token else {}

    with httpx2.Client(trust_env=False) as http:
        answer = http.request(method, service.url + path, content=body, headers=headers)

    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["detail"]


def test_health_needs_no_token(service: Service) -> None:
    with httpx2.Client(trust_env=False) as http:
        answer = http.get(service.url + "/healthz")

    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_client_says_in_words_that_analytics_is_down(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.write(1, "", model="none")

    with QueryClient.of(installation.settings) as client:
        with pytest.raises(AnalyticsDown, match="mail flows without it"):
            client.table("tiles")

        with served(installation):  # the first start makes the token that this client did not find
            assert client.table("tiles").num_rows == 1


def test_client_does_not_take_another_service_for_analytics() -> None:
    class Polite(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Polite) as other:
        threading.Thread(target=other.handle_request).start()
        client = QueryClient(f"http://127.0.0.1:{other.server_port}", "x")
        with client, pytest.raises(QueryError, match="no answer of analytics"):
            client.table("tiles")


def run_rollups(client: QueryClient) -> dict[str, str]:
    """Run the job by hand, as soon as it does not run by itself."""
    answers: list[dict[str, str]] = []

    def is_run() -> bool:
        try:
            answers.append(client.run_job("rollups"))
        except QueryError as busy:
            if busy.status != 409:
                raise
        return bool(answers)

    until(is_run)
    return answers[0]


def test_job_is_run_for_an_operator_and_for_nobody_else(service: Service) -> None:
    with service.client("admin") as client:
        until(lambda: {row["job"] for row in client.table("jobs").to_pylist()} >= JOBS, 30, lambda: "jobs did not run")
        assert run_rollups(client) == {"job": "rollups", "error": "", "detail": ""}
        with pytest.raises(QueryError, match="there is no job 'tea'") as missing:
            client.run_job("tea")
    with service.client("dashboard") as client, pytest.raises(QueryError, match="may not run jobs") as refused:
        client.run_job("rollups")

    assert (missing.value.status, refused.value.status) == (404, 403)


def test_jobs_show_their_last_and_next_run(service: Service) -> None:
    with service.client("admin") as client:
        until(lambda: {row["job"] for row in client.table("jobs").to_pylist()} >= JOBS, 30, lambda: "jobs did not run")
        jobs = {row["job"]: row for row in client.table("jobs").to_pylist()}

    assert all(row["next_run_at"] > row["last_started_at"] for row in jobs.values())
    assert {row["last_error"] for row in jobs.values()} == {""}


FOREVER = "SELECT count(*) AS n FROM range(1000000000000) AS t(i) WHERE hash(i) % 7 = 3"


def test_question_of_a_client_that_went_away_is_interrupted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "MAX_SECONDS", 3600.0)
    with httpx2.Client(trust_env=False, timeout=0.5) as http:  # twice as many as there are threads: some never begin
        for _ in range(8):
            with pytest.raises(httpx2.ReadTimeout):
                http.post(service.url + "/sql", json={"sql": FOREVER}, headers=bearer(service, "notebook"))

    with service.client("dashboard") as client:  # has a time limit of its own
        assert client.table("tiles").num_rows == 1


def bearer(service: Service, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {(service.settings.tokens_dir / f'{name}.token').read_text().strip()}"}


def test_questions_that_are_waited_for_are_not_interrupted_by_others_going_away(service: Service) -> None:
    with service.client("notebook") as client, ThreadPoolExecutor(1) as other:
        slow = other.submit(client.sql, "SELECT count(*) AS n FROM range(100000000) AS t(i) WHERE hash(i) % 7 = 3")
        with httpx2.Client(trust_env=False, timeout=0.1) as http, pytest.raises(httpx2.ReadTimeout):
            http.post(service.url + "/sql", json={"sql": FOREVER}, headers=bearer(service, "notebook"))

        assert slow.result()["n"][0] > 0


def test_who_ran_a_job_by_hand_stands_in_the_audit_log(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.write(1, "", model="none")
    with installation.running(), served(installation) as service, ControlClient.of(installation.settings) as relay:
        with service.client("admin") as client:
            until(lambda: "rollups" in {row["job"] for row in client.table("jobs").to_pylist()}, 30)
            run_rollups(client)
            with pytest.raises(QueryError):
                client.run_job("tea")
        rows = [(row.principal, row.target) for row in relay.audit() if row.command == "job.run"]

    assert rows == [("admin", "rollups")]
