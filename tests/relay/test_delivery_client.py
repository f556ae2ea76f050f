"""Next hops of all kinds: each recipient ends in exactly one outcome per try."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from relay.settings import Route
from relay.spool.store import Flags
from tests.delivering import CONTENT, PREFIX, delivering, delivery_settings, eventually, story
from tests.sink import Manner, Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@story
async def test_a_mail_arrives_as_it_was_spooled(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await room.send("ann@example.net")
        [record] = await room.until(1, "Delivery")

        [mail] = sink.wait_for(1)
        assert mail.content == PREFIX + CONTENT
        assert (mail.mail_from, mail.recipients) == ("joe@example.org", ("ann@example.net",))
        assert (record.code, record.enhanced, record.text, record.attempt) == (250, "2.0.0", "queued as 1", 1)
        assert (record.destination, record.source) == ("127.0.0.1", "127.0.0.1")
        assert record.remote == f"127.0.0.1[127.0.0.1]:{sink.port}"


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n.\r\nnot the end\r\n..\r\n.x\r\n",
        b".first line\r\n",
        b"",
        b"no line end",
        b"dot at a border\r\n" + b"." * 70_000 + b"\r\n",
        b"x" * 76 + b"\r\n.\r\n" * 100_000,
    ],
)
@story
async def test_every_byte_arrives_whatever_the_dots(sink: Sink, tmp_path: Path, body: bytes) -> None:
    content = b"Subject: dots\r\n\r\n" + body
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await room.send("ann@example.net", content=content)
        await room.until(1, "Delivery")

    ended = content if content.endswith(b"\r\n") else content + b"\r\n"
    assert sink.messages[0].content == PREFIX + ended


@story
async def test_a_large_mail_is_streamed_and_others_pass(sink: Sink, tmp_path: Path) -> None:
    content = b"Subject: large\r\n\r\n" + (b"." + b"x" * 75 + b"\r\n") * 100_000
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await room.send("ann@example.net", content=content, keep=False)
        await room.send("bob@example.net")
        await room.until(2, "Delivery")

    assert sorted(len(mail.content) for mail in sink.messages) == [len(PREFIX + CONTENT), len(PREFIX + content)]


@story
async def test_recipients_of_one_message_share_a_transaction_and_get_outcomes_of_their_own(
    sink: Sink, tmp_path: Path
) -> None:
    addresses = ["ann@example.net", "reject-550-5.1.1@example.net", "reject-451-4.3.0@example.net", "bob@other.example"]
    async with delivering(delivery_settings(tmp_path, sink.port, first_retry_seconds=60)) as room:
        await room.send(*addresses)
        await room.until(4)

        assert [record.due_at > record.logged_at for record in room.records("Deferral")] == [True]
        assert room.summary() == {
            "ann@example.net": ["Delivery"],
            "reject-550-5.1.1@example.net": ["Bounce"],
            "reject-451-4.3.0@example.net": ["Deferral"],
            "bob@other.example": ["Delivery"],
        }
    assert [mail.recipients for mail in sink.messages] == [("ann@example.net", "bob@other.example")]


@pytest.mark.parametrize(
    ("address", "kind", "code", "enhanced"),
    [
        ("reject-550-5.1.1", "Bounce", 550, "5.1.1"),
        ("reject-421-4.7.0", "Deferral", 421, "4.7.0"),
        ("reject-354", "Deferral", 451, "4.5.0"),
        ("data-554-5.7.1", "Bounce", 554, "5.7.1"),
        ("data-451-4.3.0", "Deferral", 451, "4.3.0"),
        ("data-421", "Deferral", 421, ""),
        ("data-250", "Deferral", 451, "4.5.0"),
        ("dot-554-5.7.1", "Bounce", 554, "5.7.1"),
        ("dot-452-4.3.1", "Deferral", 452, "4.3.1"),
        ("dot-421-4.3.2", "Deferral", 421, "4.3.2"),
        ("dot-354", "Deferral", 451, "4.5.0"),
        ("drop-rcpt", "Deferral", 451, "4.4.2"),
        ("drop-data", "Deferral", 451, "4.4.2"),
        ("drop-content", "Deferral", 451, "4.4.2"),
        ("drop-dot", "Deferral", 451, "4.4.2"),
        ("latin1", "Bounce", 550, "5.1.1"),
        ("nul", "Bounce", 550, "5.1.1"),
        ("long", "Bounce", 550, "5.1.1"),
        ("lf", "Bounce", 550, "5.1.1"),
        ("odd", "Deferral", 451, "4.5.0"),
        ("notext", "Bounce", 550, ""),
        ("multi", "Bounce", 550, "5.1.1"),
        ("ahead", "Deferral", 451, "4.5.0"),
        ("hang", "Deferral", 451, "4.4.2"),
    ],
)
@pytest.mark.parametrize("extensions", [("PIPELINING", "8BITMIME"), ("8BITMIME",)], ids=["pipelining", "stepwise"])
@story
async def test_a_strange_hop_makes_one_clean_outcome(
    tmp_path: Path, address: str, kind: str, code: int, enhanced: str, extensions: tuple[str, ...]
) -> None:
    patience = 1 if address == "hang" else 10
    settings = {"first_retry_seconds": 60, "host_failure_seconds": 0, "timeout_seconds": patience}
    with Sink(Manner(extensions=extensions)) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port, **settings), stop_seconds=0.5) as room:
            await room.send(f"{address}@example.net")
            [record] = await room.until(1)
            await room.send("next@example.net")  # the hop is used again at once
            await room.until(1, "Delivery")

        assert (type(record).__name__, record.code, record.enhanced) == (kind, code, enhanced)
        assert record.text.isprintable()
        assert len(room.outcomes) == 2
        assert sink.addresses().count("next@example.net") == 1


@story
async def test_a_connection_lost_after_the_final_dot_is_tried_again(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await room.send("drop-dot-once@example.net")
        await room.until(1, "Delivery")

        assert room.summary() == {"drop-dot-once@example.net": ["Deferral", "Delivery"]}
        assert "may arrive twice" in room.records("Deferral")[0].text
        assert [record.attempt for record in room.records()] == [1, 2]


@story
async def test_connections_are_reused_up_to_the_limit(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port, connections=1, messages_per_connection=10)) as room:
        await asyncio.gather(*(room.send(f"u{number}@example.net") for number in range(25)))
        await room.until(25, "Delivery")
        sink.wait_until(lambda: sink.quits >= 2)

    assert sink.sessions == 3
    assert sorted(sink.addresses()) == sorted(f"u{number}@example.net" for number in range(25))


@story
async def test_no_more_connections_than_allowed_are_open_at_once(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port, connections=4)) as room:
        for number in range(40):
            await room.send(f"slow-0.02+{number}@example.net")
        await room.until(40, "Delivery")

    assert sink.most_open_sessions <= 4
    assert len(set(sink.addresses())) == len(sink.addresses()) == 40


@story
async def test_a_hop_that_ends_connections_early_gets_every_mail_once(tmp_path: Path) -> None:
    with Sink(Manner(max_mails=3)) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port, connections=2)) as room:
            for number in range(30):
                await room.send(f"u{number}@example.net")
            await room.until(30, "Delivery")

            assert {"Delivery"} == {type(record).__name__ for record in room.records()}
        assert len(set(sink.addresses())) == len(sink.addresses()) == 30


@story
async def test_a_hop_that_allows_few_connections_gets_few(tmp_path: Path) -> None:
    with Sink(Manner(max_sessions=2)) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port, connections=10)) as room:
            for number in range(30):
                await room.send(f"slow-0.02+{number}@example.net")
            await room.until(30, "Delivery")

            assert len(sink.addresses()) == 30
            assert len(room.records("Deferral")) == 0


@story
async def test_a_hop_that_refuses_some_before_the_first_is_ready_is_not_taken_for_dead(tmp_path: Path) -> None:
    with Sink(Manner(max_sessions=1, delay_seconds=0.2)) as sink:  # who is refused hears so before the other's EHLO
        async with delivering(delivery_settings(tmp_path, sink.port, connections=5)) as room:
            for number in range(7):
                await room.send(f"u{number}@example.net")
            await room.until(7, "Delivery")
            while sink.open_sessions:  # it rests, and says goodbye
                await asyncio.sleep(0.05)
            await room.send("u7@example.net")
            await room.until(8, "Delivery")

            assert sink.most_open_sessions > sink.manner.max_sessions
            assert len(sink.addresses()) == 8
            assert len(room.records("Deferral")) == 0


@story
async def test_recipients_beyond_the_hops_limit_follow_at_once(tmp_path: Path) -> None:
    addresses = [f"u{number}@example.net" for number in range(12)]
    with Sink(Manner(max_recipients=5)) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port, first_retry_seconds=60)) as room:
            await room.send(*addresses)
            await room.until(12, "Delivery")

            assert len(room.records()) == 12
        assert [len(mail.recipients) for mail in sink.messages] == [5, 5, 2]


@story
async def test_a_hop_without_ehlo_is_served(tmp_path: Path) -> None:
    with Sink(Manner(knows_ehlo=False)) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as room:
            await room.send("ann@example.net", "bob@example.net")
            await room.until(2, "Delivery")

        assert [mail.parameters for mail in sink.messages] == [()]


@pytest.mark.parametrize(
    "greeting", [b"554 5.3.2 no service\r\n", b"421 busy\r\n", b"hello\r\n", b"220 a\r\n250 b\r\n"]
)
@story
async def test_a_refused_connection_bounces_nothing(tmp_path: Path, greeting: bytes) -> None:
    with Sink(Manner(greeting=greeting)) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port, first_retry_seconds=60)) as room:
            await room.send("ann@example.net")
            [record] = await room.until(1)

            assert type(record).__name__ == "Deferral"


# ---- what hops can and cannot take ----

_UMLAUT = "Subject: ü\r\n\r\nx\r\n".encode()


@pytest.mark.parametrize(
    ("extensions", "about", "expected"),
    [
        ((), {"content": b"Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n"}, "5.6.3"),
        (("8BITMIME",), {"content": b"Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n"}, "BODY=8BITMIME"),
        (("8BITMIME",), {"content": _UMLAUT, "flags": Flags.SMTPUTF8}, "5.6.7"),
        (
            ("8BITMIME", "SMTPUTF8"),
            {"content": _UMLAUT, "flags": Flags.SMTPUTF8},
            "SMTPUTF8",
        ),
        (("8BITMIME",), {"flags": Flags.SMTPUTF8 | Flags.EIGHT_BIT}, ""),
        (("8BITMIME",), {"mail_from": "jürgen@example.org"}, "5.6.7"),
        (("SIZE 100",), {"content": b"x" * 200 + b"\r\n"}, "5.3.4"),
        (("SIZE 1000",), {"content": b"x" * 200 + b"\r\n"}, f"SIZE={len(PREFIX) + 202}"),
        (("SIZE",), {}, f"SIZE={len(PREFIX) + len(CONTENT)}"),
        (("SIZE 0",), {}, f"SIZE={len(PREFIX) + len(CONTENT)}"),
    ],
)
@story
async def test_what_a_hop_cannot_take_bounces_and_is_never_sent_raw(
    tmp_path: Path, extensions: tuple[str, ...], about: dict[str, Any], expected: str
) -> None:
    with Sink(Manner(extensions=extensions)) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as room:
            await room.send("ann@example.net", **about)
            [record] = await room.until(1)

        if expected.startswith("5."):
            assert (type(record).__name__, record.enhanced, sink.messages) == ("Bounce", expected, [])
        else:
            assert type(record).__name__ == "Delivery"
            assert expected in " ".join(sink.messages[0].parameters) if expected else not sink.messages[0].parameters


# ---- TLS and login ----


def _smarthost(sink: Sink, tmp_path: Path, **delivery: Any) -> Any:
    return delivery_settings(tmp_path, sink.port, mode="smarthost", **delivery)


@story
async def test_tls_is_used_where_it_is_offered(tmp_path: Path, tls: ssl.SSLContext) -> None:
    with Sink(Manner(tls=tls)) as sink:
        async with delivering(_smarthost(sink, tmp_path)) as room:
            for number in range(5):
                await room.send(f"u{number}@example.net")
            records = await room.until(5, "Delivery")

        assert {mail.tls for mail in sink.messages} == {"TLSv1.3"}
        assert all(record.tls.startswith("TLSv1.3 ") for record in records)


@story
async def test_a_sink_is_served_in_clear_text(tmp_path: Path, tls: ssl.SSLContext) -> None:
    with Sink(Manner(tls=tls)) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as room:
            await room.send("ann@example.net")
            await room.until(1, "Delivery")

        assert sink.messages[0].tls == ""


@pytest.mark.parametrize(
    ("manner", "sessions"),
    [
        ({"starttls_reply": b"454 4.7.0 not now\r\n"}, 2),
        ({"starttls_reply": b"\x00\xff garbage\r\n"}, 2),
        ({"starttls_reply": b""}, 2),
        ({"starttls_reply": b"220 go\r\n250 injected\r\n"}, 2),
        ({}, 2),
        ({"stalls_tls": True}, 2),
    ],
    ids=["454", "garbage", "cut", "injected", "broken handshake", "stalled"],
)
@story
async def test_broken_tls_falls_back_to_clear_text(tmp_path: Path, manner: dict[str, Any], sessions: int) -> None:
    with Sink(Manner(breaks_tls=True, **manner)) as sink:
        async with delivering(_smarthost(sink, tmp_path, timeout_seconds=2 if "stalls_tls" in manner else 10)) as room:
            await room.send("ann@example.net")
            await room.until(1, "Delivery")

            assert [mail.tls for mail in sink.messages] == [""]
            assert sink.sessions == sessions
            assert len(room.records()) == 1


@story
async def test_a_broken_handshake_is_remembered(tmp_path: Path) -> None:
    with Sink(Manner(breaks_tls=True)) as sink:
        async with delivering(_smarthost(sink, tmp_path, messages_per_connection=1)) as room:
            await room.send("ann@example.net")
            await room.until(1, "Delivery")
            await room.send("bob@example.net")
            await room.until(2, "Delivery")

            assert sink.sessions == 3


@pytest.mark.parametrize("breaks_tls", [True, False])
@story
async def test_mail_waits_when_tls_is_required_and_missing(tmp_path: Path, breaks_tls: bool) -> None:
    with Sink(Manner(breaks_tls=breaks_tls)) as sink:
        async with delivering(_smarthost(sink, tmp_path, tls="required", first_retry_seconds=60)) as room:
            await room.send("ann@example.net")
            [record] = await room.until(1)

            assert (type(record).__name__, record.enhanced) == ("Deferral", "4.7.5")
        assert sink.messages == []


@pytest.mark.parametrize("mechanisms", ["AUTH PLAIN LOGIN", "AUTH LOGIN", "AUTH=PLAIN"])
@story
async def test_we_log_in_at_the_smarthost(tmp_path: Path, mechanisms: str) -> None:
    with Sink(Manner(login=("relay", "s3cret"), extensions=("PIPELINING", mechanisms))) as sink:
        async with delivering(_smarthost(sink, tmp_path, smarthost_user="relay", smarthost_password="s3cret")) as room:
            await room.send("ann@example.net")
            await room.until(1, "Delivery")

        assert sink.messages[0].user == "relay"


@story
async def test_a_refused_login_makes_mail_wait_and_is_logged_without_the_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Sink(Manner(login=("relay", "right"), extensions=("AUTH PLAIN",))) as sink:
        settings = _smarthost(
            sink, tmp_path, smarthost_user="relay", smarthost_password="wr0ng", first_retry_seconds=60
        )
        async with delivering(settings) as room:
            await room.send("ann@example.net")
            [record] = await room.until(1)

            assert (type(record).__name__, record.category) == ("Deferral", "AuthenticationFailed")
    assert "login refused" in caplog.text
    assert "wr0ng" not in caplog.text


@story
async def test_an_idle_connection_says_goodbye(sink: Sink, tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, sink.port)) as room:
        await room.send("ann@example.net")
        await room.until(1, "Delivery")
        await eventually(lambda: sink.quits == 1 and sink.open_sessions == 0)
        await room.send("bob@example.net")
        await room.until(2, "Delivery")

        assert sink.sessions == 2


@story
async def test_an_account_has_its_own_smarthost_and_others_do_not_see_it(sink: Sink, tmp_path: Path) -> None:
    with Sink(Manner(login=("acme", "s3cret"), extensions=("AUTH PLAIN",))) as own:
        route = Route(account="acme", host="127.0.0.1", port=own.port, mode="smarthost", user="acme", password="s3cret")
        settings = _smarthost(sink, tmp_path, routes=[route])
        async with delivering(settings) as room:
            await room.send("ann@example.net", sender="acme|x-authuser|joe")
            await room.send("bob@example.net", sender="other|x-authuser|joe")
            await room.until(2, "Delivery")

        assert [(mail.user, mail.recipients) for mail in own.messages] == [("acme", ("ann@example.net",))]
        assert [mail.recipients for mail in sink.messages] == [("bob@example.net",)]
