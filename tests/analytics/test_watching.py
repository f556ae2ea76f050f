"""The watch of the journal folder tells of each file once, and of nothing that is not complete."""

from collections.abc import Sequence
from pathlib import Path

from analytics.ingesting.journals import JournalFolder
from analytics.ingesting.watching import JournalWatch
from tests.builders import until


def test_each_complete_file_is_told_once_and_ingestion_is_due(tmp_path: Path) -> None:
    told: list[str] = []
    due: list[int] = []

    def appeared(files: Sequence[Path]) -> None:
        told.extend(path.name for path in files)

    watch = JournalWatch(JournalFolder(tmp_path), appeared, lambda: due.append(len(told)))
    watch.start()
    (tmp_path / "relay-2.jsonl.open").write_text("{")
    (tmp_path / "relay-1.jsonl").write_text("{}\n")
    until(lambda: due == [1], 30)
    (tmp_path / "relay-1.jsonl").unlink()
    (tmp_path / "relay-2.jsonl.open").rename(tmp_path / "relay-2.jsonl")
    until(lambda: due == [1, 2], 30)
    watch.close()

    assert told == ["relay-1.jsonl", "relay-2.jsonl"]


def test_a_failure_ends_no_watch(tmp_path: Path) -> None:
    told: list[str] = []

    def appeared(files: Sequence[Path]) -> None:
        told.extend(path.name for path in files)
        if len(told) == 1:
            raise OSError("for once")

    watch = JournalWatch(JournalFolder(tmp_path), appeared, lambda: None)
    watch.start()
    (tmp_path / "relay-1.jsonl").write_text("{}\n")

    until(lambda: told == ["relay-1.jsonl"] * 2, 30)
    watch.close()
