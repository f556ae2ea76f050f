"""A data folder as the first version left it: state, spool and warehouse come up to date, and its mail is delivered."""

import sqlite3
import time
import zlib
from contextlib import closing
from importlib import resources
from pathlib import Path

import duckdb
from alembic import command
from alembic.config import Config
from argon2 import PasswordHasher
from sqlalchemy import Connection, create_engine, text

from analytics.ingesting.ingest import Ingest
from analytics.ingesting.journals import JournalFolder
from analytics.warehouse import Warehouse, migrate
from relay.control.state import database
from relay.spool import migrations
from tests.builders import NO_LIMITS, Installation
from tests.delivering import CONTENT
from tests.sink import Sink

RECORD = b'{"kind":"Reception"}\n'


def config_of(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent.parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def first_state(folder: Path) -> None:
    engine = create_engine(f"sqlite:///{folder / 'state.sqlite'}")
    with engine.begin() as connection:
        command.upgrade(config_of(connection), "0001")
        at = {"at": "2026-01-01 00:00:00", "hash": PasswordHasher().hash("secret")}
        for statement in (
            "INSERT INTO account VALUES ('acme', NULL, FALSE, '', NULL, FALSE, :at)",
            "INSERT INTO domain VALUES ('acme', 'acme.example', :at)",
            "INSERT INTO credential VALUES ('acme', 'acme', :hash, :at, NULL)",
        ):
            connection.execute(text(statement), at)
    engine.dispose()


def first_spool(folder: Path) -> None:
    """One message that waits, one that is held."""
    folder.mkdir()
    (folder / "00000001.seg").write_bytes((CONTENT + RECORD) * 2)
    size = len(CONTENT) + len(RECORD)
    with closing(sqlite3.connect(folder / "index.sqlite")) as connection, connection:
        connection.executescript(migrations.STEPS[0])
        connection.execute("INSERT INTO lane VALUES (1, 'acme|mailfrom|a@acme.example', 'd.example')")
        connection.execute("INSERT INTO meta VALUES ('next_id', 10), ('journaled', ?)", (1 << 40 | size,))
        for number, state in ((1, 0), (2, 1)):
            row = (number, 1, 1, (number - 1) * size, len(CONTENT), len(RECORD), zlib.crc32(CONTENT))
            whose = ("acme", "", "acme|mailfrom|a@acme.example", "a@acme.example")
            envelope = (*whose, time.time() - 60, 0, b"X-P: 1\r\n", "order")
            connection.execute(
                f"INSERT INTO message VALUES ({', '.join('?' * 17)})",
                (*row, *envelope, 0.5, "content" if state else ""),
            )
            due = None if state else 0.0
            connection.execute(
                "INSERT INTO recipient VALUES (?, ?, 1, ?, ?, 0, ?)",
                (number, number, f"r{number}@d.example", due, state),
            )


def first_warehouse(folder: Path, scratch: Path) -> None:
    """One message, its texts all '1'."""
    schema = resources.files("analytics").joinpath("schema/0001_warehouse.sql")
    scratch.mkdir()
    (scratch / "0001_warehouse.sql").write_text(schema.read_text())
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        migrate(connection, scratch)
        required = connection.sql(
            "SELECT column_name, column_type FROM (DESCRIBE message) WHERE \"null\" = 'NO'"
        ).fetchall()
        now = {True: "now()", False: "'1'"}
        values = ", ".join(f"CAST({now['TIME' in kind]} AS {kind}) AS {name}" for name, kind in required)
        connection.execute(f"INSERT INTO message BY NAME SELECT {values}")


def test_what_the_first_version_left_is_migrated_and_goes_on(tmp_path: Path) -> None:
    node = Installation(tmp_path)
    with Sink() as sink:
        node.write(sink.port, NO_LIMITS, model="none")
        first_state(node.data)
        first_spool(node.data / "spool")
        first_warehouse(node.data, tmp_path / "first")

        with node.running(), node.client() as relay:
            (delivered,) = sink.wait_for(1, 30)
            accounts = {account.name: account.domains for account in relay.accounts()}
            logins = [login.login for login in relay.credentials()]
            held = relay.status()["spool"]["held"]
        warehouse = Warehouse.open(node.data / "warehouse.duckdb", node.data / "journal")
        ingested = Ingest(warehouse, JournalFolder(node.data / "journal"), node.settings.policy).run()
        messages = warehouse.table("SELECT message_id, due_at FROM message").to_pylist()
        outcomes = warehouse.table("SELECT recipient, outcome FROM recipient").to_pylist()
        warehouse.close()

    assert (delivered.content, delivered.recipients) == (b"X-P: 1\r\n" + CONTENT, ("r1@d.example",))
    assert (accounts, logins, held) == ({"acme": ["acme.example"]}, ["acme"], 1)
    assert (messages, ingested.corrupt) == ([{"message_id": "1", "due_at": None}], [])
    assert outcomes == [{"recipient": "r1@d.example", "outcome": "delivered"}]
    for path, query, newest in (
        ("state.sqlite", "SELECT version_num FROM alembic_version", database._newest_version()),
        ("spool/index.sqlite", "PRAGMA user_version", len(migrations.STEPS)),
    ):
        with closing(sqlite3.connect(node.data / path)) as connection:
            assert (newest,) == connection.execute(query).fetchone()
