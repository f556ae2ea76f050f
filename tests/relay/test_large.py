"""Large mail against the relay as a real process: its memory, a full disk, and kill -9 in the middle."""

import threading
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest

from relay.delivery.signing.dkim_keys import dns_record
from tests.builders import until
from tests.relay.test_hostile import Target, attacked, fill, small_disk

HEAD = b"From: a@acme.example\r\nSubject: large\r\nX-AuthUser: joe\r\n\r\n"
BODY = b"".join(b"%076d\r\n" % number for number in range(40_000))
LARGE = HEAD + BODY


def files(target: Target) -> list[Path]:
    return list((target.site.data / "spool").glob("*.large"))


def resident_mb(target: Target, name: str) -> int:
    lines = Path(f"/proc/{target.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(name + ":"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(tmp_path_factory.mktemp("large")) as running:
        yield running


def test_memory_stays_small_while_many_large_messages_come_and_go(target: Target) -> None:
    before, replies = resident_mb(target, "VmHWM"), list[bytes]()
    threads = [threading.Thread(target=lambda: replies.append(target.submit(HEAD + BODY * 4))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: len(target.sink.messages) == 8)
    until(lambda: files(target) == [])

    assert all(reply.startswith(b"250") for reply in replies)
    assert all(mail.content.endswith(b"\r\n\r\n" + BODY * 4) for mail in target.sink.messages)
    # 8 messages of 12 MB: 100 MB and more if they were held
    assert resident_mb(target, "VmHWM") - before < 60


def test_signature_over_a_large_message_holds(tmp_path: Path) -> None:
    with attacked(tmp_path, '[dkim]\ndomain = "acme.example"', model="shipped") as target:
        target.submit(LARGE)
        [mail] = target.sink.wait_for(1, 20)
        record = dns_record((target.site.data / "dkim" / "acme.example.mw1.pem").read_bytes()).encode()

    assert mail.content.endswith(b"\r\n\r\n" + BODY)
    assert b"X-AuthUser" not in mail.content
    assert dkim.DKIM(mail.content).verify(dnsfunc=lambda name, timeout=5: record)


def test_full_disk_in_the_middle_puts_the_message_off_and_the_session_goes_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "12m"), attacked(tmp_path) as target, target.connect() as client:
        client.open_data(target.address())
        client.socket.sendall(LARGE)
        until(lambda: files(target) != [])
        filler = fill(tmp_path / "data")
        reply = client.ask(BODY * 4 + b".\r\n")
        until(lambda: files(target) == [])
        filler.unlink()
        client.ask(b"MAIL FROM:<a@acme.example>\r\n")
        client.ask(b"RCPT TO:<b@d.example>\r\n")
        client.ask(b"DATA\r\n")

        assert reply.startswith(b"452 4.3.1")
        assert client.ask(LARGE + b".\r\n").startswith(b"250")
        [mail] = target.sink.wait_for(1)
        assert mail.content.endswith(b"\r\n\r\n" + BODY)


def test_refused_large_message_leaves_no_file(target: Target) -> None:
    loop = b"Received: from a by b; now\r\n" * 101 + LARGE

    replies = [target.submit(content) for content in (LARGE + b"bare\nend\r\n", LARGE * 9, loop)]

    assert [reply[:9] for reply in replies] == [b"550 5.6.1", b"552 5.3.4", b"554 5.4.6"]
    until(lambda: files(target) == [])


def test_kill_9_leaves_what_was_accepted_and_nothing_else(tmp_path: Path) -> None:
    with attacked(tmp_path) as target:
        accepted = target.submit(LARGE, b"slow-30@d.example")
        with target.connect() as client:
            client.open_data(target.address())
            client.socket.sendall(LARGE)
            until(lambda: len(files(target)) == 2)
        target.process.kill()
        target.process.wait()
        with target.site.running() as process:
            again = Target(target.site, target.sink, process)
            until(lambda: len(files(again)) == 1)
            counts = again.counts()

    assert accepted.startswith(b"250")
    assert (counts["messages"], counts["recipients"]) == (1, 1)
