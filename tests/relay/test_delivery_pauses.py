"""Orders by hand about waiting mail: what is paused lies untouched, what is taken out is never tried again."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from relay.delivery.pauses import Pause, Paused, Pauses
from relay.delivery.replies import Category, OwnReply
from relay.spool.census import Selection
from tests.delivering import Delivering, delivering, delivery_settings, eventually, story
from tests.sink import Sink

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
JOE, JIM = "acme|x-authuser|joe", "acme|x-authuser|jim"
GIVEN_UP = OwnReply(554, "5.0.0", "taken out of the queue by admin: wrong list", Category.MESSAGE_EXPIRED)


def pause(pauses: Pauses, kind: Paused, key: str) -> None:
    pauses.put(kind, key, Pause(kind, key, "admin", "full", NOW))


def lift(parts: Delivering, kind: Paused, key: str) -> None:
    parts.pauses.put(kind, key, None)
    parts.courier.wake()


async def waiting(parts: Delivering) -> list[tuple[str, int]]:
    await parts.spool.settle()
    return [(one.recipient, one.attempts) for one in await parts.spool.backlog.choose(Selection(), 100)]


def test_a_pause_is_of_a_destination_an_account_or_a_sender_and_of_nothing_else() -> None:
    pauses = Pauses()
    assert not pauses

    pause(pauses, Paused.DESTINATION, "d.example")
    pause(pauses, Paused.ACCOUNT, "acme")
    pause(pauses, Paused.SENDER, "shop|mailfrom|a@b.example")

    assert pauses
    assert pauses.is_paused("d.example", "other", "other|x|y")
    assert pauses.is_paused("e.example", "acme", "acme|x|y")
    assert pauses.is_paused("e.example", "shop", "shop|mailfrom|a@b.example")
    assert not pauses.is_paused("e.example", "shop", "shop|mailfrom|other")
    assert len(list(pauses)) == 3


@story
async def test_paused_mail_lies_without_a_try_also_over_a_restart_and_leaves_when_resumed(tmp_path: Path) -> None:
    with Sink() as sink:
        settings = delivery_settings(tmp_path, sink.port)
        async with delivering(settings) as parts:
            pause(parts.pauses, Paused.DESTINATION, "d.example")
            await parts.send("a@d.example", "b@e.example")
            await parts.until(1, "Delivery")
            assert await waiting(parts) == [("a@d.example", 0)]

        async def still_paused(parts: Delivering) -> None:
            pause(parts.pauses, Paused.DESTINATION, "d.example")

        async with delivering(settings, before_start=still_paused) as parts:
            await parts.send("c@d.example", "d@e.example")
            await parts.until(1, "Delivery")
            await eventually(lambda: sorted(sink.addresses()) == ["b@e.example", "d@e.example"])
            assert await waiting(parts) == [("a@d.example", 0), ("c@d.example", 0)]

            lift(parts, Paused.DESTINATION, "d.example")
            await parts.until(3, "Delivery")
    assert sorted(sink.addresses()) == ["a@d.example", "b@e.example", "c@d.example", "d@e.example"]


@story
async def test_what_waits_in_memory_stays_here_too_and_goes_once(tmp_path: Path) -> None:
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port, connections=1)) as parts:
            await asyncio.gather(*(parts.send(f"slow-0.05+{number}@d.example", sender=JOE) for number in range(20)))
            await parts.until(2, "Delivery")
            pause(parts.pauses, Paused.SENDER, JOE)
            await parts.send("other@d.example", sender=JIM)
            await eventually(lambda: "other@d.example" in sink.addresses())
            async with asyncio.timeout(20):  # a record is written a little before its row is
                while len(left := await waiting(parts)) + len(parts.records("Delivery")) != 21:
                    await asyncio.sleep(0.01)
            assert {attempts for _, attempts in left} == {0}
            assert len(left) > 10

            lift(parts, Paused.SENDER, JOE)
            await parts.until(21, "Delivery")
    assert len(sink.addresses()) == len(set(sink.addresses())) == 21
    assert parts.records("Deferral") == []


@story
async def test_what_is_bounced_by_hand_is_reported_once_and_never_tried_again(tmp_path: Path) -> None:
    with Sink() as sink:
        settings = delivery_settings(tmp_path, sink.port, connections=1, first_retry_seconds=300, max_retry_seconds=300)
        async with delivering(settings) as parts:
            await parts.send("reject-451-4.2.1@d.example")
            await parts.until(1, "Deferral")
            await asyncio.gather(*(parts.send(f"slow-0.1+{number}@d.example") for number in range(20)))
            await parts.until(1, "Delivery")
            chosen = [one.recipient_id for one in await parts.spool.backlog.choose(Selection(), 100)]
            books = parts.courier.books
            claimed = books.claim(chosen)
            queued = await parts.spool.backlog.still_queued(claimed)
            for recipient in queued:
                books.bounce([recipient], GIVEN_UP, "by-hand")
            await parts.until(len(queued), "Bounce")
            await parts.until(21 - len(queued), "Delivery")

            assert len(queued) >= 16
            assert await waiting(parts) == []
    bounces = {record.recipient for record in parts.records("Bounce")}
    assert "reject-451-4.2.1@d.example" in bounces
    assert bounces & set(sink.addresses()) == set()
    assert len(parts.reports) == len(queued)
    assert b"taken out of the queue by admin: wrong list" in parts.reports[0][0]
    assert {record.rule for record in parts.records("Bounce")} == {"by-hand"}
    assert parts.records("Bounce")[0].told == "sender"


@story
async def test_what_is_being_tried_cannot_be_claimed(tmp_path: Path) -> None:
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            [recipient] = await parts.send("slow-0.2@d.example")
            await eventually(lambda: parts.courier.books.is_in_flight(recipient.id))

            assert parts.courier.books.claim([recipient.id]) == set()
            await parts.until(1, "Delivery")


@story
async def test_a_selection_is_cut_and_retried_mail_is_due_now(tmp_path: Path) -> None:
    with Sink() as sink:
        settings = delivery_settings(tmp_path, sink.port, first_retry_seconds=300, max_retry_seconds=300)
        async with delivering(settings) as parts:
            await parts.send("reject-451-4.2.1+1@d.example", "reject-451-4.2.1+2@e.example")
            await parts.send("reject-451-4.2.1+3@d.example", sender=JIM)
            await parts.until(3, "Deferral")
            await parts.spool.settle()
            backlog = parts.spool.backlog

            async def found(selection: Selection, limit: int = 100) -> list[str]:
                return [one.recipient[-11:] for one in await backlog.choose(selection, limit)]

            assert sorted(await found(Selection())) == ["1@d.example", "2@e.example", "3@d.example"]
            assert await found(Selection(destination="e.example")) == ["2@e.example"]
            assert await found(Selection(sender=JIM)) == ["3@d.example"]
            assert await found(Selection(account="acme", destination="d.example", sender=JOE)) == ["1@d.example"]
            assert await found(Selection(account="acm")) == []
            assert await found(Selection(message=1)) == ["1@d.example", "2@e.example"]
            assert await found(Selection(reseller="isp")) == []
            assert len(await found(Selection(), 2)) == 2

            ids = [one.recipient_id for one in await backlog.choose(Selection(sender=JIM), 10)]
            assert await backlog.make_due(ids, parts.clock.unix()) == 1
            parts.courier.wake()
            await parts.until(4, "Deferral")
    assert parts.summary()["reject-451-4.2.1+3@d.example"] == ["Deferral", "Deferral"]
    assert parts.summary()["reject-451-4.2.1+1@d.example"] == ["Deferral"]
