"""`mailweir queue` against a running relay: look, try now, give up, pause; each the way a person would type it."""

import json
import re
import smtplib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from relay.cli import run
from relay.control.client import ControlClient, ControlError
from relay.control.waiting.views import PauseOrder, QueueOrder
from tests.builders import Installation, until
from tests.sink import Sink

SENDER = "acme|mailfrom|desk@acme.example"
BUSY = "reject-451-4.2.1@d.example"
Say = Callable[..., tuple[int, str]]


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def relay(tmp_path: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Installation:
    installation = Installation(tmp_path)
    installation.write(sink.port, model="none")
    config = installation.config.read_text().replace("first_retry_seconds = 1", "first_retry_seconds = 300")
    installation.config.write_text(config.replace("max_retry_seconds = 2", "max_retry_seconds = 300"))
    installation.add_account(Account("acme", domains=("acme.example",)), login="web")
    installation.add_account(Account("other", reseller="isp"))
    monkeypatch.setenv("MAILWEIR_CONFIG", str(installation.config))
    return installation


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run one command; gives exit code and what it printed."""

    def run_one(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(arguments)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run_one


@contextmanager
def asking(site: Installation, name: str = "admin") -> Iterator[ControlClient]:
    with site.client(name) as client:
        yield client


def send(site: Installation, *to: str) -> None:
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
        smtp.login("web", "secret")
        smtp.sendmail("desk@acme.example", to, b"Subject: order\r\n\r\nhello\r\n")


def waiting(site: Installation, **which: str) -> list[tuple[str, int]]:
    with asking(site) as client:
        return [(one.recipient, one.attempts) for one in client.queued(**which).recipients]


def audited(site: Installation) -> list[tuple[str, str]]:
    with asking(site) as client:
        return [(entry.command, entry.target) for entry in client.audit() if entry.command.startswith("queue.")]


def test_waiting_mail_is_listed_shown_and_tried_when_asked(relay: Installation, say: Say) -> None:
    with relay.running():
        send(relay, BUSY)
        until(lambda: waiting(relay) == [(BUSY, 1)])

        _, listed = say("queue", "ls", "--dest", "d.example")
        message = re.search(r"mw1\.\d+", listed)
        assert message
        assert SENDER in listed
        assert say("queue", "ls", "--dest", "e.example")[1] == "nothing waits\n"
        assert json.loads(say("queue", "ls", "--json")[1])["recipients"][0]["attempts"] == 1
        assert f"{BUSY}: 1 tries" in say("queue", "show", message[0])[1]

        assert say("queue", "retry", "--sender", SENDER, "--dry-run")[1] == "would retry 1 recipients of 1 messages\n"
        assert say("queue", "retry", "--sender", SENDER)[1] == "retrying 1 recipients of 1 messages\n"
        until(lambda: waiting(relay) == [(BUSY, 2)])
        assert audited(relay) == [("queue.retry", f"sender {SENDER}")]


def test_given_up_mail_is_reported_with_the_reason_and_gone(relay: Installation, say: Say, sink: Sink) -> None:
    with relay.running():
        send(relay, BUSY)
        until(lambda: waiting(relay) == [(BUSY, 1)])
        message = json.loads(say("queue", "ls", "--json")[1])["recipients"][0]["message_id"]

        give_up = ("queue", "bounce", "--message", message, "--reason", "wrong list")
        assert say(*give_up, "--dry-run")[1] == "would bounce 1 recipients of 1 messages\n"
        assert sink.messages == []
        code, told = say(*give_up)
        sink.wait_for(1)
        until(lambda: waiting(relay) == [])

        assert (code, told) == (0, "bounced 1 recipients of 1 messages\nundo: none, the senders are told\n")
        assert say("queue", "show", message)[0] == 1
        assert audited(relay) == [("queue.bounce", f"message {message}")]
    report = sink.messages[0]
    assert report.recipients == ("desk@acme.example",)
    assert b"taken out of the queue by admin: wrong list" in report.content
    records = b"".join(path.read_bytes() for path in relay.settings.journal_dir.rglob("*.jsonl"))
    assert re.search(rb'"kind":"Bounce".*"rule":"by-hand"', records)


def test_a_pause_outlives_a_restart_takes_new_mail_and_its_undo_ends_it(
    relay: Installation, say: Say, sink: Sink
) -> None:
    with relay.running():
        assert say("queue", "pause", "--dest", "d.example", "--dry-run")[1] == "would pause destination d.example\n"
        assert say("queue", "pause", "--dest", "D.example", "--reason", "disk full there") == (
            0,
            "paused destination d.example\nundo: mailweir queue resume --dest d.example\n",
        )
        assert say("queue", "pause", "--dest", "d.example")[0] == 1
        send(relay, "a@d.example", "b@e.example")
        sink.wait_for(1)
    with relay.running():
        send(relay, "c@d.example")
        until(lambda: waiting(relay) == [("a@d.example", 0), ("c@d.example", 0)])
        assert sink.addresses() == ["b@e.example"]
        listed = say("queue", "ls")[1]
        assert listed.count("paused (destination)") == 2
        assert re.search(r"paused: destination d.example since \S+ \S+ by admin: disk full there", listed)

        _, told = say("queue", "resume", "--dest", "d.example")
        sink.wait_for(3)

        assert told.endswith("undo: mailweir queue pause --dest d.example --reason 'disk full there'\n")
        assert say("queue", "resume", "--dest", "d.example")[0] == 1
        assert [command for command, _ in audited(relay)] == ["queue.resume", "queue.pause"]
    assert sorted(sink.addresses()) == ["a@d.example", "b@e.example", "c@d.example"]


@pytest.mark.parametrize(
    ("orders", "status"),
    [
        (lambda client: client.retry_queued(QueueOrder()), 422),
        (lambda client: client.bounce_queued(QueueOrder(account="acme")), 422),
        (lambda client: client.pause_queue(PauseOrder(account="acme", destination="d.example")), 422),
        (lambda client: client.pause_queue(PauseOrder(account="nobody")), 404),
        (lambda client: client.pause_queue(PauseOrder(destination="no domain")), 422),
        (lambda client: client.resume_queue(PauseOrder(account="acme")), 404),
        (lambda client: client.queued_message("mw1.99"), 404),
        (lambda client: client.queued_message("elsewhere.1"), 404),
        (lambda client: client.queued(account="nobody"), 404),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    served: Installation, orders: Callable[[ControlClient], Any], status: int
) -> None:
    with asking(served) as client, pytest.raises(ControlError) as refused:
        orders(client)

    assert refused.value.status == status


@pytest.mark.parametrize("orders", ["retry_queued", "bounce_queued", "pause_queue", "resume_queue"])
def test_who_may_only_look_changes_nothing(served: Installation, orders: str) -> None:
    order = PauseOrder(account="acme") if orders.endswith("queue") else QueueOrder(account="acme", reason="x")

    with asking(served, "notebook") as client:
        assert client.queued(account="acme").recipients == []
        with pytest.raises(ControlError) as refused:
            getattr(client, orders)(order)

    assert refused.value.status == 403


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("served"))
    installation.write(9, model="none")
    installation.add_account(Account("acme"))
    with installation.running():
        yield installation


def test_the_command_asks_for_a_choice_before_it_asks_the_relay(say: Say) -> None:
    assert say("queue", "retry")[0] == 2
    assert say("queue", "bounce", "--account", "acme")[0] == 2
    assert say("queue", "pause", "--account", "acme", "--dest", "d.example")[0] == 2
