"""The front door over real sockets: who gets in, what is answered, and that one client never harms another."""

import asyncio
import base64
import contextlib
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar

import pytest
from argon2 import PasswordHasher

from relay.account import Account, Credential
from relay.clock import SystemClock
from relay.envelope import Submission
from relay.front.auth import Authenticator
from relay.front.doorway import Doorway
from relay.front.entrances import Entrance
from relay.front.server import Doors
from relay.front.tls import ensure_certificate
from relay.reply import Reply
from relay.settings import Smtp
from relay.spool.large import LargeFiles

T = TypeVar("T")
ACME = Account("acme")
ANYWHERE = Entrance("127.0.0.1:0")
_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret")
CREDENTIALS = {"srv1": Credential("srv1", "acme", _HASH)}


@dataclass
class Place:
    """An open door on loopback and what came through it."""

    port: int
    doors: Doors
    received: list[Submission] = field(default_factory=list)
    failures: list[bytes] = field(default_factory=list)
    refusals: list[tuple[str, int, Submission | None]] = field(default_factory=list)


@asynccontextmanager
async def opened(
    tmp_path: Path, *, allowed: str = "", account: Account = ACME, entrance: Entrance = ANYWHERE, **settings: object
) -> AsyncIterator[Place]:
    clock = SystemClock()
    place: Place
    files = LargeFiles(tmp_path / "large", ())

    async def receive(submission: Submission) -> Reply:
        place.received.append(submission)
        return Reply(250, "2.0.0", "queued as test.1")

    way = Doorway(
        settings=Smtp(**settings),  # type: ignore[arg-type]
        hostname="relay.example",
        clock=clock,
        tls=ensure_certificate(None, None, tmp_path / "tls", "relay.example"),
        authenticator=Authenticator(CREDENTIALS, clock),
        account_of_ip=lambda ip: account if allowed and ip_address(ip) in ip_network(allowed) else None,
        account_of_name={"acme": account}.get,
        credential_of=CREDENTIALS.get,
        is_trusted=lambda ip: False,
        receive=receive,
        open_large=files.open,
        on_refusal=lambda stage, reply, submission: place.refusals.append((stage, reply.code, submission)),
        on_auth_failure=lambda ip, login, mechanism: place.failures.append(login),
    )
    doors = Doors(way)
    await doors.open(entrance)
    place = Place(doors.ports[0], doors)
    try:
        yield place
    finally:
        await doors.close(0.5)
        files.close()


def run(tmp_path: Path, client: Callable[[Place], T], **settings: Any) -> tuple[T, Place]:
    """Open a door, run a blocking client in a thread, and return its result."""

    async def story() -> tuple[T, Place]:
        async with opened(tmp_path, **settings) as place:
            return await asyncio.to_thread(client, place), place

    return asyncio.run(story())


def connect(place: Place, *, tls: bool = True, login: bool = True) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", place.port, timeout=10)
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client.starttls(context=context)
    if login:
        client.login("srv1", "secret")
    return client


def raw(place: Place, *sent: bytes, until: bytes = b"") -> bytes:
    """Send bytes as they are, in one write each, and return everything that came back."""
    with socket.create_connection(("127.0.0.1", place.port), timeout=10) as peer:
        answer = b""
        # a server that closes with bytes of ours unread makes the kernel say "reset" behind its last words
        with contextlib.suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
            for data in sent:
                peer.sendall(data)
            peer.settimeout(10)
            while not (until and until in answer):
                block = peer.recv(65536)
                if not block:
                    break
                answer += block
        return answer


def test_login_over_starttls_submits(tmp_path: Path) -> None:
    def client(place: Place) -> None:
        with connect(place) as smtp:
            smtp.sendmail("a@acme.example", ["x@d.example", "y@d.example"], b"Subject: hi\r\n\r\n.dot\r\n")

    _, place = run(tmp_path, client)

    (submission,) = place.received
    assert submission.account == ACME
    assert submission.credential == "srv1"
    assert submission.tls.startswith("TLSv1.")
    assert submission.recipients == ("x@d.example", "y@d.example")
    assert submission.content == b"Subject: hi\r\n\r\n.dot\r\n"


def test_login_is_neither_offered_nor_taken_in_clear_text(tmp_path: Path) -> None:
    def client(place: Place) -> tuple[bool, int]:
        with connect(place, tls=False, login=False) as smtp:
            smtp.ehlo()
            return smtp.has_extn("auth"), smtp.docmd("AUTH", "PLAIN " + base64.b64encode(b"\0srv1\0secret").decode())[0]

    (offered, code), place = run(tmp_path, client, auth_without_tls=False)

    assert (offered, code) == (False, 538)
    assert place.received == []


def test_stranger_is_refused_at_mail_not_before(tmp_path: Path) -> None:
    def client(place: Place) -> list[int]:
        with connect(place, tls=False, login=False) as smtp:
            return [smtp.ehlo()[0], smtp.mail("a@acme.example")[0], smtp.rcpt("x@d.example")[0], smtp.docmd("DATA")[0]]

    codes, place = run(tmp_path, client)

    assert codes == [250, 530, 550, 503]
    assert place.received == []


def test_allowed_network_needs_no_password_and_others_do(tmp_path: Path) -> None:
    def client(place: Place) -> int:
        with connect(place, tls=False, login=False) as smtp:
            smtp.ehlo()
            return smtp.mail("a@acme.example")[0]

    assert run(tmp_path, client, allowed="127.0.0.0/8")[0] == 250
    assert run(tmp_path, client, allowed="192.0.2.0/24")[0] == 530


def test_wrong_password_and_unknown_user_get_the_same_answer(tmp_path: Path) -> None:
    def client(place: Place) -> list[tuple[int, bytes]]:
        answers = []
        for pair in (b"\0srv1\0wrong", b"\0nobody\0secret"):
            with connect(place, login=False) as smtp:
                smtp.ehlo()
                answers.append(smtp.docmd("AUTH", "PLAIN " + base64.b64encode(pair).decode()))
        return answers

    (first, second), place = run(tmp_path, client)

    assert first == second
    assert first[0] == 535
    assert place.failures == [b"srv1", b"nobody"]


@pytest.mark.parametrize(
    ("given", "code"),
    [("PLAIN =", 501), ("PLAIN !!!", 501), ("CRAM-MD5", 504), ("", 501), ("PLAIN a b", 501)],
)
def test_bad_auth_gets_one_clear_answer(tmp_path: Path, given: str, code: int) -> None:
    def client(place: Place) -> tuple[int, int]:
        with connect(place, login=False) as smtp:
            smtp.ehlo()
            return smtp.docmd("AUTH", given)[0], smtp.noop()[0]

    assert run(tmp_path, client)[0] == (code, 250)


def test_aborted_auth_gets_501_and_the_session_stays_in_step(tmp_path: Path) -> None:
    def client(place: Place) -> list[int]:
        with connect(place, login=False) as smtp:
            smtp.ehlo()
            return [smtp.docmd("AUTH LOGIN")[0], smtp.docmd("*")[0], smtp.noop()[0]]

    assert run(tmp_path, client)[0] == [334, 501, 250]


def test_auth_parameter_of_mail_is_accepted_and_read(tmp_path: Path) -> None:
    def client(place: Place) -> int:
        with connect(place) as smtp:
            smtp.ehlo()
            code = smtp.docmd("MAIL", "FROM:<a@acme.example> SIZE=100 AUTH=alice+40web1.example")[0]
            smtp.rcpt("x@d.example")
            smtp.data(b"\r\nhi\r\n")
            return code

    code, place = run(tmp_path, client)

    assert code == 250
    assert place.received[0].auth_param == "alice@web1.example"


def test_null_sender_is_accepted_after_login(tmp_path: Path) -> None:
    def client(place: Place) -> None:
        with connect(place) as smtp:
            smtp.sendmail("", ["x@d.example"], b"\r\nbounce\r\n")

    assert run(tmp_path, client)[1].received[0].mail_from == ""


def test_pipelined_batch_is_answered_in_order(tmp_path: Path) -> None:
    commands = (
        b"EHLO c\r\nMAIL FROM:<a@acme.example>\r\nRCPT TO:<x@d.example>\r\nRCPT TO:<bad\r\nRCPT TO:<>\r\n"
        b"RCPT TO:<y@d.example>\r\nDATA\r\n"
    )

    def client(place: Place) -> bytes:
        return raw(place, commands, b"\r\nhi\r\n.\r\nNOOP\r\nQUIT\r\n")

    answer, place = run(tmp_path, client, allowed="127.0.0.0/8")

    codes = [line[:3] for line in answer.split(b"\r\n") if line[3:4] == b" "]
    assert codes == [b"220", b"250", b"250", b"250", b"553", b"553", b"250", b"354", b"250", b"250", b"221"]
    assert place.received[0].recipients == ("x@d.example", "y@d.example")


@pytest.mark.parametrize("ending", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r"])
def test_nothing_but_crlf_dot_crlf_ends_data(tmp_path: Path, ending: bytes) -> None:
    smuggled = b"MAIL FROM:<evil@acme.example>\r\nRCPT TO:<v@d.example>\r\nDATA\r\n\r\nsmuggled\r\n.\r\n"
    start = b"EHLO c\r\nMAIL FROM:<a@acme.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n"

    def client(place: Place) -> bytes:
        return raw(place, start, b"Subject: a\r\n\r\nhi" + ending + smuggled + b"QUIT\r\n")

    answer, place = run(tmp_path, client, allowed="127.0.0.0/8")

    assert place.received == []
    assert b"550 5.6.11" in answer


def test_commands_behind_starttls_are_dropped(tmp_path: Path) -> None:
    def client(place: Place) -> bytes:
        with socket.create_connection(("127.0.0.1", place.port), timeout=10) as peer:
            peer.sendall(b"EHLO c\r\nSTARTTLS\r\nNOOP injected\r\nMAIL FROM:<evil@x.example>\r\n")
            answer = b""
            while b"220 Ready" not in answer:
                answer += peer.recv(4096)
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(peer) as secure:
                secure.sendall(b"QUIT\r\n")
                return secure.recv(4096)

    assert run(tmp_path, client, allowed="127.0.0.0/8")[0].startswith(b"221 ")


def test_refusals_carry_enhanced_codes_and_echo_nothing(tmp_path: Path) -> None:
    def client(place: Place) -> bytes:
        return raw(place, b"EHLO c\r\nEVIL<script>\r\n\r\n" + b"X" * 70_000 + b"\r\nQUIT\r\n")

    answer, _ = run(tmp_path, client)

    refusals = [line for line in answer.split(b"\r\n") if line[:1] in (b"4", b"5")]
    assert len(refusals) == 3
    assert all(line[4:6] == line[:1] + b"." for line in refusals)
    assert b"script" not in answer


def test_too_many_connections_of_an_address_get_421_until_one_leaves(tmp_path: Path) -> None:
    def client(place: Place) -> tuple[int, int]:
        first = [smtplib.SMTP("127.0.0.1", place.port, timeout=10) for _ in range(2)]
        with pytest.raises(smtplib.SMTPConnectError) as caught:
            smtplib.SMTP("127.0.0.1", place.port, timeout=10)
        first.pop().quit()
        stayed = first.pop()
        for _ in range(100):
            try:
                with smtplib.SMTP("127.0.0.1", place.port, timeout=10) as smtp:
                    codes = caught.value.smtp_code, smtp.noop()[0]
                stayed.quit()
                return codes
            except smtplib.SMTPConnectError:
                continue
        raise AssertionError("never let in again")

    assert run(tmp_path, client, max_connections_per_address=2)[0] == (421, 250)


def test_message_over_the_size_limit_is_refused_and_the_session_stays_in_step(tmp_path: Path) -> None:
    def client(place: Place) -> list[int]:
        with connect(place) as smtp:
            smtp.ehlo()
            codes = [smtp.docmd("MAIL", "FROM:<a@acme.example> SIZE=70000")[0]]
            smtp.mail("a@acme.example")
            smtp.rcpt("x@d.example")
            return [*codes, smtp.data(b"\r\n" + b"x\r\n" * 30_000)[0], smtp.noop()[0]]

    codes, place = run(tmp_path, client, max_size_bytes=65_536)

    assert codes == [552, 552, 250]
    assert place.received == []


def test_recipient_limit_keeps_those_already_taken(tmp_path: Path) -> None:
    def client(place: Place) -> list[int]:
        with connect(place) as smtp:
            smtp.ehlo()
            smtp.mail("a@acme.example")
            codes = [smtp.rcpt(f"x{number}@d.example")[0] for number in range(102)]
            smtp.data(b"\r\nhi\r\n")
            return codes

    codes, place = run(tmp_path, client)

    assert codes == [250] * 100 + [452] * 2
    assert len(place.received[0].recipients) == 100


def test_stop_says_421_to_idle_sessions(tmp_path: Path) -> None:
    async def story() -> bytes:
        async with opened(tmp_path) as place:
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            await reader.readline()
            await place.doors.close(1)
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(story()).startswith(b"421 4.3.2")
