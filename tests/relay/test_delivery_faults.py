"""Faults of this machine in the middle of a delivery: nothing is lost, nothing spins, nothing is sent twice."""

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.delivering import delivering, delivery_settings, eventually, story
from tests.sink import Manner, Sink


@contextmanager
def without_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
    spare = []
    try:
        while True:
            try:
                spare.append(os.dup(0))
            except OSError:
                break
        yield
    finally:
        for number in spare:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@story
async def test_without_file_descriptors_mail_is_put_off_and_nothing_spins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as room:
            recipients = await room.store("a@example.net")

            with without_descriptors():
                room.courier.enqueue(recipients, None)
                await room.until(1, "Deferral")
                await asyncio.sleep(0.5)
            await room.until(1, "Delivery")

            assert len([line for line in caplog.records if line.exc_info]) < 10


@story
async def test_a_report_that_is_being_stored_when_delivery_stops_is_waited_for(tmp_path: Path) -> None:
    with Sink(Manner(delay_seconds=0.1)) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as room:
            room.report_seconds = 0.6
            (recipient,) = await room.send("reject-550@example.net")
            await eventually(lambda: room.courier.books.is_in_flight(recipient.id))

            await room.courier.stop(3)

            assert room.summary() == {"reject-550@example.net": ["Bounce"]}
            assert len(room.reports) == 1
