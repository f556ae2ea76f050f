"""The command line against a running relay: send, hold, look, ask why, release; each the way a person would type it."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from relay.cli import run
from relay.running.send_test import TestFailed, _door
from relay.settings import Settings, Smtp
from tests.builders import Installation
from tests.sink import Sink

SENDER = "acme|mailfrom|desk@acme.example"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def relay(tmp_path: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    installation.write(sink.port, model="none")
    installation.add_account(Account("acme", domains=("acme.example",)), login="web")
    monkeypatch.setenv("MAILWEIR_CONFIG", str(installation.config))
    with installation.running():
        yield installation


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run one command; gives exit code and what it printed."""

    def run_one(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(arguments)
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run_one


def answer(result: tuple[int, str]) -> Any:
    code, text = result
    assert code == 0, text
    return json.loads(text)


def test_a_sender_is_held_asked_about_and_released(
    relay: Installation, sink: Sink, say: Callable[..., tuple[int, str]]
) -> None:
    send = ("send-test", "ann@b.example", "--from", "desk@acme.example")

    code, told = say(*send)
    assert code == 0, told
    assert "the door said: 250" in told
    assert "delivery of ann@b.example" in told
    assert "=> " in told  # the step of the trace that decided

    stopped = answer(say("sender", "hold", SENDER, "--reason", "phishing seen", "--json"))
    code, told = say(*send)
    assert code == 1, told
    assert "hold as mw1." in told
    assert "delivery of" not in told
    assert len(sink.messages) == 1

    held = answer(say("held", "ls", "--json"))
    assert [view["decision_id"] for view in held] == [stopped["decision"]["id"]]
    assert held[0]["message_id"] in say("held", "ls")[1]
    for asked in (stopped["decision"]["id"], SENDER, held[0]["message_id"]):
        code, told = say("why", asked)
        assert code == 0, told
        assert "phishing seen" in told
    assert "held" in say("sender", "show", SENDER)[1]

    assert "would free 1 messages" in say("held", "release", "--sender", SENDER, "--dry-run")[1]
    assert len(answer(say("held", "ls", "--json"))) == 1
    assert answer(say("held", "release", "--sender", SENDER, "--not-spam", "--json"))["messages"] == 1
    sink.wait_for(2)
    assert answer(say("held", "ls", "--json")) == []


def test_a_sender_is_blocked_throttled_and_exempt_by_hand(
    relay: Installation, sink: Sink, say: Callable[..., tuple[int, str]]
) -> None:
    send = ("send-test", "ann@b.example", "--from", "desk@acme.example")
    assert say(*send)[0] == 0

    assert "Would do" in say("sender", "block", SENDER, "--dry-run")[1]
    assert say(*send)[0] == 0
    assert "is blocked since" in say("sender", "block", SENDER, "--reason", "phishing seen")[1]
    code, told = say(*send)
    assert (code, "450 4.7.1 [TSA]" in told, "phishing seen" in told) == (1, True, True), told
    assert "blocked 1 times in 7 days" in say("sender", "show", SENDER)[1]

    code, told = say("sender", "exempt", SENDER, "--reason", "a newsletter we know")
    assert (code, "--for" in told) == (2, True)
    assert say("sender", "exempt", SENDER, "--reason", "a newsletter we know", "--for", "7d")[0] == 0
    assert "450" in say(*send)[1]  # an exemption frees nobody whom a person has blocked
    assert say("sender", "release", SENDER)[0] == 0
    assert say(*send)[0] == 0
    assert "exempt from automatic stops" in say("sender", "show", SENDER)[1]

    view = answer(say("sender", "throttle", SENDER, "--factor", "0.5", "--json"))["decision"]
    assert (view["effect"], view["value"]) == ("throttle", 0.5)
    shown = answer(say("sender", "show", SENDER, "--json"))
    assert (shown["standing"], shown["multiplier"], shown["blocks"]) == ("throttled", 0.5, 0)


def test_send_test_finds_the_door_of_a_relay_that_listens_everywhere_or_says_that_there_is_none() -> None:
    def settings(**smtp: list[str]) -> Settings:
        return Settings(smtp=Smtp(**smtp))  # type: ignore[arg-type]

    assert _door(settings(submission=["0.0.0.0:587", "[::]:587"])) == ("127.0.0.1", 587)
    assert _door(settings(submission=[], listen=["[::]:25"])) == ("::1", 25)
    with pytest.raises(TestFailed, match=r"smtp\.submission"):
        _door(settings(submission=[], listen=[]))


def test_send_test_leaves_no_login_behind(relay: Installation, say: Callable[..., tuple[int, str]]) -> None:
    code, told = say("send-test", "reject-550-5.1.1@b.example")

    assert code == 1
    assert "bounce of reject-550-5.1.1@b.example" in told
    account = answer(say("account", "show", "acme", "--json"))
    assert account["logins"] == ["web"]
    assert len(account["revoked_logins"]) == 1


def test_an_account_added_while_the_relay_runs_may_send_at_once(
    relay: Installation, say: Callable[..., tuple[int, str]]
) -> None:
    assert say("account", "add", "shop", "--domain", "shop.example")[0] == 0

    code, told = say("send-test", "bob@b.example", "--account", "shop")

    assert code == 0, told
    assert "say which account: --account acme|shop" in say("send-test", "bob@b.example")[1]
    assert say("send-test", "no-address", "--account", "shop") == (1, "the door said: 553 5.1.3 malformed address\n")


def test_an_unknown_message_is_said_to_be_unknown(relay: Installation, say: Callable[..., tuple[int, str]]) -> None:
    code, told = say("why", "mw1.999999")

    assert code == 1
    assert "the relay holds no message 'mw1.999999'" in told


def test_what_changes_while_the_relay_runs_counts_at_once(
    relay: Installation, say: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(password: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        return say("send-test", "bob@b.example", "--from", "desk@acme.example", "--login", "web")

    rotated = answer(say("cred", "rotate", "web", "--json"))["password"]
    for password in ("secret", rotated):
        code, told = send(password)
        assert code == 0, told
    used = answer(say("cred", "ls", "acme", "--json"))[0]
    assert (used["last_used_ip"], bool(used["last_used_at"])) == ("127.0.0.1", True)

    answer(say("cred", "rotate", "web", "--overlap", "0", "--json"))
    assert "535" in send("secret")[1]
    assert "535" in send(rotated)[1]

    assert say("account", "suspend", "acme")[0] == 0
    assert "5.7.1" in say("send-test", "bob@b.example", "--from", "desk@acme.example")[1]
    assert say("account", "resume", "acme")[0] == 0
    assert say("send-test", "bob@b.example", "--from", "desk@acme.example")[0] == 0
