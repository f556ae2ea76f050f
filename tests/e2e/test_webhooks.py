"""A webhook from the command line to the call: relay in its process, analytics beside it, a real receiver."""

import json
import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from relay.account import Account
from relay.cli import run
from relay.control.views import NewDecision
from relay.policy.decisions.decision import Effect
from tests.analytics.receiver import Receiver
from tests.analytics.test_service import served
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Sink

SENDER = "acme|mailfrom|joe@acme.example"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with Sink() as sink:
        installation = Installation(tmp_path)
        more = f'{NO_LIMITS}\n[webhooks]\nprivate_networks = ["127.0.0.0/8"]\n'
        installation.write(sink.port, more, model="none")
        config = installation.config.read_text()
        config = config.replace("[web]\n", f'[web]\npublic_url = "http://127.0.0.1:{installation.web}"\n')
        installation.config.write_text(config)
        installation.add_account(Account("acme", contact="owner@acme.example"), "acme")
        yield installation


def test_a_held_sender_reaches_the_receiver_and_its_link_works(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAILWEIR_CONFIG", str(installation.config))

    def say(*words: str) -> str:
        capsys.readouterr()
        assert run(words) == 0, capsys.readouterr()
        return capsys.readouterr().out

    with Receiver() as receiver, installation.running(), served(installation):
        added = json.loads(say("webhook", "add", receiver.url, "--account", "acme", "--json"))
        listed = say("webhook", "ls")
        tested = say("webhook", "test", added["webhook"]["id"])
        with smtplib.SMTP("127.0.0.1", installation.submission, timeout=30) as smtp:
            smtp.login("acme", "secret")
            smtp.sendmail(
                "joe@acme.example", ["r@d.example"], b"Message-ID: <1@acme.example>\r\nSubject: x\r\n\r\nx\r\n"
            )
        with installation.client("analytics") as relay:
            new = NewDecision(
                account="acme",
                sender=SENDER,
                effect=Effect.HOLD,
                rule="spam_rate",
                reason="6 of 6 were spam",
                ends_at=datetime.now(UTC) + timedelta(hours=1),
                evidence={"messages": ["mw1.1"]},
            )
            decision = relay.propose(new).decision.id
        until(lambda: len(receiver.calls) == 2)
        until(lambda: decision in say("webhook", "log"))
        log = say("webhook", "log", added["webhook"]["id"])

        test, call = receiver.calls
        assert receiver.is_signed(added["secret"], 0)
        assert receiver.is_signed(added["secret"], 1)
        page = httpx2.get(call["release_url"], trust_env=False)

    assert added["secret"] not in listed
    assert receiver.url in listed
    assert "answered 204" in tested
    assert test["condition_name"] == "webhook_test"
    assert (call["condition_name"], call["decision_id"]) == ("sender_id_sending_spam", decision)
    assert (call["transaction_id"], call["message_id"]) == ("mw1.1", "<1@acme.example>")
    assert (call["ip"], call["envelope_sender"]) == ("127.0.0.1", "joe@acme.example")
    assert page.status_code == 200
    assert "6 of 6 were spam" in page.text
    assert "answered 204" in log
