"""Power loss at any moment: what was answered 250 is there, whatever the disk had not been told to keep."""

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.clock import SteppedClock
from relay.events import Delivery, Reception, Record, decode
from relay.spool import reclaim, segments
from relay.spool.store import CorruptEntry
from tests.power import Recorder, disks
from tests.relay.test_spool import delivered, due, opened, put


def story(folder: Path, messages: int) -> Recorder:
    """Store, finish, defer and reclaim, under the eyes of a recorder; its notes tell what was promised when."""
    recorder = Recorder(folder)
    (folder / "spool").mkdir(parents=True)
    (folder / "journal").mkdir()
    clock = SteppedClock(datetime(2026, 1, 1, tzinfo=UTC))

    async def play() -> None:
        async with opened(folder, clock=clock) as (spool, journal):
            for number in range(messages):
                recipients = await put(spool, journal, _content(number), to=("x@d.example", "y@e.example"))
                message = recipients[0].message
                recorder.tell(("accepted", message.message_id, [r.id for r in recipients], _content(number)))
                for recipient in recipients[: 1 if number % 4 == 0 else 2]:
                    recorder.tell(("finishing", message.message_id, [recipient.id], b""))
                    spool.finish(recipient, delivered(journal, recipient))
                if number % 4 == 0:
                    spool.defer(recipients[1], 1e9, delivered(journal, recipients[1]))
                await spool.settle()
                clock.advance(reclaim.REST_SECONDS)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "MAX_BYTES", 2_500)
        recorder.watch(patch)
        asyncio.run(play())
    return recorder


def check(moment: int, survival: str, folder: Path, recorder: Recorder) -> None:
    """Start on such a disk: nothing that was promised by then is missing. Raises AssertionError."""
    where = f"power lost after step {moment} of {len(recorder.steps)}, {survival}"
    promised: dict[int, tuple[str, bytes]] = {}
    finishing: set[int] = set()
    for step in recorder.steps[:moment]:
        if step.kind == "told":
            kind, message_id, recipients, content = step.note
            if kind == "accepted":
                promised |= dict.fromkeys(recipients, (message_id, content))
            else:
                finishing |= set(recipients)

    async def start() -> dict[int, tuple[str, bytes]]:
        async with opened(folder) as (spool, journal):
            found = {r.id: (r.message.message_id, spool.content(r.message)) for r in due(spool)}
            await put(spool, journal, b"\r\nlife goes on\r\n")
            return found

    found = asyncio.run(start())
    records = _records(folder)
    told = {record.recipient_id for record in records if isinstance(record, Delivery)}
    received = {record.message_id for record in records if isinstance(record, Reception)}
    for recipient, (message_id, content) in promised.items():
        assert message_id in received, f"{where}: {message_id} has no Reception"
        if recipient in found:
            assert found[recipient] == (message_id, content), where
        else:
            assert recipient in finishing, f"{where}: recipient {recipient} of {message_id} is lost"
            assert recipient in told, f"{where}: the outcome of {recipient} is lost"


def _content(number: int) -> bytes:
    return b"Subject: %d\r\n\r\n" % number + b"%d " % number * 250


def _records(folder: Path) -> list[Record]:
    return [decode(line) for path in (folder / "journal").iterdir() for line in path.read_bytes().splitlines()]


def test_nothing_promised_is_lost_whenever_power_is_lost(tmp_path: Path) -> None:
    recorder = story(tmp_path / "run", 12)
    kinds = [step.kind for step in recorder.steps]
    moments = sorted(random.Random(1).sample(range(len(kinds) + 1), 5))

    for state in disks(recorder.steps, tmp_path / "states", moments):
        check(*state, recorder)

    assert "unlink" in kinds  # segments were given back meanwhile
    assert len({step.path for step in recorder.steps if step.kind == "create"}) > 6


def test_a_missing_fsync_would_be_noticed(tmp_path: Path) -> None:
    recorder = story(tmp_path / "run", 4)
    careless = Recorder(recorder.folder)
    careless.steps = [s for s in recorder.steps if s.kind != "sync" or not s.path.endswith(".seg")]

    state = next(disks(careless.steps, tmp_path / "states", [len(careless.steps)]))
    with pytest.raises((AssertionError, CorruptEntry)):
        check(*state, careless)
