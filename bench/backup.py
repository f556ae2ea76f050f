"""A backup under load, restored on an empty machine: is all accepted mail there, and is nothing told twice?

    python -m bench.backup --seconds 20
    python -m bench.backup --seconds 20 --journals

Clients send as fast as they are answered, to hosts that take a tenth of a second; bounces come back to the inbox. Under
this load `mailweir backup` is taken; a little later relay and analytics are killed, their machine is gone, and
`mailweir restore` fills an empty folder, where everything starts again. `--journals`: the old journals are left.

Compared are what clients were told, what the sink received, what DuckDB says. `lost` counts mail accepted before the
backup began; `again` recipients that had their mail before the backup began and got it once more; `again_between` those
that got it between the backup and the end of the old machine, which only the old journals can tell.
"""

import argparse
import json
import smtplib
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click.testing

from analytics.client import QueryClient
from bench.kill_rounds import end
from relay.account import Account
from relay.cli import mailweir
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Received, Sink

CLIENTS, SLOW_SECONDS = 8, 0.1
_SETTINGS = f"""{NO_LIMITS}
[verp]
domain = "bounce.load.example"
[suppression]
hard_bounces = false
"""
_BOUNCE = """From: Mail Delivery System <mailer-daemon@gone.example>
To: <{path}>
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.gone.example

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 4.4.7
Diagnostic-Code: smtp; 451 4.4.7 the host did not answer for five days

--b--
"""


@dataclass
class Report:
    """`reports`: bounces that the inbox took before the backup; each has one row in the warehouse afterwards."""

    seconds: float
    with_journals: bool
    accepted_before: int = 0
    accepted_during_and_after: int = 0
    queued_in_backup: int = 0
    backup_seconds: float = 0.0
    restore_seconds: float = 0.0
    backup_mb: float = 0.0
    finished_by_journal: int = 0
    lost: int = 0
    again: int = 0
    again_between: int = 0
    reports: int = 0
    reports_missing: int = 0
    reports_twice: int = 0
    receptions_twice: int = 0
    receptions_missing: int = 0
    outcomes_twice: int = 0
    named_lost: int = 0
    ok: bool = False


@dataclass
class _Load:
    """Mail going in, and bounces of what came out. Names are local parts, each sent once."""

    node: Installation
    sink: Sink
    accepted: set[str] = field(default_factory=set)
    bounced: set[str] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self) -> None:
        while not self.stop.is_set():
            with suppress(OSError, smtplib.SMTPException), self._session(self.node.smtp) as smtp:
                smtp.login("load", "secret")
                for _ in range(20):
                    name = uuid.uuid4().hex
                    to = f"slow-{SLOW_SECONDS}+{name}@d{int(name[0], 16) % 4}.example"
                    head = f"From: a@load.example\r\nMessage-ID: <{name}@load.example>\r\nSubject: load"
                    smtp.sendmail("a@load.example", [to], f"{head}\r\n\r\n{'x' * 2000}\r\n")
                    with self.lock:
                        self.accepted.add(name)
                    if self.stop.is_set():
                        return

    def bounce(self) -> None:
        """Hand a late bounce in for every fifth mail that came out."""
        at = 0
        while not self.stop.wait(0.05):
            seen = len(self.sink.messages)
            with suppress(OSError, smtplib.SMTPException), self._session(self.node.inbox) as smtp:
                for message in self.sink.messages[at:seen:5]:
                    content = _BOUNCE.format(path=message.mail_from, recipient=message.recipients[0])
                    smtp.sendmail("", [message.mail_from], content.replace("\n", "\r\n"))
                    with self.lock:
                        self.bounced.add(_name(message))
            at = seen

    def _session(self, port: int) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", port, timeout=30, source_address=("127.0.0.9", 0))


def play(folder: Path, seconds: float, *, with_journals: bool) -> Report:
    """Play the whole story in `folder` and report."""
    report = Report(seconds, with_journals)
    with Sink() as sink:
        old, new = Installation(folder / "old"), Installation(folder / "new")
        for node in (old, new):
            node.folder.mkdir()
            node.write(sink.port, _SETTINGS, model="none")
        new.data.rmdir()
        old.add_account(Account("load", domains=("load.example",)), "load")
        load = _Load(old, sink)
        before, seen = _until_the_end(old, load, folder / "backup", seconds, report)
        journals = ("--journals", str(old.data / "journal")) if with_journals else ()
        began = time.monotonic()
        restored = _said(new, "restore", str(folder / "backup"), "--json", *journals)
        report.restore_seconds = round(time.monotonic() - began, 2)
        report.finished_by_journal, report.named_lost = restored["already_finished"], len(restored["lost"])
        _afterwards(new, load, before, seen, report)
    return report


def _until_the_end(
    node: Installation, load: _Load, backup: Path, seconds: float, report: Report
) -> tuple[tuple[set[str], set[str]], tuple[int, int]]:
    """Play until the machine is gone. Returns what was accepted and bounced before the backup, and how many mails the
    sink had at its beginning, and at the end."""
    workers = [threading.Thread(target=load.send) for _ in range(CLIENTS)]
    workers.append(threading.Thread(target=load.bounce))
    running = [node.start(name) for name in ("relay", "analytics")]
    try:
        node.wait_until_up(running[0])
        for worker in workers:
            worker.start()
        time.sleep(seconds)
        until(lambda: len(load.accepted) > 50 and load.bounced, 60)  # on a busy machine later
        with load.lock:
            before, at_backup = (set(load.accepted), set(load.bounced)), len(load.sink.messages)
        began = time.monotonic()
        told = _said(node, "backup", str(backup), "--json")
        report.backup_seconds = round(time.monotonic() - began, 2)
        report.backup_mb, report.queued_in_backup = told["size_bytes"] / 1e6, told["recipients"]
        time.sleep(seconds / 4)
    finally:
        for process in running:
            process.kill()
            process.wait()
        load.stop.set()
        for worker in workers:
            worker.join()
    time.sleep(SLOW_SECONDS + 0.3)
    return before, (at_backup, len(load.sink.messages))


def _afterwards(
    node: Installation, load: _Load, before: tuple[set[str], set[str]], seen: tuple[int, int], report: Report
) -> None:
    accepted, bounced = before
    running = [node.start(name) for name in ("relay", "analytics")]
    try:
        node.wait_until_up(running[0])
        with node.client() as relay, QueryClient.of(node.settings, "admin") as query:
            until(lambda: relay.status()["spool"]["recipients"] == 0, 120, lambda: "the spool is not empty")
            _settle(query)
            _count(query, accepted, bounced, report)
    finally:
        for process in running:
            end(process)
    names = [_name(message) for message in load.sink.messages]
    again = set(names[seen[1] :])
    report.accepted_before, report.reports = len(accepted), len(bounced)
    report.accepted_during_and_after = len(load.accepted) - len(accepted)
    report.lost = len(accepted - set(names))
    report.again = len(again & set(names[: seen[0]]))
    report.again_between = len(again & set(names[seen[0] : seen[1]]))
    report.ok = _is_ok(report)


def _is_ok(report: Report) -> bool:
    wrong = report.lost, report.reports_missing, report.reports_twice, report.receptions_twice
    wrong += report.receptions_missing, report.outcomes_twice
    few = report.again + (report.again_between if report.with_journals else 0)
    return not any(wrong) and few <= 100  # as many outcomes as may wait for the disk: spool/store.py


def _count(query: QueryClient, accepted: set[str], bounced: set[str], report: Report) -> None:
    mails = Counter(_rows(query, "SELECT header_message_id AS id FROM message"))
    outcomes = Counter(_rows(query, "SELECT message_id AS id FROM recipient"))
    reports = Counter(
        _rows(
            query, "SELECT header_message_id AS id FROM out_of_band JOIN message USING (message_id) WHERE proof <> ''"
        )
    )
    names = {f"<{name}@load.example>" for name in accepted}
    report.receptions_missing = len(names - mails.keys())
    # what the relay itself sends is not named by anybody
    report.receptions_twice = sum(count > 1 for name, count in mails.items() if name.endswith("@load.example>"))
    report.outcomes_twice = sum(count > 1 for count in outcomes.values())
    report.reports_missing = len({f"<{name}@load.example>" for name in bounced} - reports.keys())
    report.reports_twice = sum(count > 1 for count in reports.values())


def _rows(query: QueryClient, text: str) -> Sequence[str]:
    found: list[str] = []
    for part in range(16):  # an answer is bounded
        found += query.sql(f"SELECT id FROM ({text}) WHERE hash(id) % 16 = {part}")["id"].tolist()
    return found


def _settle(query: QueryClient) -> None:
    """Wait until nothing waits for ingestion, and every mail of the inbox is read."""
    unread = "SELECT count(*) AS n FROM inbound WHERE file NOT IN (SELECT file FROM report_read)"
    still: list[bool] = []

    def is_settled() -> bool:
        still.append(query.health()["behind_files"] == 0 and query.sql(unread)["n"].iloc[0] == 0)
        time.sleep(0.3)
        return len(still) > 5 and all(still[-5:])

    until(is_settled, 120, lambda: "the warehouse has not caught up")


def _said(node: Installation, *words: str) -> dict[str, int]:
    result = click.testing.CliRunner().invoke(mailweir, ["--config", str(node.config), *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def _name(message: Received) -> str:
    return message.recipients[0].partition("+")[2].partition("@")[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--journals", action="store_true", help="the old machine's journals are left")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailweir-backup-", dir="/var/tmp") as folder:
        report = play(Path(folder), options.seconds, with_journals=options.journals)
    print(json.dumps(asdict(report)))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
