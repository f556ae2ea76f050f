"""The backup's command, and the warehouse that stands still for it."""

import json
import os
import threading
from pathlib import Path

import duckdb
import pytest

from analytics.backup.standstill import Busy, Standstill
from analytics.warehouse import Warehouse
from relay import settings
from relay.backup.manifest import read
from relay.backup.taking import taking
from relay.cli import run
from tests.builders import Account, Installation


@pytest.fixture
def node(tmp_path: Path, no_settings: None, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A data folder that nothing runs on, with an account, a secret and a warehouse."""
    installation = Installation(tmp_path / "node")
    installation.write(1)
    installation.add_account(Account("acme"))
    (installation.data / "secret.key").write_bytes(b"s" * 32)
    (installation.data / "tokens").mkdir()
    (installation.data / "tokens" / "admin.token").write_text("x")
    (installation.data / "tokens" / "admin.token").chmod(0o600)
    Warehouse.open(installation.data / "warehouse.duckdb", installation.data / "journal").close()
    monkeypatch.setenv("MAILWEIR_CONFIG", str(installation.config))
    return installation


def test_a_node_that_stands_is_backed_up_and_restored_with_its_secrets(
    node: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["backup", str(tmp_path / "b"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    node.data.rename(tmp_path / "gone")
    assert run(["restore", str(tmp_path / "b"), "--dry-run"]) == 0
    assert not node.data.exists()
    assert run(["restore", str(tmp_path / "b"), "--json"]) == 0

    assert (told["relay_ran"], told["analytics_ran"], told["messages"]) == (False, False, 0)
    for name in ("secret.key", "tokens/admin.token", "warehouse.duckdb"):
        assert (tmp_path / "gone" / name).read_bytes() == (node.data / name).read_bytes()
        before, after = ((folder / name).stat().st_mode & 0o777 for folder in (tmp_path / "gone", node.data))
        assert after == before & 0o770  # never for everybody, whatever it was
    assert run(["account", "ls"]) == 0
    assert "acme" in capsys.readouterr().out
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "b" / "mailweir.toml").read_text() == node.config.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_backs_up_can_be_deleted_by_the_nightly_one_and_has_the_settings_of_the_system(
    node: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAILWEIR_CONFIG")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "SYSTEM_FILE", node.config.rename(tmp_path / "of-the-system.toml"))
    many = tmp_path / "many"
    many.mkdir()
    os.chown(many, 12345, 12345)

    assert run(["backup", str(many), "--keep", "2"]) == 0

    (made,) = many.iterdir()
    assert {path.lstat().st_uid for path in (made, *made.rglob("*"))} == {12345}
    assert (made / "mailweir.toml").read_text() == (tmp_path / "of-the-system.toml").read_text()


def test_the_last_backups_are_kept_and_a_folder_in_use_is_refused(
    node: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for day in ("20260101T000000Z", "20260102T000000Z"):
        assert run(["backup", str(tmp_path / "many" / day)]) == 0
    (tmp_path / "many" / "20250101T000000Z").mkdir()  # cut off: not whole, not ours to delete
    assert run(["backup", str(tmp_path / "many"), "--keep", "2"]) == 0
    left = sorted(path.name for path in (tmp_path / "many").iterdir())
    capsys.readouterr()

    assert left[:2] == ["20250101T000000Z", "20260102T000000Z"]
    assert len(left) == 3
    assert read(tmp_path / "many" / left[2]).node == "mw1"
    assert run(["backup", str(tmp_path / "many")]) == 1
    assert "not empty" in capsys.readouterr().err
    assert run(["backup", str(node.data / "b")]) == 1
    assert "lies in the data folder" in capsys.readouterr().err
    assert run(["backup", str(tmp_path / "c"), "--dry-run"]) == 0
    assert not (tmp_path / "c").exists()


def test_nothing_is_written_while_the_warehouse_stands_still_and_all_of_it_after(tmp_path: Path) -> None:
    warehouse, turn = Warehouse.open(tmp_path / "warehouse.duckdb", tmp_path / "journal"), threading.Lock()
    standstill = Standstill(warehouse, turn)

    with taking(tmp_path):
        standstill.begin()
        written = warehouse.write(lambda connection: connection.execute("CREATE TABLE t AS SELECT 1 AS n"))
        with pytest.raises(Busy):
            standstill.begin()
        assert turn.locked()
        assert warehouse.table("SELECT table_name FROM duckdb_tables() WHERE table_name = 't'").to_pylist() == []
        assert standstill.end()
    written.result(10)

    assert turn.acquire(timeout=10)
    assert warehouse.table("SELECT n FROM t").to_pylist() == [{"n": 1}]
    warehouse.close()


def test_an_asker_that_dies_stops_nothing_and_is_told_so(tmp_path: Path) -> None:
    warehouse, turn = Warehouse.open(tmp_path / "warehouse.duckdb", tmp_path / "journal"), threading.Lock()
    standstill = Standstill(warehouse, turn)

    standstill.begin()  # nobody holds the lock of those who take a backup
    assert warehouse.write(lambda connection: 7).result(10) == 7

    assert not standstill.end()
    warehouse.close()
    duckdb.connect(str(tmp_path / "warehouse.duckdb")).close()
