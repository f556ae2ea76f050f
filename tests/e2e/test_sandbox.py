"""Mail to the sandbox through real processes: outcomes as on purpose, a complaint, and nobody's reputation."""

import smtplib
from pathlib import Path
from typing import Any

from relay.account import Account
from relay.events import Reception
from tests.analytics.test_service import served
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Sink

LIMITS = NO_LIMITS.replace("rcpts_per_hour = 0\nrcpts_per_day", "rcpts_per_hour = 100\nrcpts_per_day", 1)
SENDER = "acme|mailfrom|app@acme.example"
LETTER = b"From: app@acme.example\r\nTo: you\r\nMessage-ID: <%b@acme.example>\r\nSubject: try\r\n\r\nA try.\r\n"


def test_sandbox_mail_has_outcomes_and_a_complaint_and_counts_against_nobody(tmp_path: Path) -> None:
    with Sink() as sink:
        node = Installation(tmp_path)
        node.write(sink.port, f"{LIMITS}\n[sandbox]\ncomplaint_seconds = 0.5\n", model="none")
        node.add_account(Account("acme", domains=("acme.example",)), "acme")
        with node.running(), served(node) as service, service.client("admin") as client, node.client() as relay:
            with smtplib.SMTP("127.0.0.1", node.submission, timeout=30) as smtp:
                smtp.login("acme", "secret")
                for number in range(12):
                    for word in ("bounce", "complaint", "defer"):
                        smtp.sendmail("app@acme.example", f"{word}@sandbox.test", LETTER % f"{word}{number}".encode())
                smtp.sendmail("app@acme.example", "real@d.example", LETTER % b"real")

            def rows(query: str) -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = client.sql(query).to_dict("records")
                return found

            until(lambda: len(rows("SELECT 1 FROM complaint")) == 12, 60)
            until(lambda: len(rows("SELECT 1 FROM recipient WHERE recipient LIKE '%sandbox.test'")) == 36, 60)
            # the real one, and twelve reports to its sender
            until(lambda: len(rows("SELECT 1 FROM recipient WHERE NOT sandbox AND outcome = 'delivered'")) == 13, 60)
            outcomes = rows("SELECT recipient, outcome, count(*) AS n FROM recipient WHERE sandbox GROUP BY ALL")
            complaints = rows("SELECT DISTINCT recipient, proof, sender, sandbox FROM complaint")
            marked = rows("SELECT sandbox, count(*) AS n FROM message WHERE door = 'smtp' GROUP BY ALL ORDER BY n")
            (counted,) = rows(
                "SELECT sum(accepted) AS a, sum(delivered) AS d, sum(bounced) AS b, sum(complaints) AS c "
                f"FROM rollup_minute WHERE sender = '{SENDER}'"
            )
            used = next(one for one in node.records(Reception) if one.sandbox is False and one.door == "smtp").hour_used
            pages = {name: client.table(name).to_pylist() for name in ("complaint_senders", "complaints_by_sender")}
            (bounces,) = client.table("bounce_totals").to_pylist()
            signals, suppressed = relay.signals(SENDER), relay.suppressions("acme")

    assert {(row["recipient"], row["outcome"], row["n"]) for row in outcomes} == {
        ("bounce@sandbox.test", "bounced", 12),
        ("complaint@sandbox.test", "delivered", 12),
        ("defer@sandbox.test", "delivered", 12),
    }
    assert complaints == [
        {"recipient": "complaint@sandbox.test", "proof": "reference", "sender": SENDER, "sandbox": True}
    ]
    assert [(row["sandbox"], row["n"]) for row in marked] == [(False, 1), (True, 36)]
    assert (counted["a"], counted["d"], counted["b"], counted["c"]) == (1, 1, 0, 0)
    assert suppressed == []
    assert pages == {"complaint_senders": [], "complaints_by_sender": []}
    assert (bounces["ended"], bounces["hard"]) == (13, 0)
    assert signals.history == 1  # the real one
    assert used == 37  # limits count all
    assert not any("sandbox" in address for address in sink.addresses())
