"""Labels and models in a relay of its own process: another model is promoted and taken back while mail flows."""

import json
import shutil
import smtplib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.account import Account
from relay.cli import run
from relay.content.active import active_model, promotion
from relay.content.model_files import CARD, find_model
from relay.events import Label, Reception, Record, decode
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Sink

Say = Callable[..., tuple[int, str]]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path)
    with Sink() as sink:
        site.write(sink.port, NO_LIMITS)
        site.config.write_text(site.config.read_text().replace("[smtp]\n", "[smtp]\nauth_without_tls = true\n"))
        site.add_account(Account("acme"), "srv1")
        yield site


@pytest.fixture
def say(site: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    monkeypatch.setenv("MAILWEIR_CONFIG", str(site.config))

    def run_one(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(arguments)
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run_one


def learnt(site: Installation, name: str) -> Path:
    """A model as retraining leaves it: the shipped one under another name."""
    folder = site.data / "models" / name
    shutil.copytree(find_model("shipped"), folder)
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | {"name": name}))
    return folder


def send(site: Installation, text: str = "Hello") -> str:
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
        smtp.login("srv1", "secret")
        smtp.mail("a@acme.example")
        smtp.rcpt("r@d.example")
        code, reply = smtp.data(f"Subject: {text}\r\n\r\n{text}\r\n".encode())
        return f"{code} {reply.decode()}"


def records(site: Installation, kind: type[Record]) -> list[Any]:
    files = sorted((site.data / "journal").glob("relay-*.jsonl"))
    return [
        found for path in files for line in path.read_bytes().splitlines() if isinstance(found := decode(line), kind)
    ]


def test_a_promoted_model_scores_the_very_next_message_and_none_is_lost(site: Installation, say: Say) -> None:
    learnt(site, "second")
    replies: list[str] = []
    stop = threading.Event()

    def flow() -> None:
        while not stop.is_set():
            replies.append(send(site))

    with site.running():
        senders = [threading.Thread(target=flow) for _ in range(3)]
        for sender in senders:
            sender.start()
        until(lambda: len(replies) > 5)
        promoted = say("model", "promote", "second", "--why", "better on newsletters")
        replies.append(after := send(site, "after the promotion"))
        before = len(replies)
        until(lambda: len(replies) > before + 5)
        back = say("model", "rollback")
        replies.append(again := send(site, "after going back"))
        stop.set()
        for sender in senders:
            sender.join()
        until(lambda: len(records(site, Reception)) == len(replies))

    assert promoted[0] == 0, promoted[1]
    assert "scores by second from now on" in promoted[1]
    assert "undo: mailweir model rollback" in promoted[1]
    assert "scores by shipped from now on" in back[1]
    assert all(reply.startswith("250") for reply in replies)
    by_id = {record.message_id: record.model.rpartition("-")[0] for record in records(site, Reception)}
    # The command answers when the relay scores by the model: no poll lies between, so the very next message shows it
    assert by_id[after.split()[4]] == "second"
    assert by_id[again.split()[4]] == "shipped"
    used = [*by_id.values()]
    assert set(used) == {"shipped", "second"}


def test_models_learnt_here_are_listed_with_a_star_at_the_one_in_use(site: Installation, say: Say) -> None:
    learnt(site, "second")
    before = say("model", "ls")
    with site.running():
        assert say("model", "promote", "second")[0] == 0
    after, shown, unknown = say("model", "ls"), say("model", "show", "second"), say("model", "show", "third")

    assert [line[:8] for line in before[1].splitlines() if line[2:8] in ("shippe", "second")] == [
        "* shippe",
        "  second",
    ]
    assert "* second" in after[1]
    assert "* shipped" not in after[1]
    assert shown[0] == 0, shown[1]
    assert "second" in shown[1]
    assert unknown[0] == 1


def test_a_promotion_outlives_a_restart_and_the_setting_wins_when_it_changes(site: Installation, say: Say) -> None:
    folder = learnt(site, "second")
    with site.running():
        assert say("model", "promote", "second")[0] == 0
    with site.running(), site.client() as relay:
        model = relay.status()["model"]

    found = promotion(site.settings)
    assert model == str(folder)
    assert found is not None
    assert found.before == ["shipped"]
    other = site.settings.model_copy(update={"content": site.settings.content.model_copy(update={"model": "other"})})
    assert active_model(other) == "other"


def test_a_model_that_is_damaged_or_unknown_changes_nothing(site: Installation, say: Say) -> None:
    folder = learnt(site, "second")
    with next(folder.glob("*.npy")).open("r+b") as file:
        file.seek(500)
        file.write(b"altered")
    with site.running():
        refused = say("model", "promote", "second")
        unknown = say("model", "promote", "third")
        back = say("model", "rollback")
        with site.client() as relay:
            model = relay.status()["model"]

    assert refused[0] == unknown[0] == back[0] == 1
    assert "does not match its card" in refused[1]
    assert "third" in unknown[1]
    assert "none to go back to" in back[1]
    assert model == "shipped"


def test_labels_are_journaled_audited_and_come_from_releases_too(site: Installation, say: Say) -> None:
    with site.running():
        labelled = say("label", "mw1.1", "mw1.2", "spam", "--why", "phishing was reported")
        dry = say("label", "mw1.3", "ham", "--dry-run")
        wrong = say("label", "mw1.3", "maybe")
        with site.client() as relay:
            relay.hold_sender("acme|mailfrom|a@acme.example")
            held = send(site).split()[4]
            assert say("held", "release", "--message", held, "--not-spam", "--note", "a club")[0] == 0
            audited = [entry for entry in relay.audit() if entry.command == "label"]
        until(lambda: len(records(site, Label)) == 3)

    assert labelled[0] == 0, labelled[1]
    assert "labelled 2 messages as spam" in labelled[1]
    assert "undo: mailweir label mw1.1 mw1.2 unsure" in labelled[1]
    assert "would label 1 messages as ham" in dry[1]
    assert wrong[0] != 0
    found = [(record.message_id, record.label, record.origin, record.weight) for record in records(site, Label)]
    assert found == [
        ("mw1.1", "spam", "operator", 1.0),
        ("mw1.2", "spam", "operator", 1.0),
        (held, "ham", "release", 0.7),
    ]
    assert {entry.target for entry in audited} == {"mw1.1", "mw1.2"}
    assert msgspec.to_builtins(audited[0].detail)["why"] == "phishing was reported"
