"""Words of messages as hashes: from the relay's side files to Parquet by day, kept as long as promised."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from analytics.learning.words import WordStore
from relay.clock import SystemClock
from relay.content.learned import MOST_WORDS, pack, unpack
from relay.spool.words import WordLog, entries_of

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def hashes(*numbers: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(numbers, np.uint32)


def words(number: int) -> bytes:
    return pack(hashes(number, 2, 1), hashes(), hashes(7), hashes(9, 9))


def log(folder: Path, *messages: tuple[str, datetime], learned: bytes = b"") -> None:
    async def run() -> None:
        journal = WordLog(folder, "mw1", SystemClock())
        await journal.start()
        for number, (name, at) in enumerate(messages):
            journal.note(name, at.timestamp(), learned or words(number))
        await journal.stop()

    asyncio.run(run())


def ids(store: WordStore, *labels: str, since: date = date(2020, 1, 1)) -> list[str]:
    return sorted(store.labelled(dict.fromkeys(labels), since).column("message_id").to_pylist())


def test_words_are_packed_in_order_and_cut_at_a_thousand() -> None:
    data = pack(hashes(*range(900)), hashes(*range(500)), hashes(5), hashes(6, 7), np.array([0.5, 2], np.float32))

    found = unpack(data)

    assert (len(found.shown), len(found.other)) == (900, MOST_WORDS - 900)
    assert found.shown.tolist() == list(range(900))
    assert (found.subject.tolist(), found.structure.tolist()) == ([5], [6, 7])
    assert found.numbers.tolist() == [0.5, 2.0]
    for broken in (b"", data[:-1], data + b"x"):
        with pytest.raises(ValueError, match="bytes"):
            unpack(broken)


def test_what_is_noted_is_in_a_closed_file_and_a_torn_tail_is_left_out(tmp_path: Path) -> None:
    log(tmp_path, ("mw1.1", NOON), ("mw1.2", NOON))

    [path] = tmp_path.glob("*.words")
    whole = list(entries_of(path.read_bytes()))
    torn = list(entries_of(path.read_bytes()[:-3]))
    assert whole == [("mw1.1", NOON.timestamp(), words(0)), ("mw1.2", NOON.timestamp(), words(1))]
    assert torn == whole[:1]


def test_a_file_left_open_by_a_crash_is_gathered(tmp_path: Path) -> None:
    log(tmp_path, ("mw1.1", NOON))
    [path] = tmp_path.glob("*.words")
    path.rename(path.with_name(path.name + ".open"))

    log(tmp_path)

    assert WordStore(tmp_path).take_in() == 1


def test_words_come_into_their_days_once_and_are_found_by_label(tmp_path: Path) -> None:
    store = WordStore(tmp_path)
    log(tmp_path, ("mw1.1", NOON), ("mw1.2", NOON + timedelta(days=1)), ("mw1.3", NOON))

    assert (store.take_in(), store.take_in()) == (3, 0)
    before = ids(store, "mw1.1", "mw1.2", "mw1.9")
    merged = store.compact(date(2026, 11, 25))
    again = store.compact(date(2026, 11, 25))

    assert before == ids(store, "mw1.1", "mw1.2", "mw1.9") == ["mw1.1", "mw1.2"]
    assert (merged, again) == (1, 0)
    assert (tmp_path / "days" / "2026-11-24.parquet").is_file()
    [row] = store.labelled({"mw1.1": None}, date(2020, 1, 1)).to_pylist()
    assert (row["shown"], row["subject"], row["structure"]) == ([0, 2, 1], [7], [9, 9])
    assert ids(store, "mw1.1", "mw1.2", since=date(2026, 11, 25)) == ["mw1.2"]


def test_what_comes_late_joins_its_day_and_a_kill_between_two_steps_doubles_nothing(tmp_path: Path) -> None:
    store, day = WordStore(tmp_path), tmp_path / "days"
    log(tmp_path, ("mw1.1", NOON))
    store.take_in()
    store.compact(date(2026, 11, 26))
    log(tmp_path, ("mw1.2", NOON))
    store.take_in()
    # as if killed after the merge: the draft is whole, the parts are still there under their new name
    whole = day / "2026-11-24.parquet"
    (day / "2026-11-24").rename(day / "2026-11-24.merged")
    whole.with_suffix(".draft").write_bytes(whole.read_bytes())

    store.compact(date(2026, 11, 26))

    assert ids(store, "mw1.1", "mw1.2") == ["mw1.1"]
    assert [path.name for path in day.iterdir()] == ["2026-11-24.parquet"]


def test_unlabelled_words_go_after_14_days_and_labelled_ones_after_180(tmp_path: Path) -> None:
    store = WordStore(tmp_path)
    log(tmp_path, ("mw1.1", NOON), ("mw1.2", NOON), ("mw1.3", NOON + timedelta(days=3)))
    store.take_in()
    today = NOON.date() + timedelta(days=15)
    store.compact(today)

    changed = store.expire(today, 14, 180, ["mw1.2", "mw1.3"])

    assert changed == 1
    assert ids(store, "mw1.1", "mw1.2", "mw1.3") == ["mw1.2", "mw1.3"]
    assert store.expire(NOON.date() + timedelta(days=181), 14, 180, ["mw1.2"]) == 1 + 1
    assert ids(store, "mw1.1", "mw1.2", "mw1.3") == []


def test_a_damaged_file_costs_its_damaged_entries_only(tmp_path: Path) -> None:
    log(tmp_path, ("mw1.1", NOON), ("mw1.2", NOON), learned=b"\x01\x05\x00")

    assert WordStore(tmp_path).take_in() == 0
    assert list(tmp_path.glob("*.words")) == []
