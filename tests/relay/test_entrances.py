"""How clients come in: implicit TLS, systemd's sockets, balancers that speak for their clients, new certificates."""

import asyncio
import contextlib
import os
import smtplib
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from relay.front.entrances import SOCKET_NAMES, Entrance, _taken, entrances
from relay.front.guard import Gcra, client_key
from relay.front.proxied import parse_xclient, plain_ip
from relay.front.tls import CertificateWatch, ensure_certificate
from relay.reply import PermanentError
from relay.running.node import _compare
from relay.settings import Settings, SettingsError, Smtp, load
from tests.builders import Installation, until
from tests.relay.test_session import Place, connect, opened, raw, run
from tests.sink import Sink

T = TypeVar("T")
IMPLICIT = Entrance("127.0.0.1:0", is_implicit_tls=True)
NO_DOORS: dict[str, list[str]] = {key.removeprefix("smtp."): [] for key in SOCKET_NAMES.values()}
V2 = b"\r\n\r\n\0\r\nQUIT\n"


def at(entrance: Entrance, tmp_path: Path, client: Callable[[Place], T], **settings: object) -> tuple[T, Place]:
    async def story() -> tuple[T, Place]:
        async with opened(tmp_path, entrance=entrance, **settings) as place:  # type: ignore[arg-type]
            return await asyncio.to_thread(client, place), place

    return asyncio.run(story())


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_implicit_tls_begins_before_the_greeting_and_offers_no_starttls(tmp_path: Path) -> None:
    def client(place: Place) -> bool:
        with smtplib.SMTP_SSL("127.0.0.1", place.port, timeout=10, context=unverified()) as smtp:
            smtp.login("srv1", "secret")
            smtp.sendmail("a@acme.example", ["x@d.example"], b"Subject: hi\r\n\r\nhi\r\n")
            return smtp.has_extn("starttls")

    offered, place = at(IMPLICIT, tmp_path, client)

    assert not offered
    assert place.received[0].tls.startswith("TLSv1.")


def test_clear_text_at_an_implicit_tls_port_is_closed(tmp_path: Path) -> None:
    answer, _ = at(IMPLICIT, tmp_path, lambda place: raw(place, b"EHLO c\r\n"))

    assert b"250" not in answer


def test_listener_may_take_clear_auth_from_anywhere_and_others_do_not(tmp_path: Path) -> None:
    proxied = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\nEHLO c\r\nQUIT\r\n"
    for entrance, offers in ((Entrance("127.0.0.1:0", may_auth_in_clear=True), True), (Entrance("127.0.0.1:0"), False)):
        answer, _ = at(entrance, tmp_path, lambda place: raw(place, proxied), proxy_from=["127.0.0.1"])

        assert (b"AUTH PLAIN" in answer) is offers


@pytest.mark.parametrize(
    ("header", "ip"),
    [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\n", "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (V2 + b"\x21\x11\x00\x0c" + bytes([192, 0, 2, 9, 127, 0, 0, 1, 0x12, 0x34, 0, 25]), "192.0.2.9"),
        (V2 + b"\x20\x00\x00\x00", "127.0.0.1"),
    ],
    ids=["v1", "v1 IPv6", "v1 unknown", "v2", "v2 local"],
)
def test_balancer_says_the_clients_address(tmp_path: Path, header: bytes, ip: str) -> None:
    mail = b"EHLO c\r\nMAIL FROM:<a@acme.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n"

    def client(place: Place) -> bytes:
        return raw(place, header + mail, b"\r\nhi\r\n.\r\nQUIT\r\n")

    _, place = at(Entrance("127.0.0.1:0"), tmp_path, client, allowed=ip, proxy_from=["127.0.0.0/8"])

    assert [submission.client_ip for submission in place.received] == [ip]


def test_proxy_header_goes_before_implicit_tls(tmp_path: Path) -> None:
    def client(place: Place) -> bytes:
        with socket.create_connection(("127.0.0.1", place.port), timeout=10) as peer:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            talk = unverified().wrap_bio(incoming, outgoing)
            with pytest.raises(ssl.SSLWantReadError):
                talk.do_handshake()
            # header and hello in one packet, as a balancer sends them
            peer.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 465\r\n" + outgoing.read())
            while True:
                incoming.write(peer.recv(65536))
                try:
                    talk.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    pass
            peer.sendall(outgoing.read())
            while True:
                try:
                    return talk.read(100)
                except ssl.SSLWantReadError:
                    incoming.write(peer.recv(65536))

    assert at(IMPLICIT, tmp_path, client, proxy_from=["127.0.0.1"])[0].startswith(b"220 ")


@pytest.mark.parametrize(
    "header", [b"EHLO c\r\n", b"PROXY TCP4 nonsense\r\n", b"PROXY TCP4 192.0.2.7\r\n", V2 + b"\xff"]
)
def test_balancer_without_a_sound_header_is_cut_off(tmp_path: Path, header: bytes) -> None:
    answer, place = at(
        Entrance("127.0.0.1:0"), tmp_path, lambda place: raw(place, header + b"\r\n" * 20), proxy_from=["127.0.0.1"]
    )

    assert answer == b""
    assert place.doors.sessions == 0


def test_stranger_cannot_say_where_he_comes_from(tmp_path: Path) -> None:
    lies = (
        b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\nEHLO c\r\nXCLIENT ADDR=192.0.2.7\r\nMAIL FROM:<a@acme.example>\r\n"
    )

    answer, _ = run(tmp_path, lambda place: raw(place, lies + b"QUIT\r\n"), allowed="192.0.2.0/24")

    assert b"XCLIENT" not in answer
    codes = [line[:3] for line in answer.split(b"\r\n") if line[3:4] == b" "]
    assert codes == [b"220", b"500", b"250", b"550", b"530", b"221"]


def test_listed_balancer_speaks_for_its_client_by_xclient(tmp_path: Path) -> None:
    said = (
        b"EHLO balancer\r\nXCLIENT ADDR=IPV6:2001:db8::7 HELO=web1.example NAME=[UNAVAILABLE] LOGIN=srv1\r\n"
        b"EHLO web1.example\r\nMAIL FROM:<a@acme.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n"
    )

    def client(place: Place) -> bytes:
        return raw(place, said, b"\r\nhi\r\n.\r\nQUIT\r\n")

    answer, place = run(tmp_path, client, xclient_from=["127.0.0.1"])

    assert b"250 XCLIENT NAME ADDR" in answer
    (submission,) = place.received
    assert (submission.client_ip, submission.helo) == ("2001:db8::7", "web1.example")
    assert submission.credential == "srv1"


def test_name_by_xclient_that_is_no_text_can_still_be_recorded(tmp_path: Path) -> None:
    said = b"EHLO b\r\nXCLIENT HELO=\xff LOGIN=srv1\r\nMAIL FROM:<a@acme.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n"

    _, place = run(tmp_path, lambda place: raw(place, said, b"\r\nhi\r\n.\r\nQUIT\r\n"), xclient_from=["127.0.0.1"])

    assert [submission.helo for submission in place.received] == ["?"]


def test_xclient_with_a_login_that_is_none_is_refused(tmp_path: Path) -> None:
    said = b"EHLO b\r\nXCLIENT LOGIN=nobody\r\nMAIL FROM:<a@acme.example>\r\nQUIT\r\n"

    answer, _ = run(tmp_path, lambda place: raw(place, said), xclient_from=["127.0.0.1"])

    assert b"550 5.7.1 no such login" in answer
    assert b"250 2.1.0" not in answer


@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_xclient_is_read_or_refused(words: list[str]) -> None:
    with contextlib.suppress(PermanentError):
        assert parse_xclient(words)


def test_whole_internet_is_no_balancer() -> None:
    for networks in (["0.0.0.0/0"], ["::/0"], ["128.0.0.0/1"]):
        with pytest.raises(ValueError, match="open relay"):
            Smtp(proxy_from=networks)  # type: ignore[arg-type]


def test_new_certificate_is_taken_up_while_sessions_go_on(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def issue(name: str) -> None:
        issued = authority.issue_cert(name)
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)

    issue("one.example")
    context = ensure_certificate(certificate, key, tmp_path, "relay.example")
    watch = CertificateWatch(context, certificate, key)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)

    def name_seen(server_name: str) -> bool:
        return _handshake(context, trust, server_name)

    assert not watch.refresh()
    assert name_seen("one.example")
    issue("two.example")
    assert watch.refresh()
    assert name_seen("two.example")
    assert not name_seen("one.example")
    key.write_text("no key at all")
    assert not watch.refresh()
    assert name_seen("two.example")


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bool:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, False, name),
    ]
    done: set[int] = set()
    while len(done) < 2:
        for number in (1, 0):
            try:
                sides[number].do_handshake()
                done.add(number)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError:
                return False
    return True


def test_relay_listens_on_the_sockets_systemd_opened(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    with Sink() as sink, socket.create_server(("127.0.0.1", 0)) as given:
        site.write(sink.port, model="none")
        port = given.getsockname()[1]
        start = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3, inheritable=True);"
            "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1', 'LISTEN_FDNAMES': 'smtps'};"
            "os.execv(sys.executable, [sys.executable, '-W', 'ignore', '-m', 'relay.cli', 'relay'])"
        )
        with (tmp_path / "process.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", start, str(given.fileno())],
                env=os.environ | {"MAILWEIR_CONFIG": str(site.config)},
                pass_fds=[given.fileno()],
                stderr=log,
            )
        try:
            site.wait_until_up(process)
            with smtplib.SMTP_SSL("127.0.0.1", port, timeout=10, context=unverified()) as smtp:
                assert smtp.noop()[0] == 250
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", site.smtp), timeout=1)
            said = (tmp_path / "process.log").read_text()
            assert f"only systemd opens [smtp.tls_listen 127.0.0.1:{port}]" in said
            assert f"smtp.listen 127.0.0.1:{site.smtp}" in said.partition("only the settings name")[2]
        finally:
            process.terminate()
            process.wait(20)


def test_sockets_that_the_settings_name_are_no_cause_for_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    wanted = set(entrances(Smtp(clear_auth_listen=["127.0.0.1:2588"])))

    _compare(set(wanted), wanted)
    assert caplog.text == ""
    _compare(wanted, set(entrances(Smtp())))
    assert "only systemd opens [smtp.clear_auth_listen 127.0.0.1:2588], only the settings name []" in caplog.text


def test_a_socket_has_what_its_name_says_and_a_name_of_nobody_is_refused() -> None:
    for name, key in SOCKET_NAMES.items():
        with socket.create_server(("127.0.0.1", 0)) as given:
            address = f"127.0.0.1:{given.getsockname()[1]}"
            (wanted,) = entrances(Smtp(**{**NO_DOORS, key.removeprefix("smtp."): [address]}))  # type: ignore[arg-type]
            entrance, sock = _taken(os.dup(given.fileno()), name)
            sock.close()

        assert entrance == wanted
    with pytest.raises(SettingsError, match="named 'http'"):
        _taken(0, "http")


def test_any_number_of_listeners_of_both_families(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    with Sink() as sink:
        site.write(sink.port, model="none")
        text = site.config.read_text()
        site.config.write_text(
            text.replace(f'"127.0.0.1:{site.smtp}"', f'"127.0.0.1:{site.smtp}", "[::1]:{site.smtp}"')
        )
        with site.running():
            for host in ("127.0.0.1", "::1"):
                with smtplib.SMTP(host, site.smtp, timeout=10) as smtp:
                    assert smtp.ehlo()[0] == 250
            with smtplib.SMTP_SSL("127.0.0.1", site.smtps, timeout=10, context=unverified()) as smtp:
                assert smtp.ehlo()[0] == 250


def test_wrong_network_is_an_error_that_names_it(tmp_path: Path) -> None:
    config = tmp_path / "mailweir.toml"
    config.write_text('[smtp]\nproxy_from = ["0.0.0.0/0"]\n')
    with pytest.raises(SettingsError, match=r"smtp.proxy_from.*0.0.0.0/0 would make this an open relay"):
        load(config)
    assert Settings().smtp.proxy_from == []


@pytest.mark.parametrize(
    ("host", "plain"), [("::ffff:192.0.2.7", "192.0.2.7"), ("fe80::1%eth0", "fe80::1"), ("192.0.2.7", "192.0.2.7")]
)
def test_address_is_compared_in_one_form(host: str, plain: str) -> None:
    assert plain_ip(host) == plain


def test_ipv6_client_is_its_64() -> None:
    assert client_key("2001:db8:1:2:3:4:5:6") == client_key("2001:db8:1:2::1") == "2001:db8:1:2::"
    assert client_key("192.0.2.7") == "192.0.2.7"


@given(st.lists(st.floats(0, 5, allow_nan=False), max_size=300))
def test_gcra_never_lets_more_through_than_rate_and_burst(gaps: list[float]) -> None:
    gcra, now, taken = Gcra(60.0, 5.0), 0.0, []
    for gap in gaps:
        now += gap
        if gcra.take("a", now):
            taken.append(now)

    for start in taken:
        for end in taken:
            if end >= start:
                inside = sum(start <= instant <= end for instant in taken)
                assert inside <= (end - start) + 5.0 + 1 + 1e-6


def greeting(place: Place) -> bytes:
    with socket.create_connection(("127.0.0.1", place.port), timeout=10) as peer:
        return peer.recv(512)


def test_stranger_with_too_many_errors_is_sent_away_until_later(tmp_path: Path) -> None:
    def client(place: Place) -> tuple[list[bytes], bytes]:
        with socket.create_connection(("127.0.0.1", place.port), timeout=10) as peer, peer.makefile("rb") as lines:
            replies = [lines.readline()]
            while not replies[-1].startswith(b"421"):
                peer.sendall(b"MAIL FROM:<a@acme.example>\r\n")
                replies.append(lines.readline())
        return replies, greeting(place)

    (replies, second), _ = run(tmp_path, client, errors_per_minute=5)

    assert [reply[:3] for reply in replies[:3]] == [b"220", b"503", b"503"]
    assert replies[-1].startswith(b"421 4.7.0 too many errors")
    assert second.startswith(b"421 4.7.0 too many errors")


def test_hasty_client_is_slowed_down_and_let_in_again(tmp_path: Path) -> None:
    def client(place: Place) -> list[bytes]:
        greetings = [greeting(place)[:3] for _ in range(13)]
        until(lambda: greeting(place).startswith(b"220"), 30)
        return greetings

    greetings, _ = run(tmp_path, client, connections_per_minute=60)

    assert greetings[0] == b"220"
    assert greetings[-1] == b"421"


def test_dsn_parameters_are_taken_checked_and_kept(tmp_path: Path) -> None:
    def client(place: Place) -> list[int]:
        with connect(place) as smtp:
            smtp.ehlo()
            assert smtp.has_extn("dsn")
            codes = [
                smtp.docmd("MAIL", "FROM:<a@acme.example> RET=NONE")[0],
                smtp.docmd("MAIL", "FROM:<a@acme.example> RET=hdrs ENVID=QQ+2B1")[0],
                smtp.docmd("RCPT", "TO:<x@d.example> NOTIFY=NEVER,DELAY")[0],
                smtp.docmd("RCPT", "TO:<x@d.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@old.example")[0],
                smtp.docmd("RCPT", "TO:<y@d.example>")[0],
                smtp.docmd("RCPT", "TO:<z@d.example> ORCPT=\x01")[0],
            ]
            smtp.data(b"\r\nhi\r\n")
            return codes

    codes, place = run(tmp_path, client)

    assert codes == [501, 250, 501, 250, 250, 501]
    assert place.received[0].dsn == "RET=HDRS ENVID=QQ+2B1"
    assert place.received[0].rcpt_dsns == ("NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@old.example", "")
