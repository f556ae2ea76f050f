"""The DATA reader: any chunking of any bytes gives the same message or the same refusal."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.front.data import BARE_LINE_END, NUL_BYTE, canonical, read_data
from relay.reply import PermanentError

_PIECES = st.lists(
    st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"..", b"\r\n.", b"text", b"\0", b".\r\n", b"x" * 50]), max_size=30
).map(b"".join)


def _read(stream: bytes, cuts: list[int], limit: int = 1 << 20) -> tuple[bytes | None, bytes]:
    async def story() -> tuple[bytes | None, bytes]:
        reader = asyncio.StreamReader(limit=65_536)
        bounds = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]

        async def feed() -> None:
            for start, end in itertools.pairwise(bounds):
                if end > start:
                    reader.feed_data(stream[start:end])
                    await asyncio.sleep(0)
            reader.feed_eof()

        feeder = asyncio.create_task(feed())
        found = await read_data(reader, limit)
        await feeder
        return found, await reader.read()

    return asyncio.run(story())


@given(_PIECES, st.lists(st.integers(0, 10_000), max_size=8))
def test_chunking_changes_nothing(body: bytes, cuts: list[int]) -> None:
    stream = body + b"\r\n.\r\nNOOP\r\n"

    assert _read(stream, []) == _read(stream, cuts)


@given(_PIECES)
def test_only_crlf_dot_crlf_ends_data(body: bytes) -> None:
    raw, rest = _read(body + b"\r\n.\r\nNOOP\r\n", [])

    assert raw is not None
    whole = b"\r\n" + body + b"\r\n.\r\nNOOP\r\n"
    end = whole.index(b"\r\n.\r\n")
    assert raw == whole[2 : end + 2]
    assert rest == whole[end + 5 :]


def test_client_that_leaves_before_the_dot_is_refused() -> None:
    with pytest.raises(ConnectionResetError):
        _read(b"Subject: x\r\n\r\nhalf", [])


def test_too_large_message_is_read_to_its_end_and_refused() -> None:
    assert _read(b"x" * 5000 + b"\r\n.\r\nQUIT\r\n", [1, 1000, 4999, 5001, 5003], limit=1000) == (None, b"QUIT\r\n")


@pytest.mark.parametrize("raw", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"a\r\n.\rb\r\n", b"a\n.\nb\r\n"])
def test_bare_line_ends_are_refused(raw: bytes) -> None:
    with pytest.raises(PermanentError) as caught:
        canonical(raw)
    assert caught.value.reply == BARE_LINE_END


def test_nul_is_refused() -> None:
    with pytest.raises(PermanentError) as caught:
        canonical(b"a\0b\r\n")
    assert caught.value.reply == NUL_BYTE


def test_dots_are_unstuffed() -> None:
    assert canonical(b"..a\r\n..\r\n.b\r\nc.\r\n") == b".a\r\n.\r\nb\r\nc.\r\n"


@given(st.lists(st.integers(0, 3000), max_size=6))
def test_folded_lines_keep_every_byte_and_fit(lengths: list[int]) -> None:
    raw = b"".join(b"x" * length + b"\r\n" for length in lengths)

    folded = canonical(raw)

    assert all(len(line) <= 998 for line in folded.split(b"\r\n"))
    assert folded.replace(b"\r\n ", b"") == raw
    assert (folded == raw) is all(length <= 998 for length in lengths)
