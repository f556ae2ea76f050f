"""Attackers, broken clients, dead workers and full disks against the relay as a real process."""

import base64
import json
import os
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from relay.front.data import canonical
from tests.builders import NO_LIMITS, Installation, journal_lines, until
from tests.sink import Sink

LOGIN = b"AUTH PLAIN " + base64.b64encode(b"\0s\0secret") + b"\r\n"
HELLO = b"EHLO c.example\r\n" + LOGIN
PROMPT = 5.0  # seconds for hostile content, spec 2.15.7


@dataclass
class Target:
    """A running relay, the sink behind it, and the process."""

    site: Installation
    sink: Sink
    process: "subprocess.Popen[bytes]"
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    def connect(self) -> "Client":
        return Client(self.site.smtp)

    def address(self) -> bytes:
        return b"x%d@d.example" % next(self.numbers)

    def submit(self, content: bytes, to: bytes = b"") -> bytes:
        """Submit a message; return the reply to the final dot."""
        with self.connect() as client:
            client.open_data(to or self.address())
            return client.ask(content + b".\r\n")

    def log(self) -> str:
        return (self.site.folder / "process.log").read_text()

    def records(self, kind: str) -> list[dict[str, Any]]:
        found = map(json.loads, journal_lines(self.site.data / "journal"))
        return [record for record in found if record["kind"] == kind]

    def counts(self) -> dict[str, Any]:
        return self.status()["spool"]  # type: ignore[no-any-return]

    def status(self) -> dict[str, Any]:
        with self.site.client() as client:
            return client.status()


class Client:
    """Speaks raw SMTP."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._buffer = b""
        self.greeting = self.reply()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, command: bytes) -> bytes:
        self.socket.sendall(command)
        return self.reply()

    def reply(self) -> bytes:
        """The last line of one reply; b"" when the relay has closed."""
        while True:
            line, end, rest = self._buffer.partition(b"\r\n")
            if end:
                self._buffer = rest
                if line[3:4] != b"-":
                    return line
                continue
            try:
                block = self.socket.recv(65536)
            except ConnectionError:
                block = b""
            if not block:
                return b""
            self._buffer += block

    def log_in(self) -> None:
        assert self.ask(b"EHLO c.example\r\n").startswith(b"250")
        assert self.ask(LOGIN).startswith(b"235")

    def open_data(self, to: bytes, sender: bytes = b"a@acme.example") -> None:
        self.log_in()
        assert self.ask(b"MAIL FROM:<" + sender + b">\r\n").startswith(b"250")
        assert self.ask(b"RCPT TO:<" + to + b">\r\n").startswith(b"250")
        assert self.ask(b"DATA\r\n").startswith(b"354")

    def reset(self) -> None:
        """Leave without a word: RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def install(folder: Path, sink: Sink, more: str = "", model: str = "none", smtp: str = "") -> Installation:
    folder.mkdir(parents=True, exist_ok=True)
    site = Installation(folder)
    site.write(sink.port, f"{NO_LIMITS}{more}", model=model)
    smtp = f"[smtp]\nerrors_per_minute = 100000\nmax_connections_per_address = 399\n{smtp}\n"
    site.config.write_text(site.config.read_text().replace("[smtp]\n", smtp))
    site.add_account(Account("acme", domains=("acme.example",)), "s")
    return site


@contextmanager
def attacked(folder: Path, more: str = "", model: str = "none", smtp: str = "") -> Iterator[Target]:
    with Sink() as sink:
        site = install(folder, sink, more, model, smtp)
        with site.running() as process:
            yield Target(site, sink, process)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(tmp_path_factory.mktemp("hostile")) as running:
        yield running


@contextmanager
def served(target: Target) -> Iterator[Callable[[], int]]:
    """Have somebody else connect and ask while the block runs; tells how often both were answered."""
    count, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal count
        while not ended.is_set():
            with target.connect() as client:
                client.ask(b"NOOP\r\n")
            count += 1
            ended.wait(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: count
    finally:
        ended.set()
        thread.join()


def refused(reply: bytes) -> bool:
    return reply[:1] == b"5"


# ---- commands ----


def test_bytes_that_are_no_text_in_ehlo_do_not_turn_mail_away(target: Target) -> None:
    with target.connect() as client:
        client.ask(b"EHLO \xff\xfe\r\n")
        client.ask(LOGIN)
        client.ask(b"MAIL FROM:<a@acme.example>\r\n")
        client.ask(b"RCPT TO:<" + target.address() + b">\r\n")
        client.ask(b"DATA\r\n")

        assert client.ask(b"\r\nhi\r\n.\r\n").startswith(b"250")


def test_bytes_that_are_no_text_in_helo_do_not_turn_mail_away(target: Target) -> None:
    with target.connect() as client:
        client.log_in()
        assert client.ask(b"HELO \xff\xfe\r\n").startswith(b"250")
        client.ask(b"MAIL FROM:<a@acme.example>\r\n")
        client.ask(b"RCPT TO:<" + target.address() + b">\r\n")
        client.ask(b"DATA\r\n")

        assert client.ask(b"\r\nhi\r\n.\r\n").startswith(b"250")


@pytest.mark.parametrize(
    "command",
    [
        b"MAIL FROM:<a@acme.example> SIZE=\xc2\xb2\r\n",
        b"MAIL FROM:<a@acme.example> AUTH=\xff SIZE=-1\r\n",
        b"MAIL FROM:<a\0b@acme.example>\r\n",
        b"MAIL FROM:<a b@acme.example>\r\n",
        b"MAIL FROM:<a@[IPv6:zz]>\r\n",
        b"MAIL FROM:<a@[127.0.0.1>\r\n",
        b'MAIL FROM:<"a@acme.example>\r\n',
        b"MAIL FROM:<" + b"a" * 1900 + b"@b.example>\r\n",
        b"STARTTLS now\r\n",
        b"\xff\xff\xff\r\n",
        b"AUTH PLAIN " + b"A" * 13_000 + b"\r\n",
    ],
)
def test_malformed_command_is_refused_for_good_and_the_session_goes_on(target: Target, command: bytes) -> None:
    with target.connect() as client:
        client.log_in()

        assert refused(client.ask(command))
        assert client.ask(b"NOOP\r\n").startswith(b"250")


def test_endless_line_inside_auth_ends_the_session_with_500(target: Target) -> None:
    with target.connect() as client:
        client.ask(b"EHLO c\r\n")
        client.ask(b"AUTH LOGIN\r\n")

        assert client.ask(b"A" * 200_000).startswith(b"500 5.5.6")
        assert client.reply() == b""


def test_client_that_has_said_all_still_gets_its_answers(target: Target) -> None:
    with target.connect() as client:
        client.open_data(target.address())
        client.socket.sendall(b"\r\nhi\r\n.\r\nNOOP\r\n")
        client.socket.shutdown(socket.SHUT_WR)

        assert client.reply().startswith(b"250 2.0.0 queued")
        assert client.reply().startswith(b"250")
        assert client.reply() == b""


def _flood(target: Target, ended: threading.Event) -> None:
    with target.connect() as client:
        client.socket.settimeout(0.05)
        while not ended.is_set():
            try:
                client.socket.sendall(b"NOOP\r\n" * 5_000)
                while client.socket.recv(1 << 20):
                    pass
            except TimeoutError:
                continue


def test_flood_of_commands_leaves_others_their_turn(target: Target) -> None:
    ended = threading.Event()
    floods = [threading.Thread(target=_flood, args=(target, ended)) for _ in range(5)]
    with served(target) as answered:
        for thread in floods:
            thread.start()
        until(lambda: answered() > 20)
        ended.set()
    for thread in floods:
        thread.join()


def _clog(client: Client) -> None:
    """Send commands and read no reply, until no more are taken."""
    client.socket.settimeout(0.3)
    try:
        while True:
            client.socket.send(b"EHLO c\r\n" * 1000)
    except TimeoutError:
        return


def test_clients_that_never_read_and_stalled_handshakes_harm_nobody(target: Target) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(target.connect()) for _ in range(200)]
        for client in clients[:100]:
            client.socket.sendall(b"EHLO c\r\nSTARTTLS\r\n")
        for client in clients[100:103]:
            _clog(client)
        with served(target) as answered:
            replies = [target.submit(b"\r\nhi\r\n") for _ in range(20)]
            until(lambda: answered() > 20)

    assert all(reply.startswith(b"250") for reply in replies)


def test_client_that_never_reads_is_let_go_after_the_timeout(tmp_path: Path) -> None:
    with attacked(tmp_path, smtp="timeout_seconds = 1") as target, target.connect() as client:
        _clog(client)

        until(lambda: target.status()["sessions"] == 0)


# ---- content ----

HOSTILE = {
    "nothing": b"",
    "no header": b"hello\r\n",
    "8 bit": b"Subject: \xff\xfe\r\nFrom: \xc3\x28\r\n\r\n\xe4\xf6\xfc\x80\r\n",
    "dots": b"Subject: dots\r\n\r\n" + b"..\r\n" * 50_000,
    "one line of 25 MB": b"Subject: long\r\n\r\n" + b"x" * 25_000_000 + b"\r\n",
    "25 MB of header": b"X-A: bbbbbb\r\n" * 1_900_000 + b"\r\n",
    "25 MB in one field": b"X-A: b\r\n" + (b" " + b"c" * 60 + b"\r\n") * 390_000 + b"\r\n",
    "30,000 fields": b"a:\r\n" * 30_000 + b"\r\nhi\r\n",
    "1,000 deep": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1000)
    ),
    "20,000 parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nhi\r\n" * 20_000 + b"--b--\r\n",
    "bad encodings": b"Content-Type: text/html; charset=utf-7-x\r\nContent-Transfer-Encoding: base64\r\n"
    b"Subject: =?x-unknown?b?////?= =?utf-8?q?=ED=A0=80?=\r\nDate: never\r\n\r\n!!!!\xff====\r\n",
    "nested html": b"Content-Type: text/html\r\n\r\n" + b"<div><table><a href=" * 100_000 + b"\r\n",
    "99 Received": b"Received: from a by b; now\r\n" * 99 + b"\r\nhi\r\n",
}


def test_message_over_a_slow_line_is_taken_however_long_it_lasts(tmp_path: Path) -> None:
    with attacked(tmp_path, smtp="timeout_seconds = 1") as target, target.connect() as client:
        client.open_data(target.address())
        began = time.monotonic()
        while time.monotonic() < began + 2:
            client.socket.sendall(b"slow but steady\r\n" * 512)
            target.status()

        assert client.ask(b".\r\n").startswith(b"250")


def _answered(target: Target, content: bytes, to: bytes = b"") -> bytes:
    """The reply to hostile content; somebody else has his while it is looked at."""
    with served(target) as answered:
        reply = target.submit(content, to)
        until(lambda: answered() > 0, PROMPT)
    return reply


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_is_answered_at_once_and_never_put_off(target: Target, name: str) -> None:
    assert _answered(target, HOSTILE[name])[:1] in (b"2", b"5")


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(tmp_path_factory.mktemp("reading"), '[dkim]\ndomain = "relay.example"', model="shipped") as running:
        yield running


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_passes_the_workers_with_its_body_unchanged(reading: Target, name: str) -> None:
    to = reading.address()

    reply = _answered(reading, HOSTILE[name], to)

    assert reply[:1] in (b"2", b"5")
    if reply.startswith(b"250") and b"held" not in reply:
        mails = reading.sink.wait_until(lambda: to.decode() in reading.sink.addresses())
        (received,) = [mail for mail in mails if to.decode() in mail.recipients]
        assert received.content.endswith(_body_of(canonical(HOSTILE[name])))


def _body_of(content: bytes) -> bytes:
    _, end, body = content.partition(b"\r\n\r\n")
    return body if end else content


def test_worker_and_template_killed_under_load_cost_no_mail(reading: Target) -> None:
    before = reading.counts()["held"]
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.3):
            for pid in _children(reading.process.pid):
                for victim in (*_children(pid), pid):
                    try:
                        os.kill(victim, signal.SIGKILL)
                    except ProcessLookupError:
                        continue

    thread = threading.Thread(target=kill)
    thread.start()
    addresses = [reading.address() for _ in range(20)]
    replies = [reading.submit(b"Subject: hello\r\n\r\nhow are you\r\n", to) for to in addresses]
    ended.set()
    thread.join()

    assert all(reply.startswith(b"250") for reply in replies)
    held = reading.counts()["held"] - before
    wanted = {to.decode() for to in addresses}
    reading.sink.wait_until(lambda: len(wanted & set(reading.sink.addresses())) == len(wanted) - held)
    until(lambda: reading.submit(b"Subject: again\r\n\r\nback\r\n").startswith(b"250 2.0.0 queued"), PROMPT)


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(word) for word in text.split()]


def test_mail_loop_is_refused_and_recorded(target: Target) -> None:
    reply = target.submit(b"Received: from a by b; now\r\n" * 100 + b"\r\nround and round\r\n")

    assert reply.startswith(b"554 5.4.6")
    until(lambda: any(record["rule"] == "mail_loop" for record in target.records("Rejection")))


def test_refusals_of_known_accounts_are_recorded_and_those_of_strangers_only_counted(target: Target) -> None:
    with target.connect() as client:
        client.ask(b"EHLO c\r\n")
        assert client.ask(b"MAIL FROM:<stranger@x.example>\r\n").startswith(b"530")
    with target.connect() as client:
        client.log_in()
        client.ask(b"MAIL FROM:<known@acme.example>\r\n")
        assert client.ask(b"RCPT TO:<nobody\r\n").startswith(b"553")
        client.ask(b"RCPT TO:<" + target.address() + b">\r\n")
        client.ask(b"DATA\r\n")
        assert client.ask(b"\r\nbare\nline\r\n.\r\n").startswith(b"550 5.6.11")

    def refusals() -> list[tuple[str, str]]:
        records = [record for record in target.records("Rejection") if record["mail_from"] == "known@acme.example"]
        return [(record["stage"], record["rule"]) for record in records]

    until(lambda: len(refusals()) == 2)
    assert refusals() == [("rcpt", "bad_address"), ("data", "bare_line_end")]
    assert all(record["mail_from"] != "stranger@x.example" for record in target.records("Rejection"))


# ---- who may relay ----


def test_login_in_clear_text_is_forgotten_when_tls_begins_and_tls_begins_once(target: Target) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with target.connect() as client:
        client.log_in()
        assert client.ask(b"STARTTLS\r\n").startswith(b"220")
        client.socket = context.wrap_socket(client.socket)
        assert client.ask(b"EHLO c\r\n").startswith(b"250")

        assert client.ask(b"STARTTLS\r\n").startswith(b"503 5.5.1")
        assert client.ask(b"MAIL FROM:<a@acme.example>\r\n").startswith(b"530")
        assert client.ask(b"RCPT TO:<x@d.example>\r\n").startswith(b"550 5.7.1")


def test_login_changes_no_transaction(target: Target) -> None:
    with target.connect() as client:
        client.log_in()
        client.ask(b"MAIL FROM:<a@acme.example>\r\n")

        assert client.ask(LOGIN).startswith(b"503")


# ---- clients that go ----


def test_client_that_leaves_at_the_dot_leaves_nothing_behind_in_the_spool(target: Target) -> None:
    for _ in range(60):
        client = target.connect()
        client.open_data(target.address())
        client.socket.sendall(b"\r\ngone\r\n.\r\n")
        client.reset()

    until(lambda: target.counts()["recipients"] == 0, 30, lambda: str(target.counts()))
    addresses = target.sink.addresses()
    assert len(addresses) == len(set(addresses))


def test_nothing_in_the_log_looks_like_a_crash(target: Target) -> None:
    with target.connect() as client:
        client.ask(b"EHLO c\r\n")
        client.ask(b"STARTTLS\r\n")
        client.socket.sendall(b"this is no handshake\r\n" * 20)
        while client.reply():
            pass

    until(lambda: target.submit(b"\r\nhi\r\n").startswith(b"250"))
    assert "Traceback" not in target.log()
    assert "socket.send() raised" not in target.log()


# ---- disks and files ----


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


def test_full_disk_puts_mail_off_and_ends_without_a_restart(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "12m"), attacked(tmp_path) as target:
        accepted = target.submit(b"\r\nbefore\r\n", b"slow-1@d.example")
        filler, filled = fill(tmp_path / "data"), time.monotonic()
        until(lambda: "commit failed" in target.log())
        full = [target.submit(b"\r\nfull\r\n" + b"y" * 900 + b"\r\n") for _ in range(20)]
        until(lambda: time.monotonic() > filled + 2.5)  # the outcome of the first is tried again each 0.5 s
        filler.unlink()
        until(lambda: target.submit(b"\r\nafter\r\n", b"after@d.example").startswith(b"250"))

        assert accepted.startswith(b"250")
        assert full[-1].startswith(b"452 4.3.1")
        until(lambda: target.counts()["recipients"] == 0)
        taken = 2 + sum(reply.startswith(b"250") for reply in full)
        until(lambda: len(target.records("Delivery")) >= taken)
        assert len(target.sink.addresses()) == taken
        assert len(target.records("Delivery")) == taken
        assert target.log().count("commit failed") == 1


def _garbage(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is no database at all, but long enough to be looked at\n" * 100)


def _holed_index(path: Path) -> None:
    """A database whose header is whole and whose pages are not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(
        "PRAGMA journal_mode = WAL;"
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE message (x);"
    )
    connection.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x5a" * (len(data) - 4096)
    path.write_bytes(data)


def _in_the_way(path: Path) -> None:
    if path.is_dir():
        path.rmdir()
    path.write_text("a file where a folder should be")


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("spool/index.sqlite", _garbage),
        ("spool/index.sqlite", _holed_index),
        ("state.sqlite", _garbage),
        ("journal", _in_the_way),
        ("spool", _in_the_way),
    ],
)
def test_start_on_broken_files_says_which_and_touches_nothing(
    tmp_path: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    with Sink() as sink:
        site = install(tmp_path, sink)
    spoil(site.data / name)
    before = (site.data / name).read_bytes()

    status = site.start().wait(30)

    said = (tmp_path / "process.log").read_text()
    assert status == 1
    assert str(site.data / name) in said
    assert "Traceback" not in said
    assert (site.data / name).read_bytes() == before


def test_foreign_files_in_the_folders_hinder_nothing(tmp_path: Path) -> None:
    with Sink() as sink:
        site = install(tmp_path, sink)
        for name in (
            "spool/99999999.seg",
            "spool/\u00b2\u00b3.seg",
            "spool/7.seg",
            "spool/core",
            "journal/relay.jsonl",
        ):
            (site.data / name).parent.mkdir(exist_ok=True)
            (site.data / name).write_bytes(b"not ours")
        (site.data / "spool" / "00000003.seg").mkdir()
        (site.data / "secret.key").touch()  # what a full disk leaves behind
        (site.data / "journal" / "relay-mw1-20200101T000000Z-1-00000001.jsonl.open").write_bytes(b'{"torn')

        for _ in range(2):
            with site.running() as process:
                target = Target(site, sink, process)
                assert target.submit(b"\r\nhi\r\n").startswith(b"250")
                until(lambda: target.counts()["recipients"] == 0)  # noqa: B023

        assert (site.data / "spool" / "99999999.seg").read_bytes() == b"not ours"
        assert len((site.data / "secret.key").read_bytes()) == 32
        assert len(sink.wait_for(2)) == 2


def test_damaged_segment_costs_only_its_own_messages(tmp_path: Path) -> None:
    with Sink() as sink:
        site = install(tmp_path, sink)
        closed = Installation(tmp_path, smtp=site.smtp)
        with site.running() as process:
            target = Target(site, sink, process)
            assert target.submit(b"\r\nwill rot\r\n", b"grey@d.example").startswith(b"250")
            until(lambda: target.records("Deferral"))
            process.kill()
            process.wait()
        (segment,) = closed.data.glob("spool/*.seg")
        segment.write_bytes(segment.read_bytes().replace(b"will rot", b"has rott"))

        with site.running() as process:
            target = Target(site, sink, process)
            assert target.submit(b"\r\nhealthy\r\n", b"healthy@d.example").startswith(b"250")
            until(lambda: target.counts()["recipients"] == 0)
            until(lambda: target.records("Bounce"))

        assert sorted(sink.addresses()) == ["a@acme.example", "healthy@d.example"]


def test_stop_during_a_transaction_finishes_it(tmp_path: Path) -> None:
    with attacked(tmp_path) as target, target.connect() as client, target.connect() as idle:
        client.open_data(b"last@d.example")
        target.process.send_signal(signal.SIGTERM)

        assert idle.reply().startswith(b"421")
        assert client.ask(b"\r\nlast words\r\n.\r\n").startswith(b"250")
        assert target.process.wait(10) == 0
