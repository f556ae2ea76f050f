"""Large mail on its way out: in pieces, checked first, and in nobody's way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.body import header_of, outgoing, stuffed
from relay.spool.store import SpooledRecipient
from relay.spool.stored import StoredContent
from tests.delivering import CONTENT, PREFIX, Delivering, delivering, delivery_settings, eventually, story
from tests.sink import Manner, Sink

BODY = b"." + b"".join(b".%075d\r\n" % number for number in range(30_000))
LARGE = b"Subject: large\r\n\r\n" + BODY


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


async def send_large(room: Delivering, *addresses: str, content: bytes = LARGE, **about: str) -> list[SpooledRecipient]:
    """Store a message by a segment of its own, and have it delivered from there."""
    end = content.index(b"\r\n\r\n") + 4
    large = await room.spool.open_large(end)
    await large.write(content[end:])
    await large.seal(content[:end])
    recipients = await room.store(*addresses, content=large, **about)
    room.courier.enqueue(recipients, None)
    return recipients


@given(st.lists(st.sampled_from([b"\r\n", b".", b"..", b"x", b"\r\n."]), max_size=30).map(b"".join), st.integers(1, 7))
def test_dots_are_stuffed_at_every_border(content: bytes, cut: int) -> None:
    assert b"".join(outgoing(content, cut)) == stuffed(content)


@story
async def test_large_mail_arrives_byte_for_byte_and_its_file_goes(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await send_large(room, "ann@example.net", "bob@other.example")
        await room.send("carl@example.net")
        await room.until(3, "Delivery")
        await eventually(lambda: not list((tmp_path / "spool").glob("*.large")))

    contents = {mail.recipients[0]: mail.content for mail in sink.messages}
    assert contents["ann@example.net"] == PREFIX + LARGE
    assert contents["carl@example.net"] == PREFIX + CONTENT
    assert sorted(sink.addresses()) == ["ann@example.net", "bob@other.example", "carl@example.net"]


@story
async def test_many_large_mails_hold_no_more_files_than_connections_need(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port, connections=2)) as room:
        for number in range(30):
            await send_large(room, f"x{number}@example.net", content=b"A: b\r\n\r\n" + BODY[:300_000] + b"\r\n")
        await room.until(30, "Delivery")

    assert len(set(sink.addresses())) == len(sink.addresses()) == 30


@story
async def test_damaged_large_mail_is_reported_and_nothing_of_it_sent(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        end = LARGE.index(b"\r\n\r\n") + 4
        large = await room.spool.open_large(end)
        await large.write(LARGE[end:])
        await large.seal(LARGE[:end])
        recipients = await room.store("ann@example.net", content=large)
        [path] = (tmp_path / "spool").glob("*.large")
        path.write_bytes(path.read_bytes().replace(b"29999\r\n", b"29998\r\n"))
        room.courier.enqueue(recipients, None)
        [record] = await room.until(1, "Bounce")
        [(report, to, _)] = room.reports

    assert (record.code, record.enhanced) == (554, "5.3.0")
    assert to == "joe@example.org"
    assert b"Subject: large" not in report
    assert sink.messages == []


@story
async def test_report_about_a_large_mail_shows_its_header(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await send_large(room, "reject-550-5.1.1@example.net")
        await room.until(1, "Bounce")
        [(report, _, _)] = room.reports

    assert b"Subject: large" in report
    assert len(report) < 10_000


@pytest.mark.parametrize(("body", "is_taken"), [(b"seven bit\r\n", True), ("Grüße\r\n".encode(), False)])
@story
async def test_eight_bit_mail_is_known_without_being_loaded(tmp_path: Path, body: bytes, is_taken: bool) -> None:
    with Sink(Manner(extensions=("PIPELINING",))) as hop:
        async with delivering(delivery_settings(tmp_path, hop.port)) as room:
            await send_large(room, "ann@example.net", content=b"A: b\r\n\r\n" + BODY + body)
            [record] = await room.until(1)

    assert record.code == (250 if is_taken else 554)


@story
async def test_interrupted_large_mail_is_tried_again_whole(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await send_large(room, "drop-dot-once@example.net")
        await room.until(1, "Delivery")

    assert [mail.content for mail in sink.messages] == [PREFIX + LARGE] * 2


@story
async def test_mail_of_a_sender_held_meanwhile_is_not_sent(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port, connections=1)) as room:
        [recipient] = await send_large(room, "slow-1@example.net")
        await eventually(lambda: sink.sessions)
        await send_large(room, "late@example.net")
        await room.spool.hold_sender(recipient.message.sender)
        room.courier.forget(recipient.message.sender)
        await room.until(1, "Delivery")

    assert "late@example.net" not in sink.addresses()


@story
async def test_stop_leaves_what_was_not_sent_to_the_next_start(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await send_large(room, "ann@example.net")
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await eventually(lambda: room.spool.counts().messages == 0)

    assert set(sink.addresses()) == {"ann@example.net"}


def test_header_of_a_stored_content_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(LARGE)

    with StoredContent(path, 0, len(LARGE)) as stored:
        assert header_of(stored) == header_of(LARGE)
