"""The warehouse file: migrations, one owner, no way out by SQL."""

import subprocess
import sys
from importlib import resources
from pathlib import Path

import duckdb
import pytest

from analytics.warehouse import Warehouse, WarehouseBusy, WarehouseError, migrate


def test_migrations_run_once(tmp_path: Path) -> None:
    for _ in range(2):
        warehouse = Warehouse.open(tmp_path / "w.duckdb", tmp_path)
        done = warehouse.table("SELECT number, name FROM schema_migration").to_pylist()
        warehouse.close()

        assert done[0] == {"number": 1, "name": "0001_warehouse.sql"}
        assert len(done) == len({row["number"] for row in done})


def test_a_warehouse_of_the_first_version_gets_its_alarms(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    script = resources.files("analytics").joinpath("schema/0001_warehouse.sql").read_text()
    (first / "0001_warehouse.sql").write_text(script)
    connection = duckdb.connect()
    migrate(connection, first)

    migrate(connection)

    assert connection.sql("SELECT condition, account, evidence FROM alarm").fetchall() == []


def test_a_warehouse_of_before_delays_keeps_its_messages_and_learns_due_at(tmp_path: Path) -> None:
    schema = resources.files("analytics").joinpath("schema")
    (tmp_path / "0001_warehouse.sql").write_text(schema.joinpath("0001_warehouse.sql").read_text())
    connection = duckdb.connect()
    migrate(connection, tmp_path)
    required = connection.sql(
        "SELECT column_name, column_type FROM (DESCRIBE message) WHERE \"null\" = 'NO'"
    ).fetchall()
    values = ", ".join(
        f"CAST('{'2026-01-01' if 'TIME' in kind else 1}' AS {kind}) AS {name}" for name, kind in required
    )
    connection.execute(f"INSERT INTO message BY NAME SELECT {values or '1 AS message_id'}")

    migrate(connection)

    assert connection.sql("SELECT due_at FROM message").fetchall() == [(None,)]
    connection.close()


def test_a_warehouse_of_before_the_hours_is_counted_by_the_hour_too(tmp_path: Path) -> None:
    for file in resources.files("analytics").joinpath("schema").iterdir():
        if file.name < "0018":
            (tmp_path / file.name).write_text(file.read_text())
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    migrate(connection, tmp_path)
    connection.execute(
        "INSERT INTO rollup_minute BY NAME SELECT unnest(['2026-01-01 09:10Z', '2026-01-01 09:50Z', "
        "'2026-01-01 10:00Z'])::TIMESTAMPTZ AS minute, 'a' AS account, '' AS reseller, 's' AS sender, "
        "'192.0.2.1' AS source, 2 AS delivered, 1 AS sent_scored"
    )

    migrate(connection)

    hours = "SELECT hour::VARCHAR, last_at::VARCHAR, delivered FROM rollup_hour ORDER BY hour"
    assert connection.sql(hours).fetchall() == [
        ("2026-01-01 09:00:00+00", "2026-01-01 09:50:00+00", 4),
        ("2026-01-01 10:00:00+00", "2026-01-01 10:00:00+00", 2),
    ]
    sources = "SELECT source, sent_scored, is_merged FROM rollup_source ORDER BY hour"
    assert connection.sql(sources).fetchall() == [("192.0.2.1", 2, True), ("192.0.2.1", 1, True)]
    connection.close()


def test_no_two_migrations_have_one_number() -> None:
    names = [file.name for file in resources.files("analytics").joinpath("schema").iterdir()]

    assert len({name[:4] for name in names}) == len(names)


def test_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "0001_good.sql").write_text("CREATE TABLE good (a INTEGER);")
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE half (a INTEGER); CREATE TABLE half (a INTEGER);")
    connection = duckdb.connect()

    with pytest.raises(duckdb.Error):
        migrate(connection, tmp_path)

    tables = {name for (name,) in connection.sql("SELECT table_name FROM information_schema.tables").fetchall()}
    assert tables == {"schema_migration", "good"}
    assert connection.sql("SELECT number FROM schema_migration").fetchall() == [(1,)]
    connection.close()


def test_warehouse_of_a_newer_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    warehouse = Warehouse.open(tmp_path / "w.duckdb", tmp_path)
    warehouse.write(lambda c: c.execute("INSERT INTO schema_migration VALUES (99, 'x', now())")).result()
    warehouse.close()

    with pytest.raises(WarehouseError, match=r"newer Mailweir .*warehouse rebuild"):
        Warehouse.open(tmp_path / "w.duckdb", tmp_path)


def test_second_owner_is_refused_by_name(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from analytics.warehouse import Warehouse\n"
        "w = Warehouse.open(Path(sys.argv[1]), Path(sys.argv[2])); print('open', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "w.duckdb"), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"open\n"

        with pytest.raises(WarehouseBusy, match=f"in use by process {owner.pid}"):
            Warehouse.open(tmp_path / "w.duckdb", tmp_path)
    finally:
        owner.communicate(b"")


def test_file_that_is_no_warehouse_is_named_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb").write_bytes(b"x" * 5000)

    with pytest.raises(WarehouseError, match=r"w.duckdb cannot be opened.*warehouse rebuild"):
        Warehouse.open(tmp_path / "w.duckdb", tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/mailweir-stolen.csv'",
        "ATTACH '/tmp/mailweir-other.duckdb'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
    ],
)
def test_sql_cannot_leave_the_warehouse(tmp_path: Path, statement: str) -> None:
    (tmp_path / "journal").mkdir()
    warehouse = Warehouse.open(tmp_path / "w.duckdb", tmp_path / "journal")

    with warehouse.cursor() as cursor, pytest.raises(duckdb.Error):
        cursor.execute(statement).fetchall()

    warehouse.close()
