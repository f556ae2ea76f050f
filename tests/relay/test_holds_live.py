"""`mailweir held` against a running relay: look, release, drop; a restart and kill -9 in the middle of a release."""

import json
import re
import smtplib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from relay.cli import run
from relay.control.client import ControlError
from relay.holds.views import HeldQuery, ReleaseOrder
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Sink

SENDER = "acme|mailfrom|desk@acme.example"
Say = Callable[..., tuple[int, str]]
_LETTER = "Dear customer, here is our letter of this week with many words that are always the same, number {}"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


def site(tmp_path: Path, sink: Sink, more: str = NO_LIMITS, model: str = "none") -> Installation:
    installation = Installation(tmp_path)
    installation.write(sink.port, more, model=model)
    installation.add_account(Account("acme", domains=("acme.example",)), login="web")
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


def send(relay: Installation, text: str, *, to: str = "bob@d.example", sender: str = "desk", count: int = 1) -> None:
    with smtplib.SMTP("127.0.0.1", relay.smtp, timeout=30) as smtp:
        smtp.login("web", "secret")
        for number in range(count):
            body = f"Subject: letter\r\n\r\n{text.format(number)}\r\n".encode()
            smtp.sendmail(f"{sender}@acme.example", [to.format(number)], body)


def told(result: tuple[int, str]) -> Any:
    code, text = result
    assert code == 0, text
    return json.loads(text)


def held(relay: Installation, **query: Any) -> int:
    with relay.client() as client:
        return sum(group.messages for group in client.held_groups("sender", HeldQuery(**query)))


def records(relay: Installation, kind: str) -> Counter[str]:
    """How often each message has such a record in the journal."""
    found: Counter[str] = Counter()
    for path in relay.settings.journal_dir.rglob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            if record["kind"] == kind:
                found[record["message_id"]] += 1
    return found


def test_held_mail_is_looked_at_by_text_and_released_or_dropped_so(
    tmp_path: Path, sink: Sink, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = site(tmp_path, sink, model="shipped")  # texts have fingerprints where a model reads them
    monkeypatch.setenv("MAILWEIR_CONFIG", str(relay.config))
    with relay.running(), relay.client() as client:
        client.hold_sender(SENDER)
        send(relay, _LETTER, count=3)
        send(
            relay,
            "Your parcel waits at the depot, pay the customs fee today or it will be sent back, number {}",
            count=2,
        )

        letters, parcels = told(say("held", "ls", "--by", "cluster", "--json"))
        assert (letters["messages"], parcels["messages"]) == (3, 2)
        assert letters["key"] in say("held", "ls", "--by", "cluster")[1]
        assert len(told(say("held", "ls", "--cluster", parcels["key"], "--json"))) == 2
        page = say("held", "ls", "--limit", "2")[1]
        behind = re.search(r"--before (mw1\.\d+)", page)
        assert behind
        assert len(told(say("held", "ls", "--before", behind[1], "--json"))) == 3

        some = told(say("held", "ls", "--cluster", letters["key"], "--json"))[0]["message_id"]
        shown = say("held", "show", some)[1]
        assert "Subject: letter" in shown
        assert "always the same" not in shown
        assert "always the same" in say("held", "show", some, "--text")[1]

        assert say("held", "drop", "--cluster", parcels["key"], "--dry-run")[1] == "would drop 2 messages\n"
        dropped = say("held", "drop", "--cluster", parcels["key"], "--reason", "phish")[1]
        assert dropped == "dropped 2 messages\nundo: none, they are deleted\n"
        assert "would free 3 messages" in say("held", "release", "--cluster", letters["key"], "--dry-run")[1]
        assert held(relay) == 3
        assert "freed 3 messages (3 recipients)" in say("held", "release", "--cluster", letters["key"], "--not-spam")[1]
        sink.wait_for(3)
        assert held(relay) == 0
        assert client.sender(SENDER).standing == "held"
        assert say("held", "release")[0] == 2
        assert say("held", "ls", "--score", "high")[0] == 2
    assert all(b"letter of this week" in message.content for message in sink.messages)


def test_a_paced_release_outlives_a_restart_and_the_undo_parks_what_has_not_left(
    tmp_path: Path, sink: Sink, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = site(tmp_path, sink, "[limits]\nrcpts_per_hour = 20\n")  # two in six minutes, then one in three
    monkeypatch.setenv("MAILWEIR_CONFIG", str(relay.config))
    with relay.running(), relay.client() as client:
        client.hold_sender(SENDER)
        send(relay, _LETTER, count=6)

        said = say("held", "release", "--sender", SENDER)[1]

        assert "freed 6 messages (6 recipients)" in said
        assert "the last leaves at" in said
        assert f"undo: mailweir sender hold '{SENDER}'" in said
        sink.wait_for(3)
    with relay.running(), relay.client() as client:
        waiting = client.queued(sender=SENDER).recipients
        assert len(waiting) == 3
        assert len({one.due_at for one in waiting}) == 3
        assert say("sender", "hold", SENDER)[1].endswith("3 undelivered messages parked\n")
        assert held(relay) == 3
        assert "freed 3 messages" in say("held", "release", "--sender", SENDER, "--now")[1]
        sink.wait_for(6)
    assert len(sink.messages) == 6


@pytest.mark.parametrize("after", [1, 600, 1500])
def test_a_kill_during_a_bulk_release_loses_nothing_and_sends_few_twice(tmp_path: Path, sink: Sink, after: int) -> None:
    """`after`: the relay is killed when so many of 2,000 messages have left their hold."""
    relay = site(tmp_path, sink)
    process = relay.start()
    relay.wait_until_up(process)
    try:
        with relay.client() as client:
            client.hold_sender(SENDER)
            send(relay, _LETTER, to="bob{}@d.example", count=2000)
            order = ReleaseOrder(account="acme", at_once=True)

            releasing = threading.Thread(target=_released, args=(relay, order))
            releasing.start()
            until(lambda: held(relay) <= 2000 - after)
            process.kill()
            process.wait()
            releasing.join()
    finally:
        process.kill()
        process.wait()
    with relay.running(), relay.client() as client:
        client.release_held(ReleaseOrder(account="acme", at_once=True))
        until(lambda: client.queue()["counts"]["recipients"] == 0, 90)
        assert held(relay) == 0
    addresses = Counter(sink.addresses())
    delivered = records(relay, "Delivery")
    assert len(addresses) == 2000
    assert len(delivered) == 2000
    # a kill between the receiver's 250 and the fsync of its record repeats that one: 100 of them, and what ten
    # connections had in hand
    assert sum(addresses.values()) - 2000 <= 120
    assert set(records(relay, "Released")) == set(delivered)


def _released(relay: Installation, order: ReleaseOrder) -> None:
    with relay.client() as client:
        try:
            client.release_held(order)
        except ControlError:
            return  # it was killed
