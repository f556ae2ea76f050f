"""The journal: closed files hold whole records in order, whatever ended the process."""

import errno
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.clock import SystemClock
from relay.events import AuthFailure, decode
from relay.spool.journal import Journal


def _failure(journal: Journal, number: int) -> AuthFailure:
    return AuthFailure(**journal.stamp(), client_ip=f"192.0.2.{number}", login_hash="x", mechanism="PLAIN")


def _closed(folder: Path) -> list[str]:
    return [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def _wait(condition, seconds: float = 10.0) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.01)


def test_records_come_back_whole_and_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "relay", "mw1", SystemClock())
    journal.start()

    for number in range(1000):
        journal.append(_failure(journal, number))
    journal.close()

    records = [decode(line) for line in _closed(tmp_path)]
    assert [f"192.0.2.{number}" for number in range(1000)] == [record.client_ip for record in records]
    assert list(range(1, 1001)) == [record.seq for record in records]


def test_a_folder_that_another_program_makes_just_now_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "journal"

    def is_dir(path: Path) -> bool:
        is_there = os.path.isdir(path)
        os.makedirs(folder, exist_ok=True)  # by analytics, which starts at the same time
        return is_there

    monkeypatch.setattr(Path, "is_dir", is_dir)
    journal = Journal(folder, "relay", "mw1", SystemClock())
    journal.start()
    journal.append(_failure(journal, 1))
    journal.close()

    assert len(_closed(folder)) == 1


def test_file_is_closed_by_itself_and_an_idle_journal_makes_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "relay", "mw1", SystemClock())
    journal.start()
    journal.append(_failure(journal, 1))

    _wait(lambda: len(_closed(tmp_path)) == 1)
    journal.close()

    assert len(list(tmp_path.iterdir())) == 1


def test_a_hastened_file_is_closed_long_before_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.spool.journal.CLOSE_SECONDS", 3_600.0)
    journal = Journal(tmp_path, "relay", "mw1", SystemClock())
    journal.start()
    journal.append(_failure(journal, 1))
    journal.hasten()

    _wait(lambda: len(_closed(tmp_path)) == 1)
    journal.append(_failure(journal, 2))
    _wait(lambda: list(tmp_path.glob("*.open")))

    assert len(_closed(tmp_path)) == 1
    journal.close()


def test_durable_records_follow_what_was_appended_before(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "relay", "mw1", SystemClock())
    journal.start()
    journal.append_encoded(b'{"first": 1}\n')

    journal.write_durably([b'{"second": 2}\n'])

    on_disk = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert on_disk == b'{"first": 1}\n{"second": 2}\n'
    journal.close()


def test_torn_last_line_is_cut_at_the_next_start(tmp_path: Path) -> None:
    torn = tmp_path / "relay-mw1-20260101T000000Z-1-00000001.jsonl.open"
    torn.write_bytes(b'{"a": 1}\n{"b": ')
    other_writer = tmp_path / "analytics-mw1-20260101T000000Z-1-00000001.jsonl.open"
    other_writer.write_bytes(b'{"c": 3}\n')

    journal = Journal(tmp_path, "relay", "mw1", SystemClock())
    journal.start()
    journal.close()

    assert _closed(tmp_path) == ['{"a": 1}']
    assert other_writer.exists()


def test_lines_survive_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, "relay", "mw1", SystemClock())
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        journal.write_durably([b'{"kept": 1}\n'])

    monkeypatch.setattr(os, "write", real_write)
    journal.write_durably([b'{"next": 2}\n'])

    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert on_disk == b'{"kept": 1}\n{"next": 2}\n'


def test_stamp_is_aware_utc(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "relay", "mw1", SystemClock())

    assert journal.stamp()["logged_at"].tzinfo is UTC
    assert abs((journal.stamp()["logged_at"] - datetime.now(UTC)).total_seconds()) < 60
