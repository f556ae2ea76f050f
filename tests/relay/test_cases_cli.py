"""`decisions`, `sender limit` and `sender note` on a relay that runs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.account import Account
from relay.cli import run
from relay.control.views import HoldOrder
from tests.builders import Installation

SENDER = "acme|mailfrom|web@acme.example"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    installation.write(1, model="none")
    installation.add_account(Account("acme", domains=("acme.example",)))
    with installation.running():
        yield installation


@pytest.fixture
def say(relay: Installation, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run one command; gives what it printed."""

    def run_one(*words: str, status: int = 0) -> str:
        capsys.readouterr()
        code = run(["--config", str(relay.config), *words])
        shown = capsys.readouterr()
        assert code == status, shown.err
        return shown.out + shown.err

    return run_one


def test_the_commands_of_an_abuse_desk(relay: Installation, say: Callable[..., str]) -> None:
    assert "no decisions" in say("decisions", "--open")
    with relay.client() as client:
        held = client.hold_sender(SENDER, HoldOrder(reason="looks odd")).decision.id
    assert [row["id"] for row in json.loads(say("decisions", "--open", "--json"))] == [held]
    assert "looks odd" in say("decisions", "--account", "acme")
    assert json.loads(say("decisions", "--sender", "acme|mailfrom|other@acme.example", "--json")) == []

    assert "would limit" in say("sender", "limit", SENDER, "50", "--dry-run")
    said = say("sender", "limit", SENDER, "50")
    assert "50" in said
    assert "undo: mailweir limit" in said
    with relay.client() as client:
        assert [limit.rcpts_per_hour for limit in client.limits("acme")] == [50]

    said = say("sender", "note", SENDER, "called: patches it tomorrow")
    assert "undo: mailweir sender note" in said
    (note,) = json.loads(say("sender", "note", SENDER, "--json"))
    assert note["text"] == "called: patches it tomorrow"
    assert "not both" in say("sender", "note", SENDER, "text", "--rm", note["id"], status=2)
    say("sender", "note", SENDER, "--rm", note["id"])
    assert "no notes" in say("sender", "note", SENDER)
