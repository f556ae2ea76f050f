"""Limits in a relay of its own process: over the limit mail waits, and a kill -9 forgets neither counts nor mail."""

import smtplib
import sqlite3
from contextlib import closing
from pathlib import Path

from relay.account import Account
from relay.events import Action, Reception
from relay.policy.limits.usage import Usage
from tests.builders import Installation, until
from tests.sink import Sink


def send(site: Installation, number: int) -> str:
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
        smtp.login("srv1", "secret")
        smtp.mail("a@acme.example")
        assert smtp.rcpt(f"r{number}@d.example")[0] == 250
        code, text = smtp.data(f"Subject: {number}\r\n\r\nhello\r\n".encode())
        return f"{code} {text.decode()}"


def counted(site: Installation) -> int:
    """How many recipients the counts on the disk know of."""
    with closing(sqlite3.connect(site.data / "counters.sqlite")) as connection:
        rows = connection.execute("SELECT row FROM usage WHERE key LIKE 'acme|mailfrom|%'").fetchall()
    return sum(hour[0] for (row,) in rows if (hour := Usage.decoded(row).hour))


def due_times(site: Installation) -> list[float]:
    with closing(sqlite3.connect(site.data / "spool" / "index.sqlite")) as connection:
        return [due for (due,) in connection.execute("SELECT due FROM recipient ORDER BY due")]


def test_over_the_limit_mail_waits_and_a_kill_forgets_nothing(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    with Sink() as sink:
        site.write(sink.port, "[limits]\nrcpts_per_hour = 2\n", model="none")
        site.config.write_text(site.config.read_text().replace("[smtp]\n", "[smtp]\nauth_without_tls = true\n"))
        site.add_account(Account("acme"), "srv1")
        process = site.start()
        site.wait_until_up(process)
        replies = [send(site, number) for number in range(3)]
        sink.wait_for(2)
        until(lambda: counted(site) == 3)
        process.kill()
        process.wait()
        with site.running():
            replies.append(send(site, 3))
        due = due_times(site)

    assert [reply[:13] for reply in replies] == ["250 2.0.0 que"] * 4
    assert ["delayed until" in reply for reply in replies] == [False, False, True, True]
    assert "[RATE] sender acme|mailfrom|a@acme.example over rcpts_per_hour: limit=2, used=2, asked=1" in replies[2]
    assert len(sink.messages) == 2
    assert len(due) == 2
    # by id: what a kill may have kept from the journal is written again
    late = {
        record.message_id: record for record in site.records(Reception) if record.rule == "rate_delay" and record.due_at
    }
    assert [record.action for record in late.values()] == [Action.ACCEPT] * 2
    assert sorted(record.due_at.timestamp() for record in late.values() if record.due_at) == due
