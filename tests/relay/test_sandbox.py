"""The sandbox's addresses behave on purpose, through the real queue, and reach nobody."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.clock import SteppedClock
from relay.sandbox.addresses import Behaviour, behaviour_of, lies_in
from relay.sandbox.complaint import feedback_report
from tests.delivering import delivering, delivery_settings, eventually, story
from tests.sink import Sink

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("bounce@sandbox.test", Behaviour.BOUNCE),
        ("BOUNCE+17@sandbox.test", Behaviour.BOUNCE),
        ("complaint@sandbox.test", Behaviour.COMPLAINT),
        ("slow+a+b@sandbox.test", Behaviour.SLOW),
        ("defer@sandbox.test", Behaviour.DEFER),
        ("bouncer@sandbox.test", Behaviour.DELIVER),
        ("+bounce@sandbox.test", Behaviour.DELIVER),
        ("ann@sandbox.test", Behaviour.DELIVER),
    ],
)
def test_a_local_part_says_what_its_address_does(address: str, expected: Behaviour) -> None:
    assert behaviour_of(address) is expected


def test_only_the_domain_itself_is_the_sandbox() -> None:
    assert lies_in("a@SANDBOX.test", "sandbox.test")
    assert not lies_in("a@mail.sandbox.test", "sandbox.test")
    assert not lies_in("a@sandbox.test.example", "sandbox.test")
    assert lies_in("Sandbox.test", "sandbox.test")
    assert not lies_in("a@notsandbox.test", "sandbox.test")
    assert not lies_in("", "sandbox.test")
    assert not lies_in("a@", "")


def test_a_complaint_has_the_message_s_header_and_the_recipient() -> None:
    report = feedback_report("fbl@relay.example", "complaint@sandbox.test", b"X-Mailweir-Ref: abc\r\n", NOON)

    assert b"report-type=feedback-report" in report
    assert b"Original-Rcpt-To: <complaint@sandbox.test>\r\n" in report
    assert b"text/rfc822-headers\r\n\r\nX-Mailweir-Ref: abc\r\n" in report


@story
async def test_each_address_gets_its_outcome_and_the_next_hop_hears_of_none(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await room.send(*(f"{word}@sandbox.test" for word in ("ann", "bounce", "defer")), "real@example.net")
        await room.until(5)
        summary = room.summary()

    assert summary == {
        "ann@sandbox.test": ["Delivery"],
        "bounce@sandbox.test": ["Bounce"],
        "defer@sandbox.test": ["Deferral", "Delivery"],
        "real@example.net": ["Delivery"],
    }
    (bounce,) = room.records("Bounce")
    assert (bounce.is_hard, bounce.enhanced, bounce.sandbox, bounce.source) == (True, "5.1.1", True, "")
    assert {record.recipient: record.sandbox for record in room.records("Delivery")} == {
        "ann@sandbox.test": True,
        "defer@sandbox.test": True,
        "real@example.net": False,
    }
    assert not any("sandbox" in address for address in sink.addresses())
    assert [to for _, to, _ in room.reports] == ["joe@example.org"]  # a real report to the sender


@story
async def test_slow_takes_mail_after_its_time_and_not_before(sink: Sink, tmp_path: Path) -> None:
    clock = SteppedClock(NOON)
    async with delivering(delivery_settings(tmp_path, sink.port), clock=clock) as room:
        await room.send("slow@sandbox.test")
        await room.send("now@sandbox.test")
        await room.until(1)
        clock.advance(19)
        await room.send("then@sandbox.test")
        await room.until(2)
        assert "slow@sandbox.test" not in room.summary()

        clock.advance(1)

        await room.until(3)
        assert room.summary()["slow@sandbox.test"] == ["Delivery"]


@story
async def test_mail_of_a_sender_held_meanwhile_is_not_taken(sink: Sink, tmp_path: Path) -> None:
    clock = SteppedClock(NOON)
    async with delivering(delivery_settings(tmp_path, sink.port), clock=clock) as room:
        (recipient,) = await room.send("slow@sandbox.test")
        await eventually(lambda: room.courier.books.is_in_flight(recipient.id))

        await room.spool.hold_sender("acme|x-authuser|joe")
        room.courier.forget("acme|x-authuser|joe")
        clock.advance(20)

        await eventually(lambda: not room.courier.books.is_in_flight(recipient.id))
        assert room.summary() == {}


@story
async def test_without_a_sandbox_its_domain_is_like_any_other(tmp_path: Path) -> None:
    with Sink() as sink:
        settings = delivery_settings(tmp_path, sink.port)
        settings = settings.model_copy(update={"sandbox": settings.sandbox.model_copy(update={"domain": ""})})
        async with delivering(settings) as room:
            await room.send("bounce@sandbox.test")
            (record,) = await room.until(1)

        assert (type(record).__name__, record.sandbox) == ("Delivery", False)
        assert "bounce@sandbox.test" in sink.addresses()
