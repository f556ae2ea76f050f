"""Feeds: each report once, seen by whoever owns the domain, missed when they stop, there again after a rebuild."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from analytics.client import QueryError
from analytics.ingesting.rebuild import rebuild
from analytics.reports.feeds import STALE_AFTER, Feed, Feeds, Taken
from analytics.reports.job import feed_job
from analytics.serving.ask import OutOfScope, ask
from relay.clock import SteppedClock
from relay.control.accounts.views import NewAccount
from relay.tree import Scope
from tests.analytics.aggregates import METADATA, dmarc, gzipped, mail, record, tls_bytes, zipped
from tests.analytics.conftest import Room
from tests.analytics.desk import client, control
from tests.analytics.test_reports_feedback import arf
from tests.analytics.test_reports_providers import OLD, stat
from tests.analytics.test_service import Service, service

__all__ = ["service"]
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
REPORT = dmarc(record(5), record(2, "reject", "fail"))
GOOGLE = json.dumps({"domainStats": [stat("spam_rate", doubleValue=0.002)]}).encode()
YAHOO = b"date,domain,delivered\n2026-11-23,firm.example,1200\n"


@dataclass
class Desk:
    """Feeds into a warehouse of its own, on a clock that is stepped."""

    room: Room
    folder: Path
    clock: SteppedClock = field(default_factory=lambda: SteppedClock(NOW))
    alarms: list[tuple[str, str]] = field(default_factory=list)

    @property
    def feeds(self) -> Feeds:
        return Feeds(self.room.warehouse, self.folder, self.clock)

    def take(self, kind: Feed, raw: bytes, **more: Any) -> Taken:
        return self.feeds.take(kind, raw, **more)

    def watch(self) -> list[str]:
        self.alarms.clear()
        self.feeds.watch(lambda condition, text, evidence: self.alarms.append((condition, text)))
        return [text for _, text in self.alarms]

    def ask(self, name: str, scope: Scope | None = None, **params: Any) -> list[dict[str, Any]]:
        since = {} if name == "feeds" else {"since": "2000-01-01T00:00:00Z"}
        return ask(self.room.warehouse, name, since | params, scope or Scope(), self.clock.now()).to_pylist()


@pytest.fixture
def desk(room: Room, tmp_path: Path) -> Iterator[Desk]:
    return Desk(room, tmp_path / "feeds")


def test_a_dmarc_report_is_stored_with_every_field(desk: Desk) -> None:
    taken = desk.take(Feed.DMARC, REPORT, name="r.xml")

    assert (taken.status, taken.fresh, taken.says["messages"]) == ("new", 1, 7)
    query = "SELECT source_ip, messages, disposition, dkim, spf, header_from, dkim_results FROM dmarc_record ORDER BY 2"
    result = [{"domain": "firm.example", "selector": "s1", "result": "pass"}]
    assert desk.room.rows(query) == [
        ("192.0.2.1", 2, "reject", "fail", "fail", "firm.example", result),
        ("192.0.2.1", 5, "none", "pass", "fail", "firm.example", result),
    ]
    assert desk.room.rows("SELECT report_id, domain, policy->>'p', begin_at FROM dmarc_report") == [
        ("r-1", "firm.example", "reject", datetime.fromtimestamp(1700000000, UTC))
    ]


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (Feed.DMARC, REPORT),
        (Feed.TLSRPT, tls_bytes()),
        (Feed.SNDS, OLD.encode()),
        (Feed.GPT, GOOGLE),
        (Feed.YAHOO, YAHOO),
        (Feed.ARF, arf()),
    ],
)
def test_the_same_file_twice_counts_once(desk: Desk, kind: Feed, raw: bytes) -> None:
    tables = ("dmarc_record", "dmarc_report", "tls_policy", "snds", "provider_figure", "feedback", "feed_file")

    def counts() -> list[int]:
        return [desk.room.value(f"SELECT count(*) FROM {table}") for table in tables]

    first, after_first = desk.take(kind, raw), counts()
    second = desk.take(kind, raw)

    assert (first.status, second.status, second.fresh) == ("new", "known", 0)
    assert counts() == after_first
    assert sum(after_first) >= 2


def test_the_same_report_in_another_wrapping_counts_once(desk: Desk) -> None:
    desk.take(Feed.DMARC, REPORT)

    again = [desk.take(Feed.DMARC, raw) for raw in (gzipped(REPORT), mail(zipped(("a.xml", REPORT)), "text/plain"))]

    assert [taken.status for taken in again] == ["known", "known"]
    assert desk.room.value("SELECT sum(messages) FROM dmarc_record") == 7


def test_another_report_of_the_same_reporter_counts_too(desk: Desk) -> None:
    desk.take(Feed.DMARC, REPORT)
    desk.take(Feed.DMARC, dmarc(metadata=METADATA.replace("r-1", "r-2")))

    assert desk.room.value("SELECT count(*) FROM dmarc_report") == 2


def test_a_later_file_of_snds_corrects_a_day(desk: Desk) -> None:
    desk.take(Feed.SNDS, OLD.encode())
    desk.take(Feed.SNDS, OLD.replace("GREEN", "YELLOW").encode())

    assert desk.room.rows("SELECT ip, result FROM snds ORDER BY ip DESC") == [
        ("192.0.2.9", "YELLOW"),
        ("192.0.2.10", "RED"),
    ]


def test_a_dry_run_changes_nothing_and_says_what_would_happen(desk: Desk) -> None:
    taken = desk.take(Feed.DMARC, REPORT, dry_run=True)

    assert (taken.status, taken.fresh, taken.dry_run) == ("new", 1, True)
    assert desk.room.value("SELECT count(*) FROM dmarc_record") == 0
    assert desk.room.value("SELECT count(*) FROM feed") + desk.room.value("SELECT count(*) FROM feed_file") == 0
    assert not desk.folder.exists()
    assert desk.take(Feed.DMARC, REPORT).status == "new"


@pytest.mark.parametrize(
    ("kind", "raw", "reason"),
    [
        (Feed.DMARC, REPORT[:200], "cut off"),
        (Feed.DMARC, tls_bytes(), "it is no dmarc report but tls-rpt"),
        (Feed.TLSRPT, REPORT, "it is no tlsrpt report but dmarc-aggregate"),
        (Feed.ARF, b"Subject: hello\r\n\r\nHello\r\n", "it is no arf report but other"),
        (Feed.SNDS, REPORT, "no file of SNDS"),
        (Feed.GPT, b"{}", "no figure"),
    ],
)
def test_what_is_refused_is_noted_with_its_reason_and_not_kept(desk: Desk, kind: Feed, raw: bytes, reason: str) -> None:
    taken = desk.take(kind, raw, name="x", author="admin")

    assert taken.status == "refused"
    assert reason in taken.reason
    assert [(row["name"], row["author"], row["reason"]) for row in desk.ask("feed_files")] == [
        ("x", "admin", taken.reason)
    ]
    assert not desk.folder.exists()


def test_a_customer_sees_the_reports_of_his_domains_only(desk: Desk) -> None:
    desk.take(Feed.DMARC, REPORT)
    desk.take(Feed.TLSRPT, tls_bytes())
    desk.take(Feed.GPT, GOOGLE)
    desk.feeds.own([("firm.example", "acme", "north"), ("other.example", "globex", "south")])

    for name in ("dmarc_domains", "dmarc_days", "tls_domains", "postmaster"):
        assert len(desk.ask(name, Scope(account="acme"))) == 1
        assert len(desk.ask(name, Scope(reseller="north"))) == 1
        assert len(desk.ask(name)) == 1
        assert desk.ask(name, Scope(account="globex")) == []
        assert desk.ask(name, Scope(reseller="south")) == []
    assert desk.ask("dmarc_sources", Scope(account="globex"), domain="firm.example") == []


def test_a_domain_that_two_accounts_claim_is_shown_to_neither(desk: Desk) -> None:
    desk.take(Feed.DMARC, REPORT)
    desk.feeds.own([("firm.example", "acme", ""), ("firm.example", "globex", "")])

    assert [desk.ask("dmarc_domains", Scope(account=name)) for name in ("acme", "globex")] == [[], []]
    assert desk.ask("dmarc_domains")[0]["messages"] == 7


def test_a_domain_changes_hands(desk: Desk) -> None:
    desk.take(Feed.DMARC, REPORT)

    changes = [desk.feeds.own([("firm.example", name, "")]) for name in ("acme", "acme", "globex")]

    assert changes == [True, False, True]
    assert desk.ask("dmarc_domains", Scope(account="acme")) == []
    assert len(desk.ask("dmarc_domains", Scope(account="globex"))) == 1
    assert desk.feeds.own([]) is True


def test_the_relays_accounts_say_whose_the_domains_are(desk: Desk, tmp_path: Path) -> None:
    desk.take(Feed.DMARC, REPORT)

    with control(tmp_path, desk.clock) as url:
        with client(url) as relay:
            relay.add_account(NewAccount(name="globex", domains=["firm.example"]))
        said = feed_job(desk.feeds, lambda: client(url), lambda *_: None, 400).action()
        again = feed_job(desk.feeds, lambda: client(url), lambda *_: None, 400).action()
    relay_down = feed_job(desk.feeds, lambda: client(url), lambda *_: None, 400).action()

    assert said == "owners changed, 0 feeds silent, 0 rows and files gone"
    assert (again, relay_down) == ("", "")
    assert len(desk.ask("dmarc_domains", Scope(account="globex"))) == 1
    assert desk.ask("dmarc_domains", Scope(account="acme")) == []


@pytest.mark.parametrize("name", ["snds", "feeds", "feed_files", "feedback"])
def test_what_is_about_the_installation_a_customer_does_not_see(desk: Desk, name: str) -> None:
    with pytest.raises(OutOfScope):
        desk.ask(name, Scope(account="acme"))


def test_the_questions_answer_in_figures(desk: Desk) -> None:
    for kind, raw in ((Feed.DMARC, REPORT), (Feed.TLSRPT, tls_bytes()), (Feed.SNDS, OLD.encode()), (Feed.ARF, arf())):
        desk.take(kind, raw)
    desk.take(Feed.YAHOO, YAHOO)

    (domain,) = desk.ask("dmarc_domains")
    assert (domain["messages"], domain["aligned"], domain["rejected"], domain["sources"]) == (7, 5, 2, 1)
    (source,) = desk.ask("dmarc_sources", domain="Firm.example")
    assert (source["source_ip"], source["dkim_aligned"], source["ours"]) == ("192.0.2.1", 5, False)
    (tls,) = desk.ask("tls_domains")
    assert (tls["success"], tls["failure"], tls["results"]) == (48, 2, ["certificate-expired"])
    assert [row["trap_hits"] for row in desk.ask("snds")] == [0, 2]
    assert [(row["metric"], row["value"]) for row in desk.ask("yahoo", domain="firm.example")] == [
        ("DELIVERED", 1200.0)
    ]
    assert [(row["loop"], row["type"], row["complaints"]) for row in desk.ask("feedback")] == [("arf", "abuse", 1)]
    assert {row["kind"] for row in desk.ask("feeds")} == {"dmarc", "tlsrpt", "snds", "yahoo", "arf"}


def test_a_feed_that_stops_raises_one_alarm_and_the_next_silence_another(desk: Desk) -> None:
    desk.take(Feed.SNDS, OLD.encode())

    desk.clock.advance((STALE_AFTER - timedelta(minutes=1)).total_seconds())
    assert desk.watch() == []
    desk.take(Feed.SNDS, OLD.encode())  # the file comes on, with nothing new in it
    desk.clock.advance((timedelta(minutes=2)).total_seconds())
    (text,) = desk.watch()
    assert text == "nothing new of snds since 2026-11-26 12:00Z; its data end 2026-11-24 06:00Z"
    assert desk.watch() == []
    assert [row["is_stale"] for row in desk.ask("feeds")] == [True]

    desk.take(Feed.SNDS, OLD.replace("11/23", "11/27").encode())
    assert desk.watch() == []
    assert [row["is_stale"] for row in desk.ask("feeds")] == [False]
    desk.clock.advance((STALE_AFTER + timedelta(minutes=1)).total_seconds())
    assert len(desk.watch()) == 1


def test_no_alarm_for_a_feed_that_never_came_nor_for_complaints(desk: Desk) -> None:
    desk.take(Feed.ARF, arf())

    desk.clock.advance((timedelta(days=9)).total_seconds())

    assert desk.watch() == []


def test_old_files_and_rows_are_forgotten_together(desk: Desk) -> None:
    desk.take(Feed.DMARC, REPORT)
    desk.clock.advance((timedelta(days=9)).total_seconds())
    desk.take(Feed.TLSRPT, tls_bytes())
    desk.clock.advance((timedelta(days=2)).total_seconds())

    gone = desk.feeds.forget(10)

    assert gone == 1 + 2 + 1 + 1  # the file, its records, its report, and the note of it
    assert [path.name.split("-")[1] for path in desk.folder.iterdir()] == ["tlsrpt"]
    assert desk.room.value("SELECT count(*) FROM tls_policy") == 1


def test_what_the_command_brings_is_taken_once_kept_and_there_again_after_a_rebuild(service: Service) -> None:
    folder = service.settings.dir
    (folder / "a.xml").write_bytes(REPORT)
    (folder / "b.xml").write_bytes(b"<html>")
    config = folder.parent / "mailweir.toml"

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "relay.cli", "--config", str(config), "ingest", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    assert run("dmarc", "--dry-run", str(folder / "a.xml"))[1].startswith("a.xml: would be taken (org Receiver, ")
    code, said = run("dmarc", str(folder / "a.xml"), str(folder / "a.xml"), str(folder / "b.xml"), str(folder / "none"))
    first, second, third, fourth = said.splitlines()
    assert code == 1
    assert first.startswith("a.xml: taken (")
    assert second.startswith("a.xml: known already (")
    assert third == "b.xml: refused, the outermost element is html, not feedback"
    assert fourth.endswith("refused, No such file or directory")
    assert json.loads(run("dmarc", "--json", str(folder / "a.xml"))[1])["status"] == "known"
    with service.client("admin") as client:
        assert client.table("dmarc_domains", since=NOW - timedelta(days=3650)).to_pylist()[0]["messages"] == 7


def test_a_rebuilt_warehouse_has_the_reports_of_the_kept_files(service: Service) -> None:
    with service.client("admin") as client:
        client.feed("dmarc", REPORT)
        client.feed("snds", OLD.encode())
    kept = sorted((service.settings.dir / "feeds").iterdir())
    service.running.warehouse.close()

    list(rebuild(service.settings))

    from analytics.warehouse import Warehouse

    again = Warehouse.open(service.settings.dir / "warehouse.duckdb", service.settings.journal_dir)
    counts = again.table(
        "SELECT (SELECT count(*) FROM dmarc_record) AS d, (SELECT count(*) FROM snds) AS s"
    ).to_pylist()
    again.close()
    assert counts == [{"d": 2, "s": 2}]
    assert len(kept) == 2


@pytest.mark.parametrize(("name", "allowed"), [("admin", True), ("analytics", True), ("dashboard", False)])
def test_bringing_reports_needs_an_operator(service: Service, name: str, allowed: bool) -> None:
    with service.client(name) as client:
        if allowed:
            assert client.feed("dmarc", REPORT, dry_run=True)["status"] == "new"
        else:
            with pytest.raises(QueryError, match="may not bring reports"):
                client.feed("dmarc", REPORT)


def test_a_feed_of_no_kind_is_refused(service: Service) -> None:
    with service.client("admin") as client, pytest.raises(QueryError, match="there is no feed 'x'; there are: dmarc"):
        client.feed("x", b"")
