"""What comes back to our return paths: taken from anybody, forwarded to who sent the message, and nothing else is."""

import asyncio
import contextlib
import smtplib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account, AllowedNetwork
from relay.clock import SteppedClock, SystemClock
from relay.delivery.queues import Parcel
from relay.delivery.verp import Key, Traced
from relay.domains.keys import Domain
from relay.events import Inbound, Reception
from relay.policy.decisions.decision import Effect, Proposal
from relay.reply import RelayError
from relay.returns.paths import ReturnPaths
from relay.running.node import _prepare, _relay
from relay.running.parts import Parts
from relay.settings import Content, Control, Delivery, Inbox, Node, Settings, Smtp, Verp, Web
from relay.spool.store import Flags, SpooledMessage, SpooledRecipient
from tests.builders import ADMIN, Installation, journaled
from tests.delivering import eventually, story
from tests.relay.test_verp import NOW, flipped
from tests.sink import Sink

DOMAIN = "bounce.shop.example"
SHOP = Account("shop", domains=("shop.example",))
HOST = Account("hosting", shared_host=True, domains=("shop.example",))
LETTER = b"From: shop@shop.example\r\nTo: x@d.example\r\nSubject: order\r\n\r\nThank you.\r\n"
REPORT = (
    b"From: Mail Delivery <mailer-daemon@d.example>\r\nTo: <b+x@bounce.shop.example>\r\nSubject: Undelivered\r\n"
    b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\nMIME-Version: 1.0\r\n\r\n'
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.d.example\r\n\r\n"
    b"Final-Recipient: rfc822; x@d.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@asynccontextmanager
async def started(tmp_path: Path, sink: Sink, *, is_new: bool = True, **more: Any) -> AsyncIterator[Parts]:
    settings = Settings(
        dir=tmp_path,
        **{
            "node": Node(hostname="relay.example"),
            "smtp": Smtp(
                listen=["127.0.0.1:0"], submission=[], tls_listen=[], inbox_listen=["127.0.0.1:0"], stop_seconds=2
            ),
            "control": Control(listen="127.0.0.1:0"),
            "web": Web(listen=""),
            "content": Content(model="none"),
            "delivery": Delivery(mode="sink", smarthost=f"127.0.0.1:{sink.port}"),
            "verp": Verp(domain=DOMAIN),
            "inbox": Inbox(max_size_bytes=65_536),
            **more,
        },
    )
    _prepare(settings)
    async with _relay(settings, SystemClock(), lambda error: None) as parts:
        for account in (SHOP, HOST) if is_new else ():
            await parts.core.state.add_account(account, ADMIN)
            await parts.core.state.add_credential(account.name, account.name, "secret", ADMIN)
        yield parts


async def send(parts: Parts, *to: str, mail_from: str = "shop@shop.example", login: str = "shop") -> None:
    """Hand a message in at the door for senders."""

    def talk() -> None:
        with smtplib.SMTP("127.0.0.1", parts.doors.ports[0], timeout=10) as smtp:
            smtp.login(login, "secret")
            smtp.sendmail(mail_from, to, LETTER)

    await asyncio.to_thread(talk)


async def bounced(parts: Parts, *to: str, mail_from: str = "", content: bytes = REPORT) -> tuple[int, bytes]:
    """Hand a report in at the inbox; the reply that ended it."""

    def talk() -> tuple[int, bytes]:
        with smtplib.SMTP("127.0.0.1", parts.inbox.ports[0], timeout=10) as smtp:
            smtp.ehlo("mx.d.example")
            smtp.mail(mail_from)
            replies = [smtp.rcpt(address) for address in to]
            return smtp.data(content) if any(code == 250 for code, _ in replies) else replies[-1]

    return await asyncio.to_thread(talk)


async def path_of(parts: Parts, sink: Sink, **about: Any) -> str:
    """The return path of a message that went out."""
    await send(parts, "x@d.example", **about)
    await eventually(lambda: sink.messages)
    return sink.messages[-1].mail_from


@story
async def test_a_report_reaches_the_original_sender_with_a_null_sender(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        path = await path_of(parts, sink)
        assert path.endswith(f"@{DOMAIN}")

        reply = await bounced(parts, flipped(path, [3, 4, 9, 60]))

        await eventually(lambda: len(sink.messages) == 2)
    forward = sink.messages[1]
    assert reply[0] == 250
    assert (forward.mail_from, forward.recipients) == ("", ("shop@shop.example",))
    head, ours = forward.content[: -len(REPORT)], forward.content[-len(REPORT) :]
    assert ours == REPORT
    assert head.startswith(b"Received: from mx.d.example ([127.0.0.1])")
    assert b"\r\nX-Mailweir-Loop: relay.example\r\n" in head
    (record,) = journaled(tmp_path / "journal", Inbound)
    sent, report = journaled(tmp_path / "journal", Reception)
    assert (record.message_id, record.recipient, record.recipient_id) == (
        sent.message_id,
        "x@d.example",
        sent.recipients[0].id,
    )
    assert (record.account, record.sender, record.report_type) == ("shop", sent.sender, "bounce")
    assert (record.forward_id, record.client_ip, record.size_bytes) == (report.message_id, "127.0.0.1", len(REPORT))
    assert (report.rule, report.door, report.mail_from) == ("bounce_forward", "inbox", "")
    assert (tmp_path / record.file).read_bytes() == REPORT


@story
async def test_an_ordinary_sender_may_write_to_a_return_path_and_is_forwarded_from_nobody(
    tmp_path: Path, sink: Sink
) -> None:
    async with started(tmp_path, sink) as parts:
        path = await path_of(parts, sink)

        reply = await bounced(
            parts, path, mail_from="holiday@d.example", content=b"Subject: away\r\n\r\nBack soon.\r\n"
        )

        await eventually(lambda: len(sink.messages) == 2)
    assert reply[0] == 250
    assert (sink.messages[1].mail_from, sink.messages[1].recipients) == ("", ("shop@shop.example",))
    assert journaled(tmp_path / "journal", Inbound)[0].mail_from == "holiday@d.example"


@story
async def test_a_message_that_nobody_may_forge_is_the_only_one_taken(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        path = await path_of(parts, sink)
        ring, now = parts.core.paths._keyring, parts.core.clock.now()
        traced = parts.core.paths.read(path)
        assert traced is not None
        refused = {
            "altered": path[:20] + ("a" if path[20] != "a" else "b") + path[21:],
            "expired": ring.return_path(traced, now - timedelta(days=31), DOMAIN),
            "other domain": path.replace(DOMAIN, "bounce.other.example"),
            "no such message": ring.return_path(replace(traced, number=traced.number + 1000), now, DOMAIN),
            "no such recipient": ring.return_path(replace(traced, position=1), now, DOMAIN),
            "other node": ring.return_path(replace(traced, node="mw2"), now, DOMAIN),
            "stranger": "postmaster@shop.example",
            "relaying": "victim@elsewhere.example",
            "percent": f"victim%elsewhere.example@{DOMAIN}",
        }

        replies = {why: await bounced(parts, address) for why, address in refused.items()}

        assert set(replies.values()) == {(550, b"5.1.1 no such mailbox")}  # not a word of why
        assert (await bounced(parts, path))[0] == 250
    assert len(journaled(tmp_path / "journal", Inbound)) == 1


@story
async def test_the_inbox_knows_no_login_and_relays_for_no_allowed_network(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        await parts.core.state.allow_network(AllowedNetwork(ip_network("127.0.0.1/32"), "shop"), ADMIN)

        def talk() -> tuple[bool, int, int]:
            with smtplib.SMTP("127.0.0.1", parts.inbox.ports[0], timeout=10) as smtp:
                smtp.ehlo("mx.d.example")
                offers = smtp.has_extn("auth") or smtp.has_extn("xclient")
                code, _ = smtp.docmd("AUTH", "PLAIN AHNob3AAc2VjcmV0")
                smtp.mail("shop@shop.example")
                return offers, code, smtp.rcpt("x@d.example")[0]

        offers, auth, rcpt = await asyncio.to_thread(talk)

    assert (offers, auth, rcpt) == (False, 500, 550)
    assert sink.messages == []


@story
async def test_shared_hosts_and_strange_domains_keep_their_own_sender(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        await send(parts, "x@d.example", login="hosting")
        await send(parts, "y@d.example", mail_from="shop@another.example")
        await send(parts, "z@d.example", mail_from="news@mail.shop.example")
        await send(parts, "n@d.example", mail_from="")
        await eventually(lambda: len(sink.messages) == 4)

    senders = {message.recipients[0]: message.mail_from for message in sink.messages}
    assert senders["x@d.example"] == "shop@shop.example"
    assert senders["y@d.example"] == "shop@another.example"
    assert senders["z@d.example"].endswith(f"@{DOMAIN}")  # the same organisation
    assert senders["n@d.example"] == ""


@story
async def test_a_verified_return_path_host_of_the_domain_is_used_and_an_unverified_or_foreign_one_is_not(
    tmp_path: Path, sink: Sink
) -> None:
    async with started(tmp_path, sink, verp=Verp()) as parts:
        book, now = parts.core.state.book, parts.core.clock.now()
        hosts = []
        for host, seen in (("b.shop.example", None), ("b.other.example", now), ("b.shop.example", now)):
            domain = Domain("shop", "shop.example", return_path_host=host, return_path_verified_at=seen)
            await book.change([], domain, ADMIN, [])
            hosts.append(parts.core.paths.domain_for(SHOP, "Shop@Shop.Example"))
        other = parts.core.paths.domain_for(Account("rival", domains=("shop.example",)), "shop@shop.example")

    assert (hosts, other) == (["", "", "b.shop.example"], "")


def test_without_an_inbox_no_mail_gets_a_return_path_of_ours() -> None:
    clock, verp, key = SteppedClock(NOW), Verp(domain=DOMAIN), Key(1, b"1" * 32, NOW)

    domains = [
        ReturnPaths(Settings(verp=verp, smtp=Smtp(inbox_listen=listen)), clock, [key], Domain).domain_for(
            SHOP, "shop@shop.example"
        )
        for listen in (["127.0.0.1:2526"], [])
    ]

    assert domains == [DOMAIN, ""]


@story
async def test_a_report_that_was_here_before_is_a_loop(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        path = await path_of(parts, sink)

        again = await bounced(parts, path, content=b"x-mailweir-loop: Relay.Example\r\n" + REPORT)
        many = await bounced(parts, path, content=b"Received: x\r\n" * 100 + REPORT)
        other = await bounced(parts, path, content=b"X-Mailweir-Loop: relay.elsewhere.example\r\n" + REPORT)
        inside = await bounced(parts, path, content=REPORT + b"\r\nX-Mailweir-Loop: relay.example\r\n")

        await eventually(lambda: len(sink.messages) == 3)
    assert (again, many) == ((554, b"5.4.6 mail loop"),) * 2
    assert (other[0], inside[0]) == (250, 250)


@story
async def test_a_forward_that_comes_round_ends_at_the_second_pass(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        path = await path_of(parts, sink)
        await bounced(parts, path)
        await eventually(lambda: len(sink.messages) == 2)

        reply = await bounced(parts, path, content=sink.messages[1].content)  # the sender's mailbox forwards to itself

    assert reply == (554, b"5.4.6 mail loop")
    assert len(sink.messages) == 2


@story
async def test_nothing_is_forwarded_to_a_return_path_of_ours(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        first = await path_of(parts, sink)
        await send(parts, "y@d.example", mail_from=first)
        await eventually(lambda: len(sink.messages) == 2)
        second = sink.messages[1].mail_from

        reply = await bounced(parts, second)
    (record,) = journaled(tmp_path / "journal", Inbound)
    assert second not in (first, "")
    assert (reply[0], record.withheld, record.forward_id) == (250, "own_path", "")
    assert len(sink.messages) == 2


@story
async def test_a_held_sender_is_told_nothing_and_the_report_is_still_recorded(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        path = await path_of(parts, sink)
        traced = parts.core.paths.read(path)
        assert traced is not None
        origin = parts.core.spool.origins.find(traced.number)
        assert origin is not None
        hold = Proposal("test", "shop", origin.sender, Effect.HOLD, "by_hand", "hacked", parts.core.clock.now(), None)
        await parts.core.state.decide(hold, ADMIN)

        reply = await bounced(parts, path)
    (record,) = journaled(tmp_path / "journal", Inbound)
    assert (reply[0], record.withheld, record.forward_id) == (250, "sender_held", "")
    assert (tmp_path / record.file).exists()
    assert len(sink.messages) == 1


@story
async def test_a_report_to_several_recipients_of_one_message_is_forwarded_once(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        await send(parts, "x@d.example", "y@e.example")
        await eventually(lambda: len(sink.addresses()) == 2)
        paths = [message.mail_from for message in sink.messages]
        assert len(set(paths)) == 2

        reply = await bounced(parts, *paths)

        await eventually(lambda: len(sink.messages) == 3)
    records = journaled(tmp_path / "journal", Inbound)
    assert reply[0] == 250
    assert sorted(record.recipient for record in records) == ["x@d.example", "y@e.example"]
    assert len({record.forward_id for record in records}) == 1


@story
async def test_the_inbox_keeps_the_rules_of_every_door_and_its_own_size(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        path = await path_of(parts, sink)

        bare = await asyncio.to_thread(_raw, parts, path, b"Subject: x\r\n\r\na\nb\r\n.\r\n")
        smuggled = await asyncio.to_thread(_raw, parts, path, b"Subject: x\r\n\r\n\n.\nMAIL FROM:<x@y>\r\n.\r\n")
        big = await bounced(parts, path, content=REPORT + (b"y" * 70 + b"\r\n") * 1000)
        announced = await asyncio.to_thread(_size, parts)
    assert "550 5.6.11" in bare
    assert "550 5.6.11" in smuggled
    assert (big, announced) == ((552, b"5.3.4 message too big"), "65536")
    assert journaled(tmp_path / "journal", Inbound) == []
    assert len(sink.messages) == 1


@story
async def test_a_client_that_sends_too_many_reports_is_slowed(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink, inbox=Inbox(reports_per_minute=2)) as parts:
        path = await path_of(parts, sink)

        codes = [(await bounced(parts, path))[0] for _ in range(6)]
    assert codes == [250, 250, 250, 450, 450, 450]


@story
async def test_one_return_path_floods_nobody_from_however_many_addresses(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        first = await path_of(parts, sink)
        for number in range(40):
            with contextlib.suppress(RelayError):
                parts.returns.welcome(first, f"192.0.2.{number}")

        assert (await bounced(parts, first))[0] == 450
        await send(parts, "y@d.example")
        await eventually(lambda: len(sink.messages) == 2)
        assert (await bounced(parts, sink.messages[-1].mail_from))[0] == 250


def _raw(parts: Parts, path: str, content: bytes) -> str:
    with socket.create_connection(("127.0.0.1", parts.inbox.ports[0]), timeout=10) as peer:
        said = b""
        for sent in (b"", b"EHLO x\r\n", b"MAIL FROM:<>\r\n", f"RCPT TO:<{path}>\r\n".encode(), b"DATA\r\n", content):
            peer.sendall(sent)
            said += peer.recv(65_536)
        return said.decode()


def _size(parts: Parts) -> str:
    with smtplib.SMTP("127.0.0.1", parts.inbox.ports[0], timeout=10) as smtp:
        smtp.ehlo()
        return smtp.esmtp_features["size"]


@story
async def test_who_tries_addresses_out_is_shut_out_for_a_while(tmp_path: Path, sink: Sink) -> None:
    smtp = Smtp(
        listen=[], submission=[], tls_listen=[], inbox_listen=["127.0.0.1:0"], errors_per_minute=5, stop_seconds=1
    )

    async with started(tmp_path, sink, smtp=smtp) as parts:

        def guess() -> list[int]:
            codes: list[int] = []
            with contextlib.suppress(smtplib.SMTPServerDisconnected), smtplib.SMTP("127.0.0.1", port) as client:
                client.ehlo("x")
                client.mail("")
                for number in range(50):
                    codes.append(client.rcpt(f"guess{number}@{DOMAIN}")[0])
            return codes

        port = parts.inbox.ports[0]
        codes = await asyncio.to_thread(guess)

    assert set(codes) <= {550, 421}
    assert len(codes) < 10


@pytest.mark.parametrize("reports", [20])
def test_kill_9_after_the_250_loses_no_forward(tmp_path: Path, reports: int) -> None:
    site = Installation(tmp_path)
    more = f'[verp]\ndomain = "{DOMAIN}"\n'
    with Sink() as sink:
        site.write(sink.port, more, model="none")
        site.add_account(SHOP, "shop")
        with site.running():
            with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
                smtp.login("shop", "secret")
                for number in range(reports):
                    smtp.sendmail(f"n{number}@shop.example", [f"x{number}@d.example"], LETTER)
            paths = [message.mail_from for message in sink.wait_for(reports)]
    process = site.start()  # nobody listens at the next hop any more: forwards wait
    site.wait_until_up(process)
    with smtplib.SMTP("127.0.0.1", site.inbox, timeout=10) as smtp:
        for path in paths:
            assert smtp.sendmail("", [path], REPORT) == {}
        process.kill()
    process.wait()

    with Sink() as sink:
        site.write(sink.port, more, model="none")
        with site.running():
            told = {address for message in sink.wait_for(reports, 20) for address in message.recipients}

    assert told == {f"n{number}@shop.example" for number in range(reports)}
    assert {message.mail_from for message in sink.messages} == {""}
    assert len(site.records(Inbound)) == reports


def test_the_inbox_is_named_apart_from_the_doors_for_senders(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    site.write(9, model="none")

    with site.running(), site.client() as client:
        status = client.status()

    assert status["inbox"] == [f"127.0.0.1:{site.inbox}"]
    assert f"127.0.0.1:{site.inbox}" not in status["smtp"]


def test_an_old_message_goes_out_under_its_own_sender() -> None:
    clock = SteppedClock(NOW)
    paths = ReturnPaths(Settings(), clock, [Key(1, b"1" * 32, NOW)], Domain)
    message = SpooledMessage(
        7, "mw1.7", 2, "shop", "", "s", "shop@shop.example", NOW, Flags.NONE, b"", return_domain=DOMAIN
    )
    recipients = [SpooledRecipient(7 + n, message, f"{n}@d.example", "d.example") for n in range(2)]

    fresh = paths.of(Parcel(message, recipients[1:], None))
    both = paths.of(Parcel(message, recipients, None))
    clock.advance(21 * 86_400)

    assert paths.read(fresh) == Traced("mw1", 7, 1)
    assert (both, paths.of(Parcel(message, recipients[1:], None))) == ("shop@shop.example",) * 2


@story
async def test_a_return_path_in_several_spellings_is_one_report(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        path = await path_of(parts, sink)

        await bounced(parts, path, flipped(path, [3]), flipped(path, [4, 9]))

        await eventually(lambda: len(sink.messages) == 2)
    assert len(journaled(tmp_path / "journal", Inbound)) == 1
