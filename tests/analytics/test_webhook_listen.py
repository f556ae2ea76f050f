"""The receiver for trying webhooks: shows what arrives, and tells a genuine call from a wrong one."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from analytics.webhooks.listening import Heard, Listener, fault_of
from analytics.webhooks.payload import signature
from analytics.webhooks.trial import call_once
from relay.control.webhooks.views import WebhookKey
from relay.settings import Settings, Webhooks

SECRET = "s3cret"
BODY = b'{"condition_name":"webhook_test"}'


@contextmanager
def listening(secret: str = SECRET, *, status: int = 204) -> Iterator[tuple[str, list[Heard]]]:
    """A listener that ends after one call, and what it heard."""
    heard: list[Heard] = []
    listener = Listener(0, secret, heard.append, status=status, most=1)
    thread = threading.Thread(target=listener.serve, daemon=True)
    thread.start()
    try:
        yield listener.url, heard
    finally:
        thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("header", "now", "said"),
    [
        (signature(SECRET, 1_000, BODY), 1_200.0, ""),
        (signature(SECRET, 1_000, BODY), 1_301.0, "301 s away"),
        (signature(SECRET, 1_000, BODY), 600.0, "400 s away"),
        (signature("other", 1_000, BODY), 1_000.0, "another one"),
        (signature(SECRET, 1_000, b"{}"), 1_000.0, "another one"),
        ("t=1000,v1=é", 1_000.0, "another one"),
        ("t=x,v1=00", 1_000.0, "is not t=SECONDS"),
        ("v1=00", 1_000.0, "is not t=SECONDS"),
        ("", 1_000.0, "it is not signed"),
    ],
)
def test_a_signature_holds_only_for_its_secret_its_body_and_some_minutes(header: str, now: float, said: str) -> None:
    fault = fault_of(SECRET, header, BODY, now)

    assert said in fault
    assert bool(said) == bool(fault)


def test_a_test_call_arrives_and_its_signature_holds(tmp_path: Path) -> None:
    settings = Settings(dir=tmp_path, webhooks=Webhooks.model_validate({"private_networks": ["127.0.0.0/8"]}))
    with listening() as (url, heard):
        key = WebhookKey(id="wh1", url=url, account="", conditions=[], created_at=datetime.now(UTC), secret=SECRET)

        answer = call_once(settings, key)

    assert (answer.code, answer.is_delivered) == (204, True)
    (call,) = heard
    assert (call.fault, call.attempt) == ("", "1")
    assert call.body is not None
    assert call.body["condition_name"] == "webhook_test"


def test_a_wrong_call_is_answered_400_and_named() -> None:
    with listening() as (url, heard):
        code = httpx2.post(url, content=BODY, verify=False, timeout=30).status_code

    assert code == 400
    assert heard[0].fault == "it is not signed"


def test_without_a_secret_only_the_form_is_looked_at_and_the_answer_can_be_chosen() -> None:
    with listening("", status=503) as (url, heard):
        code = httpx2.post(url, content=BODY, verify=False, timeout=30).status_code
    with listening("") as (url, broken):
        httpx2.post(url, content=b"[1]", verify=False, timeout=30)

    assert (code, heard[0].fault) == (503, "")
    assert "no JSON object" in broken[0].fault


def test_the_command_shows_a_call_and_ends_with_1_when_it_was_wrong() -> None:
    command = [
        sys.executable,
        "-m",
        "relay.cli",
        "webhook",
        "listen",
        "--port",
        "0",
        "--count",
        "1",
        "--secret",
        SECRET,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[2].rstrip(";")
        httpx2.post(url + "hook", content=BODY, verify=False, timeout=30)
        shown, _ = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "POST /hook event= WRONG: it is not signed" in shown
    assert '"condition_name": "webhook_test"' in shown
