"""Room on the disk comes back: thin segments are copied away, empty ones deleted, and no reader notices."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from relay.clock import SteppedClock
from relay.spool import reclaim, segments
from relay.spool.journal import Journal
from relay.spool.store import Flags, Spool, SpooledMessage, SpooledRecipient
from tests.relay.test_spool import delivered, due, opened, put, until
from tests.relay.test_spool_large import put_large, streamed

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "MAX_BYTES", 10_000)


@asynccontextmanager
async def with_a_thin_segment(folder: Path) -> AsyncIterator[tuple[Spool, Journal, SteppedClock, SpooledRecipient]]:
    """Five messages in one segment, four of them delivered, and the segment sealed."""
    clock = SteppedClock(NOON)
    async with opened(folder, clock=clock) as (spool, journal):
        first, *others = [(await put(spool, journal, b"\r\n%d" % n + b"x" * 2000))[0] for n in range(6)]
        for recipient in others:
            spool.finish(recipient, delivered(journal, recipient))
        await put(spool, journal, b"\r\nthe next segment\r\n")
        yield spool, journal, clock, first


async def reclaimed(spool: Spool, journal: Journal, clock: SteppedClock, done: Callable[[], bool]) -> None:
    """Let time pass and mail come until `done`."""
    async with asyncio.timeout(20):
        while not done():
            clock.advance(reclaim.REST_SECONDS)
            await put(spool, journal, b"\r\nmore\r\n")


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.name[:8]) for path in (folder / "spool").glob("*.seg"))


def test_survivors_move_and_whoever_knew_their_place_still_reads_them(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_a_thin_segment(tmp_path) as (spool, journal, clock, survivor):
            content, old = spool.content(survivor.message), survivor.message.place
            assert numbers(tmp_path)[0] == old.segment

            await reclaimed(spool, journal, clock, lambda: old.segment not in numbers(tmp_path))
            await spool.settle()

            assert spool.content(survivor.message) == content
            assert survivor.message.place.segment != old.segment

    async def after_a_restart() -> None:
        async with opened(tmp_path) as (spool, _):
            assert b"\r\n0" + b"x" * 2000 in [spool.content(r.message) for r in due(spool)]

    asyncio.run(story())
    asyncio.run(after_a_restart())


def test_nothing_moves_before_its_segment_has_rested(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_a_thin_segment(tmp_path) as (spool, journal, clock, survivor):
            clock.advance(reclaim.REST_SECONDS - 1)
            for _ in range(3):
                await put(spool, journal, b"\r\nmore\r\n")

            assert survivor.message.place.segment in numbers(tmp_path)

    asyncio.run(story())


def test_what_moved_is_counted_once_and_goes_from_its_new_place(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_a_thin_segment(tmp_path) as (spool, journal, clock, survivor):
            old = survivor.message.place.segment
            before = spool.counts()
            await reclaimed(spool, journal, clock, lambda: old not in numbers(tmp_path))
            for recipient in [r for r in await _all(spool) if r.id != survivor.id]:
                spool.finish(recipient, delivered(journal, recipient))
            await until(lambda: spool.counts().messages == 1)
            assert before.messages == 2
            assert spool.counts().bytes == survivor.message.place.length

            spool.finish(survivor, delivered(journal, survivor))
            await until(lambda: spool.counts().messages == 0)
            assert (spool.counts().bytes, spool.counts().recipients) == (0, 0)

    async def _all(spool: Spool) -> list[SpooledRecipient]:
        rows = spool._reader.execute("SELECT id FROM recipient").fetchall()
        return [SpooledRecipient(n, _message(n), "x@dest.example", "dest.example") for (n,) in rows]

    asyncio.run(story())


def test_a_damaged_survivor_is_quarantined_and_the_others_move(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        clock = SteppedClock(NOON)
        async with opened(tmp_path, clock=clock) as (spool, journal):
            bad, good, *others = [(await put(spool, journal, b"\r\n%d" % n + b"x" * 1000))[0] for n in range(9)]
            for recipient in others:
                spool.finish(recipient, delivered(journal, recipient))
            path = tmp_path / "spool" / f"{bad.message.place.segment:08d}.seg"
            path.write_bytes(path.read_bytes().replace(b"\r\n0xx", b"\r\n0yy"))

            await reclaimed(spool, journal, clock, lambda: spool.counts().quarantined == 1)
            await spool.settle()
            await reclaimed(spool, journal, clock, lambda: _moved(spool, good))

            assert path.exists()
            assert "message damaged" in caplog.text
            lane = spool.lane(bad.message.sender, bad.destination)
            assert lane is not None
            waiting = {r.id: r for r in spool.page(lane, 4e9)}
            assert (waiting[bad.id].due_unix or 0) - NOON.timestamp() > 24 * 3600

    def _moved(spool: Spool, recipient: SpooledRecipient) -> bool:
        rows = spool._reader.execute("SELECT record_length FROM message WHERE id = ?", (recipient.id,)).fetchall()
        return rows == [(0,)]

    asyncio.run(story())


def test_a_damaged_survivor_that_is_held_stays_and_is_not_tried_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        clock = SteppedClock(NOON)
        async with opened(tmp_path, clock=clock) as (spool, journal):
            (held,) = await put(spool, journal, b"\r\nheld" + b"x" * 1000, is_held=True)
            for recipient in [(await put(spool, journal, b"\r\n%d" % n + b"x" * 1000))[0] for n in range(8)]:
                spool.finish(recipient, delivered(journal, recipient))
            path = spool._segments.path(held.message.place.segment)
            path.write_bytes(path.read_bytes().replace(b"heldxx", b"heldyy"))

            for _ in range(10):
                clock.advance(reclaim.REST_SECONDS)
                await put(spool, journal, b"\r\nmore\r\n")

            assert path.exists()
            assert [m.message_id for m in spool.held()] == [held.message.message_id]
            assert 1 <= caplog.text.count("message damaged") <= 2

    asyncio.run(story())


def test_nothing_is_copied_while_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with with_a_thin_segment(tmp_path) as (spool, journal, clock, survivor):
            old, real, is_full = survivor.message.place.segment, os.pwritev, True

            def full_for_copies(file: int, pieces: Any, offset: int) -> int:
                if is_full and len(pieces) == 1:  # new mail comes with its record, a copy without
                    raise OSError(errno.ENOSPC, "full")
                return real(file, pieces, offset)

            monkeypatch.setattr(os, "pwritev", full_for_copies)
            clock.advance(reclaim.REST_SECONDS)
            for _ in range(3):
                await put(spool, journal, b"\r\nnew mail is not hindered\r\n")
            assert old in numbers(tmp_path)

            is_full = False
            await reclaimed(spool, journal, clock, lambda: old not in numbers(tmp_path))
            assert spool.content(survivor.message)

    asyncio.run(story())


def test_a_large_message_is_counted_and_its_record_is_not_forgotten(tmp_path: Path) -> None:
    async def story() -> str:
        async with opened(tmp_path) as (spool, journal):
            await put(spool, journal, b"\r\nearlier\r\n")
            recipient = await put_large(spool, journal, await streamed(spool))
            assert spool._reader.execute("SELECT message FROM unjournaled").fetchall() == [(recipient.id,)]
            (small, *_) = [(await put(spool, journal, b"\r\nlater\r\n" * 500))[0] for _ in range(3)]
            spool.finish(small, delivered(journal, small))  # what takes the record of the large one to the journal
            await until(lambda: spool._reader.execute("SELECT count(*) FROM unjournaled").fetchone() == (0,))
            before = spool.counts().bytes

            spool.finish(recipient, delivered(journal, recipient))
            await until(lambda: not list((tmp_path / "spool").glob("*.large")))

            assert before - spool.counts().bytes > recipient.message.place.length
            return recipient.message.message_id

    message_id = asyncio.run(story())
    assert any(message_id.encode() in path.read_bytes() for path in (tmp_path / "journal").iterdir())


def test_segments_that_no_row_names_go_at_start(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            await put(spool, journal, b"\r\nkept\r\n")

    asyncio.run(story())
    (tmp_path / "spool" / "00000007.seg").write_bytes(b"written, but the power went before the commit")
    asyncio.run(story())

    assert numbers(tmp_path) == [1, 8]


def _message(number: int) -> SpooledMessage:
    return SpooledMessage(number, f"mw1.{number}", 1, "acme", "", "acme|m|a", "a@acme.example", NOON, Flags.NONE, b"")
