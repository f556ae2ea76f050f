"""The spool: what was accepted stays until its outcome is on disk, whatever ended the process."""

import asyncio
import errno
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.clock import Clock, SystemClock
from relay.events import Action, Delivery, Rcpt, Reception, Record, decode
from relay.spool import index
from relay.spool.journal import Journal
from relay.spool.store import CorruptEntry, Flags, Spool, SpooledMessage, SpooledRecipient, SpoolFull
from tests.builders import journaled
from tests.holding import release


@asynccontextmanager
async def opened(
    folder: Path, *, clock: Clock | None = None, longest_wait_seconds: float | None = None
) -> AsyncIterator[tuple[Spool, Journal]]:
    journal = Journal(folder / "journal", "relay", "mw1", SystemClock())
    journal.start()
    failures: list[BaseException] = []
    spool = Spool(
        folder / "spool",
        "mw1",
        journal,
        failures.append,
        clock=clock or SystemClock(),
        longest_wait_seconds=longest_wait_seconds,
    )
    spool.start()
    try:
        yield spool, journal
    finally:
        await spool.stop()
        journal.close()
    assert not failures


async def put(
    spool: Spool,
    journal: Journal,
    content: bytes,
    *,
    sender: str = "acme|mailfrom|a@acme.example",
    to: tuple[str, ...] = ("x@dest.example",),
    is_held: bool = False,
    due_unix: float | None = None,
    rule: str = "accept",
    return_domain: str = "",
) -> list[SpooledRecipient]:
    number = spool.reserve(len(to))
    message = SpooledMessage(
        number,
        spool.message_id(number),
        len(to),
        "acme",
        "",
        sender,
        "a@acme.example",
        datetime.now(UTC),
        Flags.NONE,
        b"Received: x\r\n",
        subject="Hello",
        score=0.1,
        rule=rule,
        return_domain=return_domain,
    )
    record = Reception(
        **journal.stamp(),
        message_id=message.message_id,
        account="acme",
        sender=sender,
        sender_kind="mailfrom",
        mail_from="a@acme.example",
        client_ip="192.0.2.1",
        action=Action.HOLD if is_held else Action.ACCEPT,
        rule="accept",
        recipients=[Rcpt(number + n, address) for n, address in enumerate(to)],
        received_at=message.received_at,
    )
    return await spool.store(message, content, to, record, is_held=is_held, due_unix=due_unix)


def delivered(journal: Journal, recipient: SpooledRecipient) -> Delivery:
    message = recipient.message
    return Delivery(
        **journal.stamp(),
        message_id=message.message_id,
        account=message.account,
        sender=message.sender,
        recipient_id=recipient.id,
        recipient=recipient.address,
        destination=recipient.destination,
        attempt=1,
        received_at=message.received_at,
        queued_seconds=0.1,
    )


def due(spool: Spool) -> list[SpooledRecipient]:
    return [found for lane in spool.waiting() for found in spool.page(lane.id, 4e9)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_stored_message_is_waiting_after_a_restart(tmp_path: Path) -> None:
    async def first() -> str:
        async with opened(tmp_path) as (spool, journal):
            recipients = await put(spool, journal, b"Subject: a\r\n\r\nbody\r\n", to=("x@D.example", "y@e.example"))
            return recipients[0].message.message_id

    async def second() -> list[tuple[str, str, bytes]]:
        async with opened(tmp_path) as (spool, _):
            return [(r.address, r.message.message_id, spool.content(r.message)) for r in due(spool)]

    message_id = asyncio.run(first())
    found = asyncio.run(second())

    content = b"Subject: a\r\n\r\nbody\r\n"
    assert [("x@D.example", message_id, content), ("y@e.example", message_id, content)] == sorted(found)


def test_finished_recipient_is_gone_and_its_record_on_disk_first(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            recipients = await put(spool, journal, b"\r\nbody\r\n", to=("x@d.example", "y@d.example"))
            spool.finish(recipients[0], delivered(journal, recipients[0]))
            await until(lambda: spool.counts().recipients == 1)
            kinds = [type(record).__name__ for record in journaled(tmp_path / "journal", Record)]
            assert kinds == ["Reception", "Delivery"]
            assert spool.counts().messages == 1

            spool.finish(recipients[1], delivered(journal, recipients[1]))
            await until(lambda: spool.counts().messages == 0)

    asyncio.run(story())


def test_deferral_keeps_due_time_and_attempts_over_a_restart(tmp_path: Path) -> None:
    async def first() -> None:
        async with opened(tmp_path) as (spool, journal):
            (recipient,) = await put(spool, journal, b"\r\nbody\r\n")
            spool.defer(recipient, 2e9, delivered(journal, recipient))

    async def second() -> None:
        async with opened(tmp_path) as (spool, _):
            (lane,) = spool.waiting()
            assert lane.due_unix == 2e9
            assert spool.page(lane.id, 1e9) == []
            assert [recipient.attempts for recipient in spool.page(lane.id, 3e9)] == [1]

    asyncio.run(first())
    asyncio.run(second())


def test_a_recipients_own_prefix_and_the_way_out_outlive_a_restart(tmp_path: Path) -> None:
    async def story() -> list[SpooledRecipient]:
        async with opened(tmp_path) as (spool, journal):
            number = spool.reserve(2)
            message = SpooledMessage(
                number,
                spool.message_id(number),
                2,
                "acme",
                "",
                "s",
                "a@acme.example",
                datetime.now(UTC),
                Flags.NONE,
                b"Received: x\r\n",
                pool="suspect",
                return_domain="bounce.acme.example",
            )
            record = Reception(
                **journal.stamp(),
                message_id=message.message_id,
                account="acme",
                sender="s",
                sender_kind="mailfrom",
                mail_from="a@acme.example",
                client_ip="192.0.2.1",
                action=Action.ACCEPT,
                rule="accept",
                received_at=message.received_at,
            )
            to = ("x@dest.example", "y@dest.example")
            await spool.store(message, b"\r\n", to, record, is_held=False, prefixes=(b"For: x\r\n",))
        async with opened(tmp_path) as (spool, _):
            (lane,) = spool.waiting()
            return spool.page(lane.id, 1e12)

    first, second = asyncio.run(story())

    assert [first.prefix, second.prefix] == [b"For: x\r\n", b"Received: x\r\n"]
    assert (first.message.pool, first.message.return_domain) == ("suspect", "bounce.acme.example")


def test_mail_with_a_due_time_keeps_it_over_a_restart_and_is_parked_like_the_rest(tmp_path: Path) -> None:
    late = "acme|x-authuser|late"

    async def first() -> None:
        async with opened(tmp_path) as (spool, journal):
            await put(spool, journal, b"\r\nlate\r\n", sender=late, due_unix=2e9)
            await put(spool, journal, b"\r\nheld\r\n", sender=late, due_unix=3e9, is_held=True)

    async def second() -> None:
        async with opened(tmp_path) as (spool, _):
            (lane,) = spool.waiting()
            assert (lane.sender, lane.due_unix) == (late, 2e9)
            assert spool.page(lane.id, 2e9 - 1) == []
            assert [row.attempts for row in spool.page(lane.id, 2e9)] == [0]

            await spool.hold_sender(late)

            assert spool.waiting() == []
            assert len(await release(spool, late)) == 2

    asyncio.run(first())
    asyncio.run(second())


def test_held_mail_waits_for_release_and_other_senders_do_not(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            await put(spool, journal, b"\r\nspam\r\n", sender="acme|x-authuser|evil", is_held=True)
            await put(spool, journal, b"\r\nspam2\r\n", sender="acme|x-authuser|evil")
            await put(spool, journal, b"\r\nham\r\n", sender="acme|x-authuser|good")

            parked = await spool.hold_sender("acme|x-authuser|evil")
            assert len(parked) == 1
            assert len(spool.held("acme|x-authuser|evil")) == 2
            assert spool.held("acme|x-authuser|good") == []
            assert due(spool) == []

            released = await release(spool, "acme|x-authuser|evil")
            assert len(released) == 2
            assert {b"\r\nspam\r\n", b"\r\nspam2\r\n"} == {spool.content(r.message) for r in due(spool)}

    asyncio.run(story())


def test_dropped_mail_is_gone(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            (recipient,) = await put(spool, journal, b"\r\nspam\r\n", is_held=True)
            (kept,) = await put(spool, journal, b"\r\nkept\r\n", is_held=True)

            dropped = await spool.parked.drop([recipient.message.id], [])

            assert dropped == [recipient.message.id]
            assert [kept.message.message_id] == [held.message_id for held in spool.held()]

    asyncio.run(story())


def test_full_disk_refuses_and_recovers_without_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            (before,) = await put(spool, journal, b"\r\nbefore\r\n")
            real = os.pwritev
            monkeypatch.setattr(os, "pwritev", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
            with pytest.raises(SpoolFull):
                await put(spool, journal, b"\r\nrefused\r\n")
            spool.finish(before, delivered(journal, before))

            monkeypatch.setattr(os, "pwritev", real)
            await put(spool, journal, b"\r\nafter\r\n")

            await until(lambda: spool.counts().messages == 1)

    asyncio.run(story())


def test_spool_is_behind_while_a_hundred_outcomes_wait_for_the_disk(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            many = await put(spool, journal, b"\r\nbody\r\n", to=tuple(f"x{n}@d.example" for n in range(100)))
            is_free = threading.Event()
            blocked = asyncio.ensure_future(spool._call(lambda *_: is_free.wait(10)))
            for recipient in many[:99]:
                spool.finish(recipient, delivered(journal, recipient))
            assert not spool.is_behind
            spool.finish(many[99], delivered(journal, many[99]))
            assert spool.is_behind

            is_free.set()
            assert await blocked
            await spool.settle()

            assert not spool.is_behind
            assert spool.counts().messages == 0

    asyncio.run(story())


def test_damaged_bytes_are_found_at_delivery(tmp_path: Path) -> None:
    async def first() -> None:
        async with opened(tmp_path) as (spool, journal):
            await put(spool, journal, b"\r\noriginal\r\n")

    async def second() -> None:
        async with opened(tmp_path) as (spool, _):
            with pytest.raises(CorruptEntry):
                spool.content(due(spool)[0].message)

    asyncio.run(first())
    (segment,) = (tmp_path / "spool").glob("*.seg")
    segment.write_bytes(segment.read_bytes().replace(b"original", b"altered!"))
    asyncio.run(second())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 4000))
def test_spool_starts_whatever_was_cut_off_a_segment(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("cut")

    async def first() -> None:
        async with opened(folder) as (spool, journal):
            for number in range(3):
                await put(spool, journal, b"\r\n" + b"%d" % number * 500 + b"\r\n")

    async def second() -> int:
        async with opened(folder) as (spool, _):
            readable = 0
            for recipient in due(spool):
                try:
                    readable += bool(spool.content(recipient.message))
                except CorruptEntry:
                    pass
            assert len(due(spool)) == 3  # nothing is dropped silently
            return readable

    asyncio.run(first())
    (segment,) = (folder / "spool").glob("*.seg")
    size = segment.stat().st_size
    os.truncate(segment, max(size - cut, 0))
    readable = asyncio.run(second())

    assert readable == 3 or cut > 0


def test_ids_are_never_given_twice(tmp_path: Path) -> None:
    async def reserved() -> int:
        async with opened(tmp_path) as (spool, _):
            return spool.reserve(5)

    first, second = asyncio.run(reserved()), asyncio.run(reserved())

    assert second >= first + 5


_CRASHER = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.relay.test_spool import opened, put

async def story():
    async with opened(Path(sys.argv[1])) as (spool, journal):
        async def one(number):
            (recipient,) = await put(spool, journal, b"\\r\\nmessage %d\\r\\n" % number)
            print(recipient.message.message_id, flush=True)
        tasks = [asyncio.create_task(one(number)) for number in range(400)]
        await asyncio.wait(tasks[:150])
        os.kill(os.getpid(), 9)

asyncio.run(story())
"""


def test_kill_9_loses_no_acknowledged_message_and_no_reception_record(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parents[2])
    crashed = subprocess.run(
        [sys.executable, "-c", _CRASHER, str(tmp_path), root], stdout=subprocess.PIPE, text=True, check=False, cwd=root
    )
    acknowledged = set(crashed.stdout.split())

    async def survivors() -> set[str]:
        async with opened(tmp_path) as (spool, _):
            return {
                recipient.message.message_id for lane in spool.waiting() for recipient in spool.page(lane.id, 4e9, 1000)
            }

    found = asyncio.run(survivors())
    journaled = {
        decode(line).message_id
        for path in (tmp_path / "journal").glob("*.jsonl")
        for line in path.read_bytes().splitlines()
    }
    assert crashed.returncode == -9
    assert len(acknowledged) >= 150
    assert acknowledged <= found
    assert found <= journaled


def test_empty_segments_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.spool.segments.MAX_BYTES", 10_000)

    async def story() -> None:
        async with opened(tmp_path) as (spool, journal):
            for _ in range(10):
                (recipient,) = await put(spool, journal, b"\r\n" + b"x" * 5000 + b"\r\n")
                spool.finish(recipient, delivered(journal, recipient))
                await until(lambda: spool.counts().messages == 0)

    asyncio.run(story())

    assert len(list((tmp_path / "spool").glob("*.seg"))) <= 3


def test_waiting_reads_one_due_time_per_lane(tmp_path: Path) -> None:
    connection = index.connect(tmp_path / "index.sqlite")
    lane = index.lane_id(connection, "s", "d")
    rows = [(number, number, lane, "x@d", float(number), 0, index.QUEUED, "", None) for number in range(1, 10)]
    index.insert_recipients(connection, rows)

    assert index.lanes_waiting(connection) == [(lane, "s", "d", 1.0)]
    connection.close()
