"""Large messages in the spool: a segment of their own, on disk before anybody is told, gone with their row."""

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.events import Action, Reception, decode
from relay.spool.journal import Journal
from relay.spool.large import LARGE_BYTES, LARGE_FROM, LargeFile
from relay.spool.store import CorruptEntry, Flags, Spool, SpooledMessage, SpooledRecipient, SpoolFull
from tests.relay.test_spool import delivered, due, opened, put, until

HEAD = b"Subject: large\r\nX-AuthUser: joe\r\n\r\n"
KEPT = b"Subject: large\r\n\r\n"
BODY = b"".join(b"%076d\r\n" % number for number in range(5_000))


async def streamed(spool: Spool, head: bytes = HEAD, body: bytes = BODY) -> LargeFile:
    large = await spool.open_large(len(head))
    for at in range(0, len(body), 100_000):
        await large.write(body[at : at + 100_000])
    return large


async def put_large(spool: Spool, journal: Journal, large: LargeFile, *, is_held: bool = False) -> SpooledRecipient:
    """Seal and store a large message."""
    if not large.is_sealed:
        await large.seal(KEPT)
    number = spool.reserve(1)
    message = SpooledMessage(
        id=number,
        message_id=spool.message_id(number),
        rcpts=1,
        account="acme",
        reseller="",
        sender="acme|mailfrom|a@acme.example",
        mail_from="a@acme.example",
        received_at=datetime.now(UTC),
        flags=Flags.NONE,
        prefix=b"Received: x\r\n",
    )
    record = Reception(
        **journal.stamp(),
        message_id=message.message_id,
        account="acme",
        sender=message.sender,
        sender_kind="mailfrom",
        mail_from=message.mail_from,
        client_ip="192.0.2.1",
        action=Action.ACCEPT,
        rule="accept",
        received_at=message.received_at,
    )
    [recipient] = await spool.store(message, large, ["x@d.example"], record, is_held=is_held)
    return recipient


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "spool").glob("*.large"))


def receptions(folder: Path) -> Iterator[str]:
    for path in (folder / "journal").iterdir():
        for line in path.read_bytes().splitlines():
            record = decode(line)
            if isinstance(record, Reception):
                yield record.message_id


def test_large_message_is_whole_after_a_restart_without_what_was_cut_from_its_header(tmp_path: Path) -> None:
    async def first() -> None:
        async with opened(tmp_path) as (spool, journal):
            recipient = await put_large(spool, journal, await streamed(spool))
            assert recipient.message.place.segment >= LARGE_FROM
            assert recipient.message.size_bytes == len(b"Received: x\r\n" + KEPT + BODY)

    async def second() -> bytes:
        async with opened(tmp_path) as (spool, _):
            [recipient] = due(spool)
            assert spool.content(recipient.message) == KEPT + BODY
            assert spool.beginning(recipient.message, 9) == KEPT[:9]
            with await spool.open(recipient.message) as content:
                assert content.isascii()
                return b"".join(content.pieces(size=1000))

    asyncio.run(first())

    assert asyncio.run(second()) == KEPT + BODY


def test_file_goes_with_the_last_recipient(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            recipient = await put_large(spool, journal, await streamed(spool))
            assert len(files(tmp_path)) == 1
            spool.finish(recipient, delivered(journal, recipient))
            await until(lambda: files(tmp_path) == [])

    asyncio.run(story())


def test_file_of_dropped_mail_goes_and_that_of_held_mail_stays(tmp_path: Path) -> None:
    async def first() -> None:
        async with opened(tmp_path) as (spool, journal):
            await put_large(spool, journal, await streamed(spool), is_held=True)

    async def second() -> None:
        async with opened(tmp_path) as (spool, journal):
            dropped = await put_large(spool, journal, await streamed(spool), is_held=True)
            await spool.parked.drop([dropped.message.id], [])
            await until(lambda: len(files(tmp_path)) == 1)
            assert len(spool.held()) == 1

    asyncio.run(first())
    asyncio.run(second())


def test_message_that_is_not_kept_leaves_no_file(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (spool, _):
            large = await streamed(spool)
            writing = asyncio.create_task(large.write(b"x" * 1_000_000))
            await asyncio.sleep(0)
            writing.cancel()  # the client leaves while a thread writes
            large.close()
            (await streamed(spool)).close()
            await until(lambda: files(tmp_path) == [])
            with pytest.raises(SpoolFull):
                await large.write(b"too late")

    asyncio.run(story())


def test_full_disk_at_any_step_refuses_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            for step in ("pwrite", "fdatasync"):
                large = await streamed(spool)
                with monkeypatch.context() as patch:
                    patch.setattr(os, step, full)
                    with pytest.raises(SpoolFull):
                        await put_large(spool, journal, large)
                large.close()
            sealed = await streamed(spool)
            await sealed.seal(KEPT)
            with monkeypatch.context() as patch:  # its Reception record finds no room
                patch.setattr(os, "pwrite", full)
                with pytest.raises(SpoolFull):
                    await put_large(spool, journal, sealed)
            sealed.close()
            await until(lambda: files(tmp_path) == [])

            await put_large(spool, journal, await streamed(spool))
            assert spool.counts().messages == len(files(tmp_path)) == 1

    asyncio.run(story())


@pytest.mark.parametrize("damage", ["altered", "short", "gone"])
def test_damage_is_found_before_the_first_byte_goes_out(tmp_path: Path, damage: str) -> None:
    async def first() -> None:
        async with opened(tmp_path) as (spool, journal):
            await put_large(spool, journal, await streamed(spool))

    async def second() -> None:
        async with opened(tmp_path) as (spool, _):
            with pytest.raises(CorruptEntry):
                await spool.open(due(spool)[0].message)

    asyncio.run(first())
    [path] = (tmp_path / "spool").glob("*.large")
    match damage:
        case "altered":
            path.write_bytes(path.read_bytes().replace(b"4999\r\n", b"4998\r\n"))
        case "short":
            os.truncate(path, LARGE_BYTES)
        case _:
            path.unlink()
    asyncio.run(second())


def test_small_message_of_an_earlier_time_is_read_in_pieces_too(tmp_path: Path) -> None:
    async def story() -> bytes:
        async with opened(tmp_path) as (spool, journal):
            [recipient] = await put(spool, journal, b"\r\n" + BODY)
            with await spool.open(recipient.message) as content:
                return b"".join(content.pieces())

    assert asyncio.run(story()) == b"\r\n" + BODY


def test_start_removes_what_nobody_committed_and_reuses_no_number(tmp_path: Path) -> None:
    async def first() -> None:
        async with opened(tmp_path) as (spool, journal):
            await put_large(spool, journal, await streamed(spool))

    async def second() -> int:
        async with opened(tmp_path) as (spool, journal):
            assert len(files(tmp_path)) == 1
            recipient = await put_large(spool, journal, await streamed(spool))
            return recipient.message.place.segment

    asyncio.run(first())
    (tmp_path / "spool" / f"{LARGE_FROM + 7}.large").write_bytes(b"half a message")
    [committed] = [path for path in (tmp_path / "spool").glob("*.large") if path.stat().st_size > 100]
    number = int(committed.stem)

    assert asyncio.run(second()) > number


_CRASHER = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.relay.test_spool import opened, put
from tests.relay.test_spool_large import put_large, streamed

async def story():
    async with opened(Path(sys.argv[1])) as (spool, journal):
        async def one(number):
            if number % 3:
                (recipient,) = await put(spool, journal, b"\\r\\nsmall %d\\r\\n" % number)
            else:
                recipient = await put_large(spool, journal, await streamed(spool))
            print(recipient.message.message_id, flush=True)
        tasks = [asyncio.create_task(one(number)) for number in range(60)]
        done = 0
        for task in asyncio.as_completed(tasks):
            await task
            done += 1
            if done == 30:
                os.kill(os.getpid(), 9)

asyncio.run(story())
"""


def test_kill_9_between_small_and_large_loses_neither_mail_nor_record(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parents[2])
    crashed = subprocess.run(
        [sys.executable, "-c", _CRASHER, str(tmp_path), root], stdout=subprocess.PIPE, text=True, check=False, cwd=root
    )
    acknowledged = set(crashed.stdout.split())

    async def survivors() -> set[str]:
        async with opened(tmp_path) as (spool, _):
            recipients = due(spool)
            assert len(files(tmp_path)) == sum(item.message.place.segment >= LARGE_FROM for item in recipients)
            for recipient in recipients:
                (await spool.open(recipient.message)).close()
            return {recipient.message.message_id for recipient in recipients}

    found = asyncio.run(survivors())
    assert crashed.returncode == -9
    assert len(acknowledged) >= 30
    assert acknowledged <= found <= set(receptions(tmp_path))
