"""Damaged disks: the start goes on, undamaged mail is intact, and what is damaged is reported, never dropped."""

import asyncio
import contextlib
import errno
import json
import os
import random
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.clock import SteppedClock, SystemClock
from relay.events import decode
from relay.spool.journal import Journal
from relay.spool.store import CorruptEntry, Spool, SpooledRecipient, SpoolFull
from tests.relay.test_spool import delivered, due, opened, put

_DAY = 24 * 3600.0
_SETTINGS = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def filled(folder: Path, messages: int = 3, *, rcpts: int = 1) -> list[int]:
    """Messages of 500 bytes with `rcpts` recipients each; the recipients' ids."""

    async def fill() -> list[int]:
        async with opened(folder) as (spool, journal):
            to = tuple(f"r{n}@d.example" for n in range(rcpts))
            return [r.id for n in range(messages) for r in await put(spool, journal, content(n), to=to)]

    return asyncio.run(fill())


def content(number: int) -> bytes:
    return b"\r\n" + b"%03d" % number * 160


def all_of(spool: Spool) -> tuple[dict[int, bytes], set[int]]:
    """Every recipient in any queue: content where it can be read, and the ids of the others."""
    readable, damaged = dict[int, bytes](), set[int]()
    for recipient in [found for lane in spool.waiting() for found in spool.page(lane.id, 4e9, 1000)]:
        try:
            readable[recipient.id] = spool.content(recipient.message)
        except CorruptEntry:
            damaged.add(recipient.id)
    return readable, damaged


@_SETTINGS
@given(data=st.data())
def test_a_segment_altered_anywhere_costs_only_what_lies_there(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("altered")
    ids = filled(folder)
    (segment,) = (folder / "spool").glob("*.seg")
    before = segment.read_bytes()
    start = data.draw(st.integers(0, len(before) - 1))
    end = data.draw(st.integers(start + 1, len(before)))
    segment.write_bytes(before[:start] + b"\0" * (end - start) + before[end:])

    async def start_again() -> None:
        async with opened(folder) as (spool, _):
            readable, damaged = all_of(spool)
            assert set(readable) | damaged == set(ids)
            for number, recipient in enumerate(ids):
                begin = before.find(content(number))
                is_hit = start < begin + len(content(number)) and end > begin
                assert (recipient in damaged) == is_hit

    asyncio.run(start_again())


@_SETTINGS
@given(cut=st.integers(0, 10_000), garbage=st.binary(max_size=50))
def test_a_journal_cut_anywhere_does_not_keep_the_relay_from_starting(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    ids = filled(folder)
    (closed,) = (folder / "journal").glob("*.jsonl")
    whole = closed.read_bytes()
    closed.unlink()
    torn = closed.with_name(closed.name + ".open")
    torn.write_bytes(whole[: max(len(whole) - cut, 0)] + garbage.replace(b"\n", b""))

    async def start_again() -> set[int]:
        async with opened(folder) as (spool, _):
            return set(all_of(spool)[0])

    assert asyncio.run(start_again()) == set(ids)
    kept = closed.read_bytes() if closed.exists() else b""
    assert whole.startswith(kept)
    assert kept.endswith(b"\n") or not kept


@settings(_SETTINGS, max_examples=4)
@given(seed=st.integers(0, 2**32))
def test_an_index_with_a_broken_page_is_salvaged(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folder = tmp_path_factory.mktemp("index")
    ids = filled(folder, 60, rcpts=2)
    path = folder / "spool" / "index.sqlite"
    data = bytearray(path.read_bytes())
    page = random.Random(seed).randrange(1, len(data) // 4096)
    data[page * 4096 : page * 4096 + 4096] = random.Random(seed).randbytes(4096)
    path.write_bytes(data)
    (folder / "spool" / "index.suspect").touch()  # what a relay leaves that met the page while it ran

    async def start_again() -> tuple[dict[int, bytes], set[int]]:
        async with opened(folder) as (spool, journal):
            found = all_of(spool)
            await put(spool, journal, b"\r\nlife goes on\r\n")
            assert spool.counts().recipients == len(found[0]) + len(found[1]) + 1
            return found

    before = path.read_bytes()
    try:
        readable, damaged = asyncio.run(start_again())
    except sqlite3.DatabaseError:  # the page that leads to all messages: nothing can be read, so nothing is touched
        assert path.read_bytes() == before
        return
    lost = folder / "spool" / "index.lost.jsonl"
    listed = {json.loads(line)["id"] for line in lost.read_text().splitlines()} if lost.exists() else set()
    assert damaged == set()
    assert all(text == content((number - ids[0]) // 2) for number, text in readable.items())
    assert set(ids) == set(readable) | listed  # a recipient is in its queue, or named for people
    assert len(listed) <= 70  # what one page of messages holds
    assert not (folder / "spool" / "index.suspect").exists()
    assert list((folder / "spool").glob("index.damaged-*.sqlite"))


def test_recipients_on_a_broken_page_come_back_from_the_records(tmp_path: Path) -> None:
    ids = filled(tmp_path, 40)
    path = tmp_path / "spool" / "index.sqlite"
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'recipient'").fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\x5a" * 4096
    path.write_bytes(data)

    async def start_again() -> set[int]:
        async with opened(tmp_path) as (spool, _):
            return set(all_of(spool)[0])

    assert asyncio.run(start_again()) == set(ids)


def test_a_lost_segment_is_quarantined_for_a_day_and_goes_on_when_it_is_put_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SteppedClock(datetime.now(UTC))
    ids = filled(tmp_path)
    (segment,) = (tmp_path / "spool").glob("*.seg")
    segment.rename(tmp_path / "elsewhere")

    async def start() -> tuple[list[float], int]:
        async with opened(tmp_path, clock=clock, longest_wait_seconds=3600) as (spool, _):
            return [recipient.due_unix or 0.0 for recipient in due(spool)], spool.counts().quarantined

    without = asyncio.run(start())
    assert "segment damaged" in caplog.text
    (tmp_path / "elsewhere").rename(segment)
    restored = asyncio.run(start())

    assert without == ([clock.unix() + _DAY] * len(ids), len(ids))
    assert restored == ([0.0] * len(ids), 0)


def test_a_quarantined_recipient_can_come_to_its_end(tmp_path: Path) -> None:
    filled(tmp_path)
    (segment,) = (tmp_path / "spool").glob("*.seg")
    segment.unlink()

    async def start() -> None:
        async with opened(tmp_path) as (spool, journal):
            for recipient in due(spool):
                spool.finish(recipient, delivered(journal, recipient))
            await spool.settle()
            assert (spool.counts().messages, spool.counts().recipients) == (0, 0)

    asyncio.run(start())


@pytest.mark.parametrize(
    "nonsense", ["rcpts = 'x'", "place = -5", "length = 1 << 40", "received_unix = 1e300", "prefix = 5"]
)
def test_a_row_that_makes_no_sense_hinders_nobody_and_stays(
    tmp_path: Path, nonsense: str, caplog: pytest.LogCaptureFixture
) -> None:
    ids = filled(tmp_path)
    connection = sqlite3.connect(tmp_path / "spool" / "index.sqlite", isolation_level=None)
    connection.execute(f"UPDATE message SET {nonsense} WHERE id = ?", (ids[1],))
    connection.close()

    async def start() -> None:
        async with opened(tmp_path) as (spool, _):
            assert [recipient.id for recipient in due(spool)] == [ids[0], ids[2]]
            await spool.settle()
            assert spool.counts().recipients == 3

    asyncio.run(start())
    assert "makes no sense" in caplog.text


def test_an_index_that_breaks_while_running_stops_the_relay_and_marks_it(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    async def story() -> None:
        async with opened(tmp_path) as (spool, _):
            spool._on_failure = failures.append
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            with pytest.raises(sqlite3.DatabaseError):
                spool._asked(lambda: (_ for _ in ()).throw(error))

    asyncio.run(story())
    assert len(failures) == 1
    assert (tmp_path / "spool" / "index.suspect").exists()
    asyncio.run(_nothing(tmp_path))
    assert not (tmp_path / "spool" / "index.suspect").exists()


async def _nothing(folder: Path) -> None:
    async with opened(folder):
        pass


def test_due_times_of_a_clock_that_ran_ahead_are_drawn_nearer_and_ids_go_on(tmp_path: Path) -> None:
    clock = SteppedClock(datetime(2030, 1, 1, tzinfo=UTC))
    first = 0

    async def ahead() -> None:
        nonlocal first
        async with opened(tmp_path, clock=clock, longest_wait_seconds=3600) as (spool, journal):
            (recipient,) = await put(spool, journal, b"\r\nbody\r\n")
            first = recipient.id
            spool.defer(recipient, clock.unix() + 1800, None)

    async def back() -> None:
        earlier = SteppedClock(datetime(2026, 1, 1, tzinfo=UTC))
        async with opened(tmp_path, clock=earlier, longest_wait_seconds=3600) as (spool, _):
            (lane,) = spool.waiting()
            assert lane.due_unix == earlier.unix() + 3600
            assert spool.reserve(1) > first

    asyncio.run(ahead())
    asyncio.run(back())


def test_a_clock_set_back_while_running_draws_retries_nearer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppedClock(datetime(2030, 1, 1, tzinfo=UTC))

    async def story() -> None:
        async with opened(tmp_path, clock=clock, longest_wait_seconds=3600) as (spool, journal):
            told = asyncio.Event()
            spool.on_rescheduled(told.set)
            (recipient,) = await put(spool, journal, b"\r\nbody\r\n")
            spool.defer(recipient, clock.unix() + 1800, None)
            await spool.settle()

            clock.advance(-7200)
            spool._committer._next_tick = 0.0
            await spool.settle()

            await asyncio.wait_for(told.wait(), 10)
            assert [lane.due_unix for lane in spool.waiting()] == [clock.unix() + 3600]

    asyncio.run(story())


def test_a_read_only_disk_while_running_refuses_mail_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            real, is_read_only = os.pwritev, True

            def write(*arguments: object) -> int:
                if is_read_only:
                    raise OSError(errno.EROFS, "read-only")
                return real(*arguments)  # type: ignore[arg-type]

            monkeypatch.setattr(os, "pwritev", write)
            with pytest.raises(SpoolFull):
                await put(spool, journal, b"\r\nrefused\r\n")
            is_read_only = False
            assert await put(spool, journal, b"\r\ntaken\r\n")

    asyncio.run(story())


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False)
    if made.returncode:
        pytest.skip("may not mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_spool_on_a_read_only_disk_says_so_at_start(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "8m") as disk:
        filled(disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

        async def start() -> None:
            journal = Journal(tmp_path / "journal", "relay", "mw1", SystemClock())
            Spool(disk / "spool", "mw1", journal, lambda error: None)

        with pytest.raises(OSError, match="Read-only file system") as raised:
            asyncio.run(start())
        assert raised.value.filename == str(disk / "spool")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_small_disk_loses_nothing_that_was_taken(tmp_path: Path) -> None:
    async def story(disk: Path) -> None:
        taken: list[SpooledRecipient] = []
        async with opened(disk) as (spool, journal):
            with contextlib.suppress(SpoolFull):
                while True:
                    taken += await put(spool, journal, b"\r\n" + b"x" * 50_000)
            for recipient in taken:
                assert spool.content(recipient.message)
            (disk / "filler").unlink()
            assert await put(spool, journal, b"\r\nafter\r\n")
            assert spool.counts().messages == len(taken) + 1

    with mounted(tmp_path / "disk", "6m") as disk:
        (disk / "filler").write_bytes(b"f" * 2_000_000)
        asyncio.run(story(disk))
        lines = [line for path in (disk / "journal").iterdir() for line in path.read_bytes().splitlines()]
        assert len({decode(line).message_id for line in lines}) >= 3  # type: ignore[attr-defined]
