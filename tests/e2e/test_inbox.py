"""A late bounce and a complaint: to the end sender, to suppression and reputation, through real processes."""

import json
import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from tests.analytics.test_service import served
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Received, Sink

SENDER = "acme|mailfrom|news@acme.example"
ANOTHER_MACHINE = "127.0.0.9"
LETTER = b"From: news@acme.example\r\nTo: %b\r\nMessage-ID: <%b@acme.example>\r\nSubject: offer\r\n\r\nBuy it.\r\n"
BOUNCE = """From: Mail Delivery System <mailer-daemon@gone.example>
To: <{path}>
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

The mail could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.gone.example

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in virtual mailbox table

--b--
"""
ARF = """From: <feedback@provider.example>
To: <fbl@relay.example>
Subject: FW: offer
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an email abuse report.

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Provider-FBL/1.0
Version: 1
Original-Rcpt-To: <{recipient}>

--b
Content-Type: message/rfc822

{returned}
--b--
"""


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[tuple[Installation, Sink]]:
    with Sink() as sink:
        installation = Installation(tmp_path)
        more = f'{NO_LIMITS}\n[verp]\ndomain = "bounce.acme.example"\n'
        more += '[dkim]\ndomain = "relay.example"\n[headers]\ncfbl_address = "fbl@relay.example"\n'
        installation.write(sink.port, more, model="none")
        config = installation.config.read_text().replace("[analytics]\n", "[analytics]\nreputation_seconds = 1\n")
        installation.config.write_text(config)
        installation.add_account(Account("acme", domains=("acme.example",)), "acme")
        yield installation, sink


def handed(installation: Installation, to: str, mail_from: str, content: str) -> tuple[int, bytes]:
    """Hand a report in at the inbox, from another machine's address."""
    with smtplib.SMTP("127.0.0.1", installation.inbox, timeout=30, source_address=(ANOTHER_MACHINE, 0)) as smtp:
        smtp.ehlo("mx.gone.example")
        smtp.mail(mail_from)
        code, said = smtp.rcpt(to)
        assert code == 250, said
        return smtp.data(content.replace("\n", "\r\n").encode())


def headers_of(mail: Received) -> list[str]:
    return mail.content.partition(b"\r\n\r\n")[0].decode().splitlines()


def sent(installation: Installation, *numbers: int) -> dict[int, tuple[int, bytes]]:
    """The replies to RCPT of mails to person NUMBER."""
    replies = {}
    with smtplib.SMTP("127.0.0.1", installation.submission, timeout=30) as smtp:
        smtp.login("acme", "secret")
        for number in numbers:
            name = f"p{number}".encode()
            smtp.mail("news@acme.example")
            replies[number] = smtp.rcpt(f"p{number}@persons.example")
            if replies[number][0] == 250:
                smtp.data(LETTER % (name + b"@persons.example", name))
            else:
                smtp.rset()
    return replies


def imported_mail_becomes_a_case_that_is_closed(say: Callable[..., str], box: Path) -> None:
    box.write_text("From x\nFrom: ann@d.example\nSubject: spam from you\n\nPlease stop.\n")
    said = [say("inbox", "import", str(box), "--mailbox", "abuse", *dry) for dry in (["--dry-run"], [], [])]
    until(lambda: "spam from you" in say("case", "ls"), 60)
    (case,) = json.loads(say("case", "ls", "--json"))
    shown = say("case", "show", case["case_id"])
    closed = say("case", "close", case["case_id"], "--note", "held")
    until(lambda: "no case is open" in say("case", "ls"), 60)

    assert [line.split(",")[0] for line in said] == ["would take 1", "taken 1", "taken 0"]
    assert "Please stop." in shown
    assert f"undo: mailweir case reopen {case['case_id']}" in closed


def test_a_late_bounce_and_a_complaint_find_their_sender_and_end_the_mail_to_their_recipients(
    installation: tuple[Installation, Sink],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    from relay.cli import run

    node, sink = installation
    monkeypatch.setenv("MAILWEIR_CONFIG", str(node.config))

    def say(*words: str) -> str:
        capsys.readouterr()
        assert run(words) == 0, capsys.readouterr()
        return capsys.readouterr().out

    with node.running(), served(node) as service, node.client() as relay, service.client("admin") as client:
        sent(node, *range(60))
        sink.wait_for(60, 60)
        mails = {message.recipients[0]: message for message in sink.messages}

        def one(query: str, **params: Any) -> dict[str, Any]:
            rows: list[dict[str, Any]] = client.table(query, **params).to_pylist()
            return rows[0] if rows else {}

        until(lambda: one("senders", search="news@acme").get("delivered") == 60, 60)
        until(lambda: one("reputation_signals", entity=SENDER), 60)
        before = one("reputations", entity=SENDER)["score"]
        bounced, complained = mails["p1@persons.example"], mails["p2@persons.example"]
        assert bounced.mail_from.endswith("@bounce.acme.example")

        handed(node, bounced.mail_from, "", BOUNCE.format(path=bounced.mail_from, recipient="moved@gone.example"))
        returned = complained.content.decode().replace("\r\n", "\n")
        handed(
            node,
            "fbl@relay.example",
            "feedback@provider.example",
            ARF.format(recipient="redacted@provider.example", returned=returned),
        )
        bare = "\n".join(line for line in headers_of(mails["p4@persons.example"]) if line.startswith("CFBL-"))
        handed(
            node,
            "fbl@relay.example",
            "feedback@provider.example",
            ARF.format(recipient="redacted@provider.example", returned=f"{bare}\nSubject: offer\n\nx"),
        )
        handed(node, "fbl@relay.example", "", BOUNCE.format(path="someone@acme.example", recipient="x@else.example"))

        until(lambda: len(relay.suppressions("acme")) == 3, 60)
        rows = {row.address: row for row in relay.suppressions("acme")}
        replies = sent(node, 1, 2, 3, 4)
        until(lambda: len(client.table("out_of_band").to_pylist()) == 1, 60)
        until(lambda: one("complaints_by_sender").get("complaints") == 2, 60)
        until(lambda: one("backscatter").get("reports") == 1, 60)
        until(lambda: one("reputations", entity=SENDER)["score"] < before, 60)
        until(lambda: {row["addresses"] for row in client.table("suppressed").to_pylist()} == {1, 2}, 60)
        late, by_sender = one("out_of_band"), one("complaints_by_sender")
        by_campaign, senders = one("complaints_by_campaign"), one("out_of_band_senders")
        complaint = client.sql("SELECT sender, recipient, proof FROM complaint ORDER BY recipient").to_dict("records")
        why = say("suppress", "why", "p1@persons.example", "--account", "acme")
        listed = say("inbox", "ls")
        imported_mail_becomes_a_case_that_is_closed(say, tmp_path / "abuse.mbox")

    assert rows["p1@persons.example"].reason == "hard_bounce"
    assert rows["p1@persons.example"].ends_at is not None
    assert (rows["p2@persons.example"].reason, rows["p2@persons.example"].ends_at) == ("complaint", None)
    assert [replies[number][0] for number in (1, 2, 3, 4)] == [550, 550, 250, 550]
    assert b"[SUP]" in replies[1][1]
    assert (late["sender"], late["proof"], late["is_hard"]) == (SENDER, "envelope", True)
    assert (late["recipient"], late["category"]) == ("p1@persons.example", "InvalidRecipient")
    assert complaint == [
        {"sender": SENDER, "recipient": "p2@persons.example", "proof": "reference"},
        {"sender": SENDER, "recipient": "p4@persons.example", "proof": "cfbl_feedback_id"},
    ]
    assert (by_sender["sender"], by_sender["delivered"] >= 60, by_sender["complaints"]) == (SENDER, True, 2)
    assert (by_campaign["name"], by_campaign["complaints"]) == ("offer", 2)
    assert (senders["hard"], senders["sender"]) == (1, SENDER)
    assert late["message_id"] in why
    assert "hard_bounce" in why
    assert "suppress rm p1@persons.example" in why
    assert "bounce" in listed
    assert "backscatter" in listed
