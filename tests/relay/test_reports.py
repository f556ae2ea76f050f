"""Reports as they came in: on disk before anybody is told so, and never more than their days and bytes."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.settings import Inbox
from relay.spool.reports import ReportFolder
from tests.delivering import eventually, story
from tests.relay.test_inbox import sink, started  # noqa: F401 - a fixture
from tests.sink import Sink

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MEGABYTE = b"x" * 1024 * 1024


def kept(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_each_report_is_a_file_of_its_day_under_a_name_of_its_own(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "inbox", Inbox())

    names = [folder.keep(content, now) for content, now in ((b"a", NOW), (b"b", NOW), (b"c", NOW + DAY))]

    assert [(tmp_path / name).read_bytes() for name in names] == [b"a", b"b", b"c"]
    assert [name.split("/")[1] for name in names] == ["20261126", "20261126", "20261127"]
    assert len(set(names)) == 3


def test_a_report_leaves_after_its_days_and_not_before(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "inbox", Inbox(keep_days=30))
    old, young = folder.keep(b"old", NOW), folder.keep(b"young", NOW + DAY)

    folder.sweep(NOW + 30 * DAY)
    assert kept(tmp_path) == [old, young]
    folder.sweep(NOW + 31 * DAY)

    assert kept(tmp_path) == [young]
    assert [path.name for path in (tmp_path / "inbox").iterdir()] == ["20261127"]


def test_the_oldest_leave_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "inbox", Inbox(keep_megabytes=10))
    folder.sweep(NOW)

    names = [folder.keep(MEGABYTE, NOW + timedelta(seconds=number)) for number in range(14)]

    assert kept(tmp_path) == names[-len(kept(tmp_path)) :]
    assert 9 <= len(kept(tmp_path)) <= 10


def test_the_files_of_an_earlier_run_count_too(tmp_path: Path) -> None:
    for number in range(8):
        ReportFolder(tmp_path / "inbox", Inbox()).keep(MEGABYTE, NOW + timedelta(seconds=number))
    folder = ReportFolder(tmp_path / "inbox", Inbox(keep_megabytes=5))

    folder.sweep(NOW)

    assert len(kept(tmp_path)) == 4


def test_what_a_crash_left_half_written_goes_the_next_day_and_what_is_being_written_stays(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "inbox", Inbox())
    whole = folder.keep(b"whole", NOW)
    draft = tmp_path / "inbox" / "20261126" / "120000000000-1-9.part"
    draft.write_bytes(b"ha")

    folder.sweep(NOW)
    assert draft.exists()
    folder.sweep(NOW + DAY)

    assert kept(tmp_path) == [whole]


def test_with_no_days_nothing_is_kept(tmp_path: Path) -> None:
    assert ReportFolder(tmp_path / "inbox", Inbox(keep_days=0)).keep(b"x", NOW) == ""
    assert kept(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_bytes(b"in the way")

    with pytest.raises(OSError, match=r"inbox"):
        ReportFolder(tmp_path / "inbox", Inbox()).keep(b"x", NOW)


@story
async def test_a_start_forgets_old_reports_and_origins(tmp_path: Path, sink: Sink) -> None:  # noqa: F811
    old = tmp_path / ReportFolder(tmp_path / "inbox", Inbox()).keep(b"x", NOW - 400 * DAY)
    async with started(tmp_path, sink):
        pass
    with sqlite3.connect(tmp_path / "spool" / "index.sqlite") as index:
        index.execute("INSERT INTO origin VALUES (5, 'a@b', 'shop', '', 's', 'x@d', 5.0)")
    index.close()
    old.parent.mkdir(exist_ok=True)
    old.write_bytes(b"x")

    async with started(tmp_path, sink, is_new=False) as parts:
        await eventually(lambda: parts.core.spool.origins.find(5) is None)
        await eventually(lambda: not old.exists())
