"""The courier with a real spool: retries, restarts, held senders, reports, a stop in the middle."""

import asyncio
import email
import email.policy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.clock import SteppedClock
from relay.delivery import courier as courier_module
from relay.settings import Route
from tests.builders import free_port
from tests.delivering import CONTENT, Delivering, delivering, delivery_settings, eventually, story
from tests.holding import release
from tests.sink import Sink

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


# ---- due times ----


@story
async def test_mail_stored_with_a_due_time_is_delivered_then_and_not_before(sink: Sink, tmp_path: Path) -> None:
    clock = SteppedClock(NOON)
    async with delivering(delivery_settings(tmp_path, sink.port), clock=clock) as room:
        room.courier.expect(await room.store("late@example.net", due_unix=clock.unix() + 600))
        await room.send("now@example.net")
        await room.until(1)
        clock.advance(599)
        await room.send("then@example.net")
        await room.until(2)
        assert set(room.summary()) == {"now@example.net", "then@example.net"}

        clock.advance(1)

        await room.until(3)
        assert room.summary()["late@example.net"] == ["Delivery"]


# ---- retries ----


@story
async def test_a_deferred_recipient_is_retried_until_it_is_taken(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await room.send("grey@example.net", "dot-once-451@other.example")
        await room.until(2, "Delivery")

        assert room.summary() == {
            "grey@example.net": ["Deferral", "Delivery"],
            "dot-once-451@other.example": ["Deferral", "Delivery"],
        }
        await eventually(lambda: room.spool.counts().recipients == 0)


@story
async def test_the_schedule_holds_on_a_stepped_clock(sink: Sink, tmp_path: Path) -> None:
    clock = SteppedClock(NOON)
    settings = delivery_settings(tmp_path, sink.port, first_retry_seconds=300, max_retry_seconds=14_400)
    async with delivering(settings, clock) as room:
        await room.send("reject-451-4.3.0@example.net")
        waits = []
        for tries in range(1, 5):
            record = (await room.until(tries, "Deferral"))[-1]
            waits.append((record.due_at - clock.now()).total_seconds())
            clock.advance(waits[-1] - 1)
            await asyncio.sleep(0.05)
            assert len(room.records()) == tries
            clock.advance(1)

        assert all(0.8 <= wait / plan <= 1.2 for wait, plan in zip(waits, [300, 600, 1200, 2400], strict=True))


@story
async def test_a_greylisted_recipient_is_tried_six_minutes_later(sink: Sink, tmp_path: Path) -> None:
    clock = SteppedClock(NOON)
    async with delivering(delivery_settings(tmp_path, sink.port, first_retry_seconds=300), clock) as room:
        await room.send("grey@example.net")
        [record] = await room.until(1, "Deferral")

        assert record.category == "Greylisted"
        assert timedelta(minutes=6) <= record.due_at - NOON <= timedelta(minutes=7)


@story
async def test_at_the_end_of_its_lifetime_a_recipient_expires_and_is_reported(sink: Sink, tmp_path: Path) -> None:
    clock = SteppedClock(NOON)
    settings = delivery_settings(tmp_path, sink.port, first_retry_seconds=300, max_retry_seconds=3600, lifetime_hours=2)
    async with delivering(settings, clock) as room:
        await room.send("reject-451-4.3.0@example.net")
        for tries in range(1, 20):
            await room.until(tries)
            if room.records("Expiration"):
                break
            clock.advance(max(0, (room.records()[-1].due_at - clock.now()).total_seconds()))

        kinds = room.summary()["reject-451-4.3.0@example.net"]
        assert kinds == ["Deferral"] * (len(kinds) - 1) + ["Expiration"]
        assert clock.now() == NOON + timedelta(hours=2)
        [(report, to, _)] = room.reports
        assert to == "joe@example.org"
        assert b"Status: 4.4.7" in report


@story
async def test_a_restart_keeps_times_and_attempts(sink: Sink, tmp_path: Path) -> None:
    settings = delivery_settings(tmp_path, sink.port, first_retry_seconds=300)
    async with delivering(settings, SteppedClock(NOON)) as room:
        await room.send("dot-once-451@example.net")
        [record] = await room.until(1, "Deferral")

    clock = SteppedClock(record.due_at - timedelta(seconds=1))
    async with delivering(settings, clock) as room:
        await asyncio.sleep(0.05)
        assert room.outcomes == []
        clock.advance(1)
        [delivery] = await room.until(1, "Delivery")

    assert delivery.attempt == 2
    assert len(sink.messages) == 1


@story
async def test_mail_accepted_before_a_crash_is_delivered_by_the_next_start(sink: Sink, tmp_path: Path) -> None:
    async def accept(room: Delivering) -> None:
        for number in range(300):
            await room.store(f"u{number}@example.net", sender=f"acme|x-authuser|{number % 7}")

    settings = delivery_settings(tmp_path, sink.port)
    async with delivering(settings, before_start=accept) as room:
        assert room.outcomes == []
    async with delivering(settings) as room:
        await room.until(300, "Delivery", 20)

    assert len(set(sink.addresses())) == len(sink.addresses()) == 300


@story
async def test_pages_of_one_lane_follow_each_other_without_repeating(sink: Sink, tmp_path: Path) -> None:
    async def accept(room: Delivering) -> None:
        await asyncio.gather(*(room.store(f"u{number}@example.net") for number in range(700)))

    settings = delivery_settings(tmp_path, sink.port)
    async with delivering(settings, before_start=accept):
        pass
    async with delivering(settings) as room:
        await room.until(700, "Delivery", 20)
        await eventually(lambda: room.spool.counts().recipients == 0)

    assert len(set(sink.addresses())) == len(sink.addresses()) == 700


@story
async def test_what_memory_cannot_take_waits_on_disk(
    sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "_MAX_PER_SENDER", 10)
    async with delivering(delivery_settings(tmp_path, sink.port, connections=2)) as room:
        await asyncio.gather(*(room.send(f"u{number}@example.net") for number in range(120)))
        waiting = room.courier.stats()[0].waiting
        await room.until(120, "Delivery", 20)

    assert waiting <= 60
    assert len(set(sink.addresses())) == len(sink.addresses()) == 120


@story
async def test_contents_beyond_the_memory_for_them_come_from_the_spool(
    sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "_MAX_CONTENT_BYTES", 3 * len(CONTENT))
    async with delivering(delivery_settings(tmp_path, sink.port, connections=1)) as room:
        for number in range(30):
            await room.send(f"u{number}@example.net")
        await room.until(30, "Delivery")

        assert room.courier._memory.content_bytes == room.courier._memory.parcels == 0
    assert len({mail.content for mail in sink.messages}) == 1


# ---- hosts that cannot be reached ----


@story
async def test_a_host_that_is_down_is_left_alone_and_then_served(tmp_path: Path) -> None:
    port = free_port()
    async with delivering(delivery_settings(tmp_path, port, host_failure_seconds=0.5)) as room:
        for number in range(20):
            await room.send(f"u{number}@example.net")
        deferrals = await room.until(20, "Deferral")
        with Sink(port=port) as sink:
            await room.until(20, "Delivery")

            assert len(set(sink.addresses())) == len(sink.addresses()) == 20
    assert {(record.category, record.enhanced) for record in deferrals} == {("NoAnswerFromHost", "4.4.1")}


@story
async def test_one_dead_destination_delays_no_other(sink: Sink, tmp_path: Path) -> None:
    routes = [
        Route(domain="dead.example", host="127.0.0.1", port=free_port()),
        Route(domain="alive.example", host="127.0.0.1", port=sink.port, provider="alive"),
    ]
    settings = delivery_settings(tmp_path, sink.port, routes, mode="direct", first_retry_seconds=60)
    async with delivering(settings) as room:
        await room.send(*(f"u{number}@dead.example" for number in range(5)), "ann@alive.example")
        await room.until(6)

        assert [record.destination for record in room.records("Delivery")] == ["alive"]
        assert {record.destination for record in room.records("Deferral")} == {"dead.example"}
        stats = {stat.destination: stat for stat in room.courier.stats()}
        assert (stats["alive"].delivered, stats["dead.example"].deferred) == (1, 5)


@story
async def test_routes_of_one_provider_share_a_destination(sink: Sink, tmp_path: Path) -> None:
    routes = [
        Route(domain=domain, host="127.0.0.1", port=sink.port, provider="bigmail")
        for domain in ("a.example", "b.example")
    ]
    async with delivering(delivery_settings(tmp_path, sink.port, routes, mode="direct", tls="none")) as room:
        await room.send("ann@a.example", "bob@B.example")
        records = await room.until(2, "Delivery")

        assert {record.destination for record in records} == {"bigmail"}
    assert [mail.recipients for mail in sink.messages] == [("ann@a.example", "bob@B.example")]


@story
async def test_a_sink_takes_everything_even_what_has_a_route(sink: Sink, tmp_path: Path) -> None:
    routes = [Route(domain="a.example", host="127.0.0.1", port=free_port())]
    async with delivering(delivery_settings(tmp_path, sink.port, routes)) as room:
        await room.send("ann@a.example")
        await room.until(1, "Delivery")


# ---- fairness, held senders ----


@story
async def test_a_flood_to_a_slow_hop_delays_a_quiet_sender_by_a_turn(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port, connections=2)) as room:
        flood = [f"slow-0.02+{number}@example.net" for number in range(200)]
        await asyncio.gather(*(room.send(address, sender="acme|x-authuser|flood") for address in flood))
        quiet = await room.store("quiet@example.net", sender="acme|x-authuser|quiet")
        before = len(room.records())
        room.courier.enqueue(quiet, CONTENT)
        await eventually(lambda: "quiet@example.net" in room.summary())

        assert room.courier.stats()[0].waiting > 10
        assert list(room.summary()).index("quiet@example.net") - before <= 5


@story
async def test_a_held_senders_mail_stays_and_leaves_after_release(sink: Sink, tmp_path: Path) -> None:
    sender = "acme|x-authuser|spammer"
    async with delivering(delivery_settings(tmp_path, sink.port, connections=1)) as room:
        await asyncio.gather(*(room.send(f"slow-0.05+{number}@example.net", sender=sender) for number in range(30)))
        await room.until(2, "Delivery")

        held = await room.spool.hold_sender(sender)
        room.courier.forget(sender)
        await room.send("ann@example.net", sender="acme|x-authuser|innocent")
        await eventually(lambda: "ann@example.net" in room.summary())
        delivered = len(room.records("Delivery"))

        assert len(held) >= 10
        assert delivered <= 1 + 30 - len(held) + 1  # the innocent's, what was not parked in time, what was in flight
        await release(room.spool, sender)
        room.courier.wake()
        await room.until(31, "Delivery")
    assert len(set(sink.addresses())) == len(sink.addresses()) == 31


@story
async def test_a_delivery_before_its_final_dot_is_broken_off_when_its_sender_is_held(
    sink: Sink, tmp_path: Path
) -> None:
    sender = "acme|x-authuser|spammer"
    sink.manner.delay_seconds = 0.3  # before each reply: MAIL, RCPT and DATA are under way for a while
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await room.send("ann@example.net", sender=sender)
        await eventually(lambda: sink.sessions == 1)
        await eventually(lambda: room.courier.stats()[0].waiting == 0)  # a connection has it in hand
        await room.spool.hold_sender(sender)
        room.courier.forget(sender)
        await eventually(lambda: sink.open_sessions == 0)

        assert (sink.addresses(), room.records()) == ([], [])
        sink.manner.delay_seconds = 0
        await release(room.spool, sender)
        room.courier.wake()
        await room.until(1, "Delivery")

    assert sink.addresses() == ["ann@example.net"]


@story
async def test_mail_released_while_it_is_in_flight_is_not_sent_twice(sink: Sink, tmp_path: Path) -> None:
    sender = "acme|x-authuser|joe"
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await room.send("slow-0.5@example.net", sender=sender)
        await eventually(lambda: sink.open_sessions == 1)
        await room.spool.hold_sender(sender)
        room.courier.forget(sender)
        await release(room.spool, sender)
        room.courier.wake()
        await room.until(1, "Delivery")
        await room.send("later@example.net", sender=sender)
        await room.until(2, "Delivery")
        await eventually(lambda: room.spool.counts().recipients == 0)

    assert sorted(sink.addresses()) == ["later@example.net", "slow-0.5@example.net"]


# ---- reports ----


@story
async def test_a_report_names_only_the_failed_recipients(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await room.send("ann@example.net", "reject-550-5.1.1@example.net", "grey@example.net")
        await room.until(4)

        [(report, to, about)] = room.reports
        parsed = email.message_from_bytes(report, policy=email.policy.default)
        status = parsed.get_payload()[1].get_payload()
        assert (to, about.message_id) == ("joe@example.org", room.records()[0].message_id)
        assert [part["Final-Recipient"] for part in status[1:]] == ["rfc822; reject-550-5.1.1@example.net"]
        assert b"ann@example.net" not in report


@story
async def test_no_report_about_a_report(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await room.send("reject-550-5.1.1@example.net", mail_from="")
        await room.until(1, "Bounce")
        await eventually(lambda: room.spool.counts().recipients == 0)

        assert room.reports == []


@story
async def test_a_failure_ends_only_when_its_report_is_stored(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        room.fails_reports = True
        await room.send("reject-550-5.1.1@example.net")
        await asyncio.sleep(0.3)
        assert room.outcomes == []
        assert room.spool.counts().recipients == 1

        room.fails_reports = False
        await room.until(1, "Bounce")

        assert len(room.reports) == 1


@story
async def test_a_message_damaged_on_disk_bounces_and_is_not_sent(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        recipients = await room.store("ann@example.net")
        for segment in (tmp_path / "spool").glob("*.seg"):
            segment.write_bytes(b"rubbish" * 100)
        room.courier.enqueue(recipients, None)
        [record] = await room.until(1, "Bounce")

        assert (record.enhanced, record.is_hard) == ("5.3.0", False)
        assert b"5.3.0" in room.reports[0][0]
    assert sink.messages == []


# ---- stop ----


@story
async def test_a_stop_finishes_open_deliveries_and_repeats_nothing(sink: Sink, tmp_path: Path) -> None:
    settings = delivery_settings(tmp_path, sink.port, connections=5)
    async with delivering(settings) as room:
        many = [(f"slow-0.05+{number}@example.net", f"acme|x-authuser|{number % 5}") for number in range(200)]
        await asyncio.gather(*(room.send(address, sender=sender) for address, sender in many))
        await room.until(10, "Delivery")
    first = len(room.records("Delivery"))
    assert sink.open_sessions == 0
    assert first == len(sink.messages) < 200

    async with delivering(settings) as room:
        await room.until(200 - first, "Delivery", 20)

    assert len(set(sink.addresses())) == len(sink.addresses()) == 200
    assert sink.quits == sink.sessions


@story
async def test_a_stop_does_not_wait_for_a_dead_hop_beyond_its_time(sink: Sink, tmp_path: Path) -> None:
    settings = delivery_settings(tmp_path, sink.port, timeout_seconds=60)
    loop = asyncio.get_running_loop()
    async with delivering(settings, stop_seconds=0.3) as room:
        await room.send("hang@example.net")
        await eventually(lambda: sink.open_sessions == 1)
        began = loop.time()

    assert loop.time() - began < 2
