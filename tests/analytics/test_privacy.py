"""A person is forgotten, and a customer purged, through a running relay and analytics; nothing else is touched."""

import base64
import gzip
import json
import os
import smtplib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from analytics.privacy import files, tables
from relay.account import Account
from relay.cli import run
from relay.control.accounts.views import Order
from relay.privacy.forgotten import Forgotten
from tests.analytics.test_service import Service, served
from tests.builders import NO_LIMITS, Installation, journal_lines, until
from tests.sink import Sink

ANN, BOB = "ann@x.example", "jo-ann@x.example"
FORGOTTEN = Forgotten.of(ANN, "N@forgotten.invalid")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Service]]:
    """A relay and analytics that have delivered a mail of two customers to Ann, and one to Bob."""
    installation = Installation(tmp_path_factory.mktemp("privacy"))
    with Sink() as sink:
        installation.write(sink.port, f'{NO_LIMITS}\n[verp]\ndomain = "bounce.acme.example"\n', model="none")
        for name in ("acme", "gone"):
            installation.add_account(Account(name, domains=(f"{name}.example",)), name)
        with installation.running(), served(installation) as service:
            for name, to in (("acme", ANN), ("acme", BOB), ("gone", ANN)):
                with smtplib.SMTP("127.0.0.1", installation.submission, timeout=30) as smtp:
                    smtp.login(name, "secret")
                    mail = f"From: web@{name}.example\r\nTo: {to}\r\nSubject: for {to}\r\n\r\nHello.\r\n"
                    smtp.sendmail(f"web@{name}.example", [to], mail)
            with service.client("admin") as client:
                until(lambda: client.sql("SELECT count(*) AS n FROM recipient")["n"].iloc[0] == 3, 60)
            yield installation, service


@pytest.fixture
def said(
    node: tuple[Installation, Service],
    no_settings: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> object:
    monkeypatch.setenv("MAILWEIR_CONFIG", str(node[0].config))

    def say(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        assert run(words) == code, capsys.readouterr()
        shown = capsys.readouterr()
        return shown.out + shown.err

    return say


def everything(installation: Installation, service: Service) -> str:
    """All texts of the warehouse and of the journals."""
    with service.client("admin") as client:
        names = client.sql("SELECT table_name AS t FROM duckdb_tables() WHERE NOT temporary")["t"]
        texts = [client.sql(f"FROM {name}").to_csv() for name in names]
    return "".join([*texts, *(line.decode() for line in journal_lines(installation.data / "journal"))])


def test_a_person_is_forgotten_everywhere_and_nobody_else_then_a_customer_is_purged(
    node: tuple[Installation, Service], said: object
) -> None:
    say, (installation, service) = said, node
    assert callable(say)
    planned = json.loads(say("forget", ANN, "--dry-run", "--json"))
    before = everything(installation, service)
    done = json.loads(say("forget", ANN, "--json"))
    after = everything(installation, service)
    again = json.loads(say("forget", ANN, "--json"))

    stores = {(trace["store"], trace["what"]) for trace in planned["traces"]}
    assert {("warehouse", "message"), ("warehouse", "recipient"), ("spool", "return paths")} <= stores
    assert any(store == "journals" for store, _ in stores)
    assert planned["traces"] == done["traces"]
    assert before.lower().count(ANN) > 5
    assert not FORGOTTEN.is_in(after)
    assert done["token"] in after
    assert before.count(BOB) == after.count(BOB)
    assert again["traces"] == []
    assert "the chain holds" in say("audit", "verify")

    assert "is active" in say("purge", "--account", "gone", code=1)
    with installation.client() as relay:
        relay.remove_account("gone", Order())
    assert "would be deleted" in say("purge", "--account", "gone", "--dry-run")
    assert "deleted" in say("purge", "--account", "gone")
    assert "nothing was found" in say("purge", "--account", "gone")
    with service.client("admin") as client:
        assert {"acme"} == set(client.sql("SELECT account FROM message")["account"])
    assert b'"account":"acme"' in b"".join(journal_lines(installation.data / "journal"))
    assert "nothing was found" in say("purge", "--older-than", "30d")
    assert "one of them" in say("purge", code=2)


def test_every_kind_of_column_is_rewritten_and_counted(tmp_path: Path) -> None:
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE t (n BIGINT, v VARCHAR, j JSON, l VARCHAR[], s STRUCT(id BIGINT, address VARCHAR)[],"
        " o STRUCT(a VARCHAR, b BIGINT))"
    )
    row = [
        1,
        f"x {ANN} {ANN}",
        f'{{"to": "{ANN.upper()}"}}',
        [ANN, BOB],
        [{"id": 1, "address": ANN}],
        {"a": ANN, "b": 2},
    ]
    connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", row)
    connection.execute("INSERT INTO t VALUES (2, ?, NULL, NULL, NULL, NULL)", [BOB])
    connection.execute("INSERT INTO t VALUES (3, NULL, NULL, [NULL], [NULL], NULL)")

    found = tables.found_in(connection, FORGOTTEN)
    tables.replace_in(connection, FORGOTTEN, found)

    new = FORGOTTEN.token
    assert found == {"t": 1}
    assert tables.found_in(connection, FORGOTTEN) == {}
    assert [
        (1, f"x {new} {new}", f'{{"to": "{new}"}}', [new, BOB], [{"id": 1, "address": new}], {"a": new, "b": 2}),
        (2, BOB, None, None, None, None),
    ] == connection.sql("FROM t WHERE n < 3 ORDER BY n").fetchall()
    assert connection.sql("SELECT v, l FROM t WHERE n = 3").fetchall() == [(None, [None])]
    connection.close()


def test_an_archive_is_rewritten_in_place_and_keeps_its_age(tmp_path: Path) -> None:
    path = tmp_path / "relay-20260101T10.jsonl"
    path.write_text(f'{{"a": "{ANN}"}}\n{{"b": "{BOB}"}}\n{{"c": "broken {ANN}\n')
    os.utime(path, (1e9, 1e9))

    assert files.lines_with(path, FORGOTTEN) == 2
    files.rewrite(path, files.without(FORGOTTEN))

    assert f'{{"a": "{FORGOTTEN.token}"}}\n{{"b": "{BOB}"}}\n' in path.read_text()
    assert files.lines_with(path, FORGOTTEN) == 0
    assert path.stat().st_mtime == 1e9
    assert [path] == [*tmp_path.iterdir()]


def test_raw_reports_are_found_plain_packed_and_encoded(tmp_path: Path) -> None:
    encoded = base64.b64encode(f"to {ANN}".encode()).decode()
    mails = {
        "plain.eml": f"To: {ANN}\n\nhello".encode(),
        "packed.gz": gzip.compress(ANN.encode()),
        "encoded.eml": f"Content-Transfer-Encoding: base64\nContent-Type: text/plain\n\n{encoded}\n".encode(),
        "other.eml": f"To: {BOB}\n\nhello".encode(),
        "damaged.gz": b"\x1f\x8b????",
    }
    for name, content in mails.items():
        (tmp_path / name).write_bytes(content)

    found = [path.name for path in files.reports_with(tmp_path, FORGOTTEN)]

    assert found == ["encoded.eml", "packed.gz", "plain.eml"]
