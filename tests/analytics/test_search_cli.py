"""The commands msg, sql and export against a running analytics."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
from click.testing import CliRunner, Result

from relay.cli import mailweir
from tests.analytics.test_search_service import service as service
from tests.analytics.test_service import Service


def run(service: Service, *words: str) -> Result:
    config = service.settings.dir.parent / "mailweir.toml"
    return CliRunner().invoke(mailweir, list(words), env={"MAILWEIR_CONFIG": str(config)}, catch_exceptions=False)


def test_messages_are_found_shown_and_followed(service: Service) -> None:
    found = run(service, "msg", "find", "delivered:Y", "--json")
    rows = json.loads(found.stdout)
    assert [(row["message_id"], row["recipient"]) for row in rows] == [("mw1.1", "r0@post.example")]
    as_csv = run(service, "msg", "find", "", "--csv")
    assert len(list(csv.DictReader(io.StringIO(as_csv.stdout)))) == 3
    assert "mw1.2" in run(service, "msg", "find", "subject:other").stdout
    assert "nothing found" in run(service, "msg", "find", "to:nobody@x").stdout
    assert "there may be older ones" in run(service, "msg", "find", "", "--limit", "1").stderr

    assert "Order 1" in run(service, "msg", "show", "mw1.1").stdout
    told = json.loads(run(service, "msg", "trace", "mw1.1", "--json").stdout)
    assert [step["kind"] for step in told] == ["received", "accept", "delivered"]
    assert "250 ok" in run(service, "msg", "trace", "mw1.1").stdout


def test_what_cannot_be_answered_ends_with_1_and_says_why(service: Service) -> None:
    wrong = run(service, "msg", "find", "sendr:a")
    assert wrong.exit_code == 1
    assert "sendr:a\n^^^^^" in wrong.stderr

    for words in (("msg", "show", "mw1.999"), ("msg", "trace", "mw1.999"), ("sql", "DROP TABLE message")):
        refused = run(service, *words)
        assert refused.exit_code == 1
        assert refused.stderr


def test_what_strangers_wrote_does_not_steer_the_terminal(service: Service) -> None:
    shown = run(service, "sql", "SELECT 'a' || chr(27) || '[2J' AS subject, 1.5 AS score").stdout

    assert "a\N{REPLACEMENT CHARACTER}[2J" in shown
    assert "1.5" in shown
    assert "\x1b" not in shown


def test_sql_and_exports_write_what_was_asked(service: Service, tmp_path: Path) -> None:
    assert json.loads(run(service, "sql", "SELECT 42 AS answer", "--json").stdout) == [{"answer": 42}]

    assert "2 rows" in run(service, "export", "parquet", "message", str(tmp_path / "m.parquet")).stdout
    assert pq.read_table(tmp_path / "m.parquet")["message_id"].to_pylist() == ["mw1.1", "mw1.2"]
    assert "1 rows" in run(service, "export", "parquet", "subject:other", str(tmp_path / "q.parquet")).stdout
    refused = run(service, "export", "parquet", "nofield:x", str(tmp_path / "no.parquet"))
    assert refused.exit_code == 1
    assert list(tmp_path.glob("no.parquet*")) == []
