"""The index of every earlier version comes up to date with nothing lost."""

import sqlite3
from pathlib import Path

import pytest

from relay.spool import index, migrations


def at_step(path: Path, step: int) -> sqlite3.Connection:
    """An index as the version that knew so many steps made it."""
    connection = sqlite3.connect(path, isolation_level=None)
    for number in range(step):
        connection.executescript(migrations.STEPS[number])
    connection.execute(f"PRAGMA user_version = {step}")
    return connection


def test_an_uncounted_index_is_taken_for_the_first_step_and_gets_its_counts(tmp_path: Path) -> None:
    old = at_step(tmp_path / "index.sqlite", 1)
    old.execute("PRAGMA user_version = 0")  # as installations have it from before steps were counted
    message = (1, 2, 3, 100, 50, 7, 9, "acme", "", "s", "a@a.example", 1e9, 0, b"p", "subject", None, "accept")
    old.execute(f"INSERT INTO message VALUES ({', '.join('?' * 17)})", message)
    old.execute(f"INSERT INTO message VALUES ({', '.join('?' * 17)})", (5, 1, 3, 200, 50, 7, *message[6:]))
    old.execute("INSERT INTO lane VALUES (1, 's', 'd.example')")
    rows = [
        (1, 1, 1, "x@d.example", None, 0, 0),
        (2, 1, 1, "y@d.example", 5.0, 1, 0),
        (5, 5, 1, "z@d.example", None, 0, 1),
    ]
    old.executemany("INSERT INTO recipient VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    old.execute("INSERT INTO meta VALUES ('journaled', ?), ('next_id', 77)", (3 << 40 | 200,))
    old.close()

    new = index.connect(tmp_path / "index.sqlite")

    assert new.execute("SELECT * FROM segment").fetchall() == [(3, 2, 114, 257, 1, 5)]
    assert new.execute("SELECT id, state FROM message").fetchall() == [(1, 0), (5, 1)]
    assert index.get_meta(new, "recipients") == 3
    assert index.get_meta(new, "next_id") == 77
    assert index.get_meta(new, "journaled") == index.position(3, 200)
    assert new.execute("SELECT * FROM recipient").fetchall() == [(*row, "", None, 0) for row in rows]
    assert new.execute("PRAGMA user_version").fetchone() == (len(migrations.STEPS),)
    new.close()


def test_what_is_held_already_is_listed_as_held_from_then_on(tmp_path: Path) -> None:
    old = at_step(tmp_path / "index.sqlite", 8)
    for number, state, rule in ((1, 1, "content"), (2, 1, "spam_rate"), (3, 1, "newcomers_held"), (4, 0, "accept")):
        old.execute(
            "INSERT INTO message (id, rcpts, segment, place, length, record_length, crc, account, reseller, sender,"
            " mail_from, received_unix, flags, prefix, subject, score, rule, state)"
            " VALUES (?, 1, 1, 0, 50, 7, 9, 'acme', 'isp', 'acme|x|y', 'a@a.example', 1e9, 0, x'', 's', 0.7, ?, ?)",
            (number, rule, state),
        )
        old.execute(
            "INSERT INTO recipient VALUES (?, ?, 1, 'x@d.example', NULL, 0, ?, '', NULL, 0)", (number, number, state)
        )
    old.close()

    new = index.connect(tmp_path / "index.sqlite")

    assert new.execute("SELECT message, reseller, under, rule, score, since, rcpts, cluster FROM held").fetchall() == [
        (1, "isp", "", "content", 0.7, 1e9, 1, 0),
        (2, "isp", "acme|x|y", "spam_rate", 0.7, 1e9, 1, 0),
        (3, "isp", "acme|newcomers|", "newcomers_held", 0.7, 1e9, 1, 0),
    ]
    new.execute("UPDATE message SET state = 0 WHERE id = 1")
    new.execute("DELETE FROM message WHERE id = 2")
    assert new.execute("SELECT message FROM held").fetchall() == [(3,)]
    new.close()


@pytest.mark.parametrize("step", range(len(migrations.STEPS)))
def test_each_step_leads_to_the_tables_of_a_new_index(tmp_path: Path, step: int) -> None:
    at_step(tmp_path / "old.sqlite", step).close()

    old, new = index.connect(tmp_path / "old.sqlite"), index.connect(tmp_path / "new.sqlite")

    schema = "SELECT name, sql FROM sqlite_schema ORDER BY name"
    assert old.execute(schema).fetchall() == new.execute(schema).fetchall()
    old.close()
    new.close()


def test_a_step_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.connect(tmp_path / "index.sqlite").close()
    broken = (*migrations.STEPS, "CREATE TABLE half (x); INSERT INTO nowhere VALUES (1);")
    monkeypatch.setattr(migrations, "STEPS", broken)
    connection = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)

    with pytest.raises(sqlite3.OperationalError):
        migrations.migrate(connection)

    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone() == (0,)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(broken) - 1,)
    connection.close()


def test_an_index_of_a_later_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    connection = index.connect(tmp_path / "index.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(migrations.NewerIndex, match="version 99"):
        index.connect(tmp_path / "index.sqlite")
