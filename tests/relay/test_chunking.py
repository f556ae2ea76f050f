"""BDAT, large messages and slow clients over a real socket: the session stays in step whatever comes."""

import socket
from pathlib import Path

import pytest

from relay.account import Account
from relay.spool.stored import StoredContent
from tests.relay.test_session import Place, raw, run

HELLO = b"EHLO c.example\r\n"
OPEN = b"MAIL FROM:<a@acme.example>\r\nRCPT TO:<b@d.example>\r\n"
CONTENT = b"Subject: hi\r\n\r\n.dot\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"".join(b"%076d\r\n" % number for number in range(8_000))


def talk(tmp_path: Path, *sent: bytes, account: Account | None = None, **settings: object) -> tuple[list[bytes], Place]:
    """The replies behind EHLO's, and what came in."""
    extra = {"account": account} if account else {}
    answer, place = run(
        tmp_path,
        lambda place: raw(place, HELLO, *sent, b"QUIT\r\n", until=b"221 "),
        allowed="127.0.0.0/8",
        **extra,
        **settings,
    )
    lines = answer.splitlines()
    return lines[next(n for n, line in enumerate(lines) if line.startswith(b"250 ")) + 1 :], place


def bdat(content: bytes, *, last: bool = True) -> bytes:
    return b"BDAT %d%b\r\n" % (len(content), b" LAST" if last else b"") + content


def codes(lines: list[bytes]) -> list[bytes]:
    return [line[:3] for line in lines]


def test_chunking_is_announced_and_binarymime_is_not(tmp_path: Path) -> None:
    answer, _ = run(tmp_path, lambda place: raw(place, HELLO + b"QUIT\r\n", until=b"221 "), allowed="127.0.0.0/8")

    assert b"CHUNKING" in answer
    assert b"BINARYMIME" not in answer


def test_pipelined_chunks_make_one_message_without_unstuffing(tmp_path: Path) -> None:
    chunks = bdat(CONTENT[:20], last=False) + bdat(b"", last=False) + bdat(CONTENT[20:])

    lines, place = talk(tmp_path, OPEN + chunks + OPEN + bdat(CONTENT))

    assert codes(lines) == [b"250"] * 8 + [b"221"]
    assert [message.content for message in place.received] == [CONTENT] * 2


def test_empty_last_chunk_ends_the_message(tmp_path: Path) -> None:
    _, place = talk(tmp_path, OPEN + bdat(CONTENT, last=False) + b"BDAT 0 LAST\r\n")

    assert [message.content for message in place.received] == [CONTENT]


@pytest.mark.parametrize("way", ["data", "bdat"])
def test_large_message_goes_to_a_file(tmp_path: Path, way: str) -> None:
    content = LARGE.replace(b"\r\n.", b"\r\n..")
    sent = bdat(content) if way == "bdat" else b"DATA\r\n" + content + b".\r\n"

    lines, place = talk(tmp_path, OPEN + sent)

    [message] = place.received
    assert codes(lines)[-2:] == [b"250", b"221"]
    assert message.content == b"Subject: large\r\n\r\n"
    assert message.large is not None
    with StoredContent(message.large.path, message.large.place.offset, message.large.place.length) as stored:
        assert message.content + b"".join(stored.pieces()) == LARGE


def test_data_and_rcpt_after_a_chunk_are_out_of_order_and_the_chunks_stand(tmp_path: Path) -> None:
    middle = b"DATA\r\nRCPT TO:<c@d.example>\r\nMAIL FROM:<x@acme.example>\r\n"

    lines, place = talk(tmp_path, OPEN + bdat(CONTENT[:5], last=False) + middle + bdat(CONTENT[5:]))

    assert codes(lines) == [b"250"] * 3 + [b"503"] * 3 + [b"250", b"221"]
    assert [(message.content, message.recipients) for message in place.received] == [(CONTENT, ("b@d.example",))]


@pytest.mark.parametrize("reset", [b"RSET\r\n", HELLO])
def test_reset_forgets_the_chunks(tmp_path: Path, reset: bytes) -> None:
    _, place = talk(tmp_path, OPEN + bdat(LARGE, last=False) + reset + OPEN + bdat(CONTENT))

    assert [message.content for message in place.received] == [CONTENT]
    assert not list(tmp_path.rglob("*.large"))


@pytest.mark.parametrize("ending", [b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n"])
def test_chunks_obey_the_rules_of_data(tmp_path: Path, ending: bytes) -> None:
    lines, place = talk(tmp_path, OPEN + bdat(CONTENT, last=False) + bdat(ending) + OPEN + bdat(LARGE + ending))

    assert codes(lines) == [b"250", b"250", b"250", b"550", b"250", b"250", b"550", b"221"]
    assert place.received == []
    assert not list(tmp_path.rglob("*.large"))


def test_line_end_cut_by_chunks_is_one(tmp_path: Path) -> None:
    _, place = talk(tmp_path, OPEN + bdat(b"A: b\r", last=False) + bdat(b"\n\r", last=False) + bdat(b"\nhi"))

    assert [message.content for message in place.received] == [b"A: b\r\n\r\nhi\r\n"]


def test_oversize_chunk_is_drained_and_the_next_message_passes(tmp_path: Path) -> None:
    too_big = bdat(b"x" * 70_000, last=False) + bdat(b"y" * 10)

    lines, place = talk(tmp_path, OPEN + too_big + OPEN + bdat(CONTENT), max_size_bytes=65_536)

    assert codes(lines) == [b"250", b"250", b"552", b"503", b"250", b"250", b"250", b"221"]
    assert len(place.received) == 1
    assert [(stage, code) for stage, code, _ in place.refusals] == [("data", 552)]


def test_chunk_outside_a_transaction_is_thrown_away(tmp_path: Path) -> None:
    lines, place = talk(tmp_path, bdat(b"QUIT\r\n") + b"MAIL FROM:<a@acme.example>\r\n" + bdat(b"QUIT\r\n"))

    assert codes(lines) == [b"503", b"250", b"554", b"221"]
    assert place.received == []


def test_unknown_word_behind_the_size_is_a_syntax_error_in_step(tmp_path: Path) -> None:
    lines, _ = talk(tmp_path, OPEN + b"BDAT 5 FIRST\r\nQUIT!" + bdat(CONTENT))

    assert codes(lines) == [b"250", b"250", b"501", b"250", b"221"]


@pytest.mark.parametrize("size", [b"", b" ", b" x", b" -1", b" 1.0", " ²".encode(), b" " + b"9" * 30])
def test_chunk_of_unknown_length_ends_the_session(tmp_path: Path, size: bytes) -> None:
    lines, place = talk(tmp_path, OPEN + b"BDAT" + size + b"\r\nRSET\r\nRSET\r\n")

    assert codes(lines) == [b"250", b"250", b"501", b"421"]
    assert place.received == []


def test_client_that_leaves_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    def client(place: Place) -> None:
        with socket.create_connection(("127.0.0.1", place.port), timeout=10) as peer:
            peer.sendall(HELLO + OPEN + bdat(LARGE, last=False) + b"BDAT 100 LAST\r\nhalf")
            answer = b""
            while b"octets received" not in answer:
                answer += peer.recv(4096)

    _, place = run(tmp_path, client, allowed="127.0.0.0/8")

    assert place.received == []
    assert not list(tmp_path.rglob("*.large"))


@pytest.mark.parametrize("begin", [b"DATA\r\n", b"BDAT 100000 LAST\r\n"])
def test_client_slower_than_the_minimum_is_cut_off(tmp_path: Path, begin: bytes) -> None:
    def client(place: Place) -> bytes:
        with socket.create_connection(("127.0.0.1", place.port), timeout=10) as peer:
            peer.sendall(HELLO + OPEN + begin)
            peer.settimeout(0.1)
            answer = b""
            while b"\r\n421 " not in answer:
                try:
                    block = peer.recv(4096)
                except TimeoutError:
                    peer.sendall(b"x")
                    continue
                assert block
                answer += block
            return answer

    answer, place = run(tmp_path, client, allowed="127.0.0.0/8", timeout_seconds=1)

    assert b"421 4.4.2" in answer
    assert place.received == []


def test_account_that_wants_it_gets_bare_line_ends_mended(tmp_path: Path) -> None:
    sent = b"DATA\r\nSubject: hi\n\nline\n.\nQUIT\r\n.\r\n" + OPEN + bdat(LARGE.replace(b"\r\n", b"\n"))
    account = Account("acme", normalises_line_ends=True)

    lines, place = talk(tmp_path, OPEN + sent, account=account)

    assert codes(lines)[-1] == b"221"
    small, large = place.received
    assert small.content == b"Subject: hi\r\n\r\nline\r\n.\r\nQUIT\r\n"
    assert large.content == b"Subject: large\r\n\r\n"
    assert large.large is not None
    assert large.large.place.length == len(LARGE) - len(large.content)
