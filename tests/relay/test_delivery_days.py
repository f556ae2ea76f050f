"""Some days of delivery to receivers that behave like the large providers; bench.days plays a month of the same."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from analytics.simulation.timelapse import LoopClock, TimeLapse
from bench.days import Month, memory_folder, play, refuses
from bench.days_figures import Figures
from bench.days_half import POOLS, SOURCES, running
from bench.days_picture import draw
from bench.days_traffic import SENDERS, Calendar, Order
from relay.clock import SteppedClock
from relay.delivery.egress.sources import SourceState
from relay.delivery.shaping.providers import load_providers
from relay.settings import Delivery
from tests.nameserver import NameServer
from tests.personas import GOOGLE_RATE, HOUR, OUTLOOK_BLOCK, Book, Gate, Incident, personas
from tests.referee import Visit

START = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def figures() -> Figures:
    incidents = (
        refuses("google", "new1", 2 + 8 / 24, 2 + 16 / 24, GOOGLE_RATE, 600.0),
        refuses("outlook", "old1", 1 + 8 / 24, 2 + 4 / 24, OUTLOOK_BLOCK, 4 * HOUR),
    )
    month = Month(Calendar(3, 220.0), scale=0.02, seed=5, incidents=incidents)
    with memory_folder() as folder:
        return play(month, folder)


@pytest.mark.xdist_group("delivery-days")
def test_three_days_keep_to_every_plan_and_limit_and_end_every_message(figures: Figures) -> None:
    assert figures.problems == []
    assert figures.recipients == sum(figures.ended.values()) > 500
    assert {"Delivery", "Bounce", "Expiration"} == set(figures.ended)
    assert 47 < figures.longest_hours < 49


@pytest.mark.xdist_group("delivery-days")
def test_new_addresses_climb_where_their_days_were_clean(figures: Figures) -> None:
    stages = {(row.day, row.source, row.provider): row.stage for row in figures.rows}

    assert [stages[day, "new2", "google"] for day in (1, 2, 3)] == [1, 2, 3]
    assert [stages[day, "new1", "google"] for day in (1, 2, 3)] == [1, 2, 2]


@pytest.mark.xdist_group("delivery-days")
def test_a_blocked_address_rests_longer_each_time_and_comes_back(figures: Figures) -> None:
    rows = {(row.day, row.source): row for row in figures.rows if row.provider == "outlook"}

    assert rows[1, "old1"].resting > 4
    assert 1 <= rows[1, "old1"].refused + rows[2, "old1"].refused <= 4
    assert rows[1, "old2"].resting == rows[3, "old1"].resting == 0
    assert rows[3, "old1"].sent > 0


@pytest.mark.xdist_group("delivery-days")
def test_the_picture_shows_each_warming_address(figures: Figures) -> None:
    picture = draw(figures)

    assert "new1 to google" in picture
    assert "new2 to others" in picture
    assert "old1" not in picture


def test_mail_that_nobody_may_send_expires_and_is_not_late_by_an_hour(tmp_path: Path) -> None:
    async def wait_in_vain() -> tuple[list[str], float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, TimeLapse)
        clock = LoopClock(START, loop)
        async with (
            NameServer(
                "gone.example. 300 IN MX 10 mx.gone.example.\nmx.gone.example. 300 IN A 127.0.1.1"
            ).open() as names,
            running(tmp_path, clock, loop, 1.0, nameservers=[names.address], private_networks=["127.0.0.0/8"]) as half,
        ):
            half.egress.take_up([replace(one, state=SourceState.QUARANTINED) for one in SOURCES], POOLS)
            await half.send(Order(0.0, 1, SENDERS[0], ("user@gone.example",)))
            await clock.sleep(49 * HOUR)
            return half.ended[1, "user@gone.example"], half.longest_seconds

    with asyncio.Runner(loop_factory=TimeLapse) as runner:
        ended, seconds = runner.run(wait_in_vain())

    assert ended == ["Expiration"]
    assert 48 * HOUR <= seconds < 48.1 * HOUR


def test_a_gate_notices_broken_promises() -> None:
    clock, book = SteppedClock(START), Book()
    google = next(one for one in personas() if one.name == "google")
    gate = Gate(google, load_providers(None, Delivery()).named("google"), clock, book)
    now = clock.unix()
    gate.expect({}, 10, [Incident("google", "127.0.0.2", now, now + 60, GOOGLE_RATE, 600.0)])
    visits = [Visit("127.0.0.2", is_tls=True) for _ in range(5)]
    for visit in visits:
        gate.came(visit)

    assert gate.mail(visits[0], "a@example.org").startswith(b"421 4.7.28 ")
    assert not book.faults
    clock.advance(300)
    gate.mail(visits[0], "a@example.org")
    assert list(book.faults) == ["google: 127.0.0.2 came back 300 s after it was told to stop"]
    gate.came(Visit("127.0.0.2"))
    gate.mail(Visit("127.0.0.3"), "a@example.org")
    assert {"google: 6 connections from 127.0.0.2", "google: 6 connections in total"} < set(book.faults)
    assert "google: no TLS from 127.0.0.3" in book.faults


def test_a_gate_refuses_more_than_an_address_has_shown() -> None:
    clock, book = SteppedClock(START), Book()
    yahoo = next(one for one in personas() if one.name == "yahoo")
    gate = Gate(yahoo, load_providers(None, Delivery()).named("yahoo"), clock, book)
    gate.expect({"127.0.0.2": 1e9}, 2, [])

    new = [gate.mail(Visit("127.0.0.4"), "a@example.org") for _ in range(7)]
    old = [gate.mail(Visit("127.0.0.2"), "a@example.org") for _ in range(7)]

    assert new[:5] == [b""] * 5
    assert new[5].startswith(b"421 4.7.0 [TSS04] Messages from 127.0.0.4 ")
    assert old == [b""] * 7


def test_time_jumps_only_while_nothing_moves() -> None:
    loop = TimeLapse()
    woken: list[float] = []
    loop.call_later(86_400, lambda: woken.append(loop.time()))
    loop.call_later(90_000, loop.stop)
    answers = iter([True, True, False])
    loop.is_busy = lambda: next(answers, False)

    loop.run_forever()
    loop.close()

    assert loop.jumps == 2
    assert [pytest.approx(86_400)] == woken
    assert next(answers, None) is None
