"""One text for a decision: the SMTP reply, the command line and the API say the same."""

import smtplib
from datetime import timedelta
from pathlib import Path

import pytest

from relay.account import Account
from relay.cli import run
from relay.clock import SystemClock
from relay.control.views import NewDecision
from relay.policy.decisions.decision import Effect
from tests.builders import NO_LIMITS, Installation

SENDER = "acme|mailfrom|shop@acme.example"


def test_reply_command_line_and_api_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Installation(tmp_path)
    site.write(1, NO_LIMITS, model="none")
    site.config.write_text(site.config.read_text().replace("[smtp]\n", "[smtp]\nauth_without_tls = true\n"))
    site.add_account(Account("acme"), "srv1")
    monkeypatch.setenv("MAILWEIR_CONFIG", str(site.config))
    block = NewDecision(
        account="acme",
        sender=SENDER,
        effect=Effect.BLOCK,
        rule="by-hand",
        reason="phishing was reported",
        ends_at=SystemClock().now() + timedelta(hours=1),
        evidence={"messages": ["mw1.7"], "reports": 3},
        certainty=0.998,
    )
    with site.running(), site.client() as client:
        decision = client.propose(block).decision
        with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
            smtp.login("srv1", "secret")
            smtp.mail("shop@acme.example")
            smtp.rcpt("r@d.example")
            _, reply = smtp.data(b"Subject: x\r\n\r\nhello\r\n")
        told = []
        for what in (decision.id, SENDER):
            capsys.readouterr()
            assert run(("why", what)) == 0
            told.append(capsys.readouterr().out)

    text = decision.sentence.removesuffix(f" Undo: {decision.undo}")
    assert text.startswith(f"Sender {SENDER} is blocked since ")
    assert "because phishing was reported, 99.8 % sure (rule by-hand, decision mw1-d1 by admin)" in text
    assert reply.decode() == f"4.7.1 [TSA] {text}"
    for shown in told:
        assert decision.sentence in shown
        assert "mw1.7" in shown
        assert decision.policy_version in shown
