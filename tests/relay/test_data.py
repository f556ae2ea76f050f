"""DATA and BDAT: any chunking of any bytes gives the same message or the same refusal, in memory and on disk."""

import asyncio
import errno
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.front.canonical import BARE_LINE_END, HEADER_MAX, HEADER_TOO_BIG, canonical
from relay.front.data import read_chunk, read_data
from relay.front.incoming import TOO_BIG, Incoming
from relay.reply import DISK_FULL, RelayError, Reply
from relay.spool.large import LARGE_BYTES, LargeFile, LargeFiles
from relay.spool.stored import StoredContent

_WORDS = [b"\r\n", b".", b"\r", b"\n", b"..", b"\r\n.", b"text", b"\0", b".\r\n", b"x" * 50, b"A: b\r\n", b"\r\n\r\n"]
_PIECES = st.lists(st.sampled_from(_WORDS), max_size=30).map(b"".join)
_SOUND = st.lists(
    st.sampled_from([b"A: b\r\n", b"\r\n", b"text\r\n", b"..\r\n", b"y" * 300 + b"\r\n"]), max_size=30
).map(b"".join)
_CUTS = st.lists(st.integers(0, 10_000), max_size=8)
_MEMORY = st.sampled_from([16, 200, LARGE_BYTES])


@dataclass
class Outcome:
    """What became of a message: its content or the refusal, what the reader left, whether it was large."""

    message: bytes | Reply
    rest: bytes
    is_large: bool = False


class Folder:
    """Where large files go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = LargeFiles(path, ())
        self.opened = 0
        self.is_full = False

    async def open(self, hole: int) -> LargeFile:
        self.opened += 1
        return await self.files.open(hole)

    def names(self) -> list[str]:
        return os.listdir(self.path)


@contextmanager
def folder() -> Iterator[Folder]:
    with tempfile.TemporaryDirectory() as path:
        place = Folder(Path(path))
        try:
            yield place
        finally:
            place.files.close()


async def ended(incoming: Incoming, rest: bytes = b"") -> Outcome:
    try:
        head, large = await incoming.finish()
    except RelayError as error:
        return Outcome(error.reply, rest)
    if large is None:
        return Outcome(head, rest)
    await large.seal(head)
    with StoredContent(large.path, large.place.offset, large.place.length) as stored:
        content = stored.piece(0, len(stored))
        assert stored.checksum() == large.crc
    large.close()
    return Outcome(content, rest, is_large=True)


def received(
    stream: bytes, cuts: list[int], limit: int = 1 << 25, memory: int = LARGE_BYTES, *, normalises: bool = False
) -> Outcome:
    """The message that a DATA reader makes of `stream`, which comes in the pieces that `cuts` make of it."""

    async def story(place: Folder) -> Outcome:
        reader = asyncio.StreamReader(limit=65_536)
        bounds = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]

        async def feed() -> None:
            for start, end in itertools.pairwise(bounds):
                if end > start:
                    reader.feed_data(stream[start:end])
                    await asyncio.sleep(0)
            reader.feed_eof()

        feeder = asyncio.create_task(feed())
        incoming = Incoming(limit, place.open, is_stuffed=True, normalises=normalises, memory_bytes=memory)
        await read_data(reader, incoming)
        await feeder
        return await ended(incoming, await reader.read())

    with folder() as place:
        outcome = asyncio.run(story(place))
        place.files.close()
        assert place.names() == []
    return outcome


def chunked(chunks: list[bytes], limit: int = 1 << 25, memory: int = LARGE_BYTES) -> Outcome:
    """The message that BDAT makes of `chunks`."""

    async def story(place: Folder) -> Outcome:
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(chunks) + b"QUIT\r\n")
        reader.feed_eof()
        incoming = Incoming(limit, place.open, is_stuffed=False, normalises=False, memory_bytes=memory)
        for chunk in chunks:
            await read_chunk(reader, len(chunk), incoming, lambda count: None)
        return await ended(incoming, await reader.read())

    with folder() as place:
        return asyncio.run(story(place))


def expected(raw: bytes, *, is_stuffed: bool = True, normalises: bool = False) -> bytes | Reply:
    try:
        return canonical(raw, is_stuffed=is_stuffed, normalises=normalises)
    except RelayError as error:
        return error.reply


@given(_PIECES | _SOUND, _CUTS, _MEMORY, st.booleans())
def test_chunking_changes_nothing_in_memory_or_on_disk(
    body: bytes, cuts: list[int], memory: int, normalises: bool
) -> None:
    whole = b"\r\n" + body + b"\r\n.\r\nNOOP\r\n"
    end = whole.index(b"\r\n.\r\n")

    outcome = received(whole[2:], cuts, memory=memory, normalises=normalises)

    assert outcome.message == expected(whole[2 : end + 2], normalises=normalises)
    assert outcome.rest == whole[end + 5 :]
    assert outcome.is_large is (isinstance(outcome.message, bytes) and end > memory)


@given(_PIECES | _SOUND, _CUTS, _MEMORY)
def test_chunks_are_put_together_as_they_come(raw: bytes, cuts: list[int], memory: int) -> None:
    bounds = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]

    outcome = chunked([raw[start:end] for start, end in itertools.pairwise(bounds)], memory=memory)

    assert outcome.message == expected(raw, is_stuffed=False)
    assert outcome.rest == b"QUIT\r\n"


@given(st.integers(0, 400), st.integers(0, 400), _CUTS, _MEMORY)
def test_size_limit_is_the_same_for_every_chunking(size: int, limit: int, cuts: list[int], memory: int) -> None:
    raw = (b"x" * size + b"\r\n")[:size] if size < 2 else b"x" * (size - 2) + b"\r\n"
    raw = raw if raw.endswith(b"\r\n") else b""

    outcome = received(raw + b".\r\nQUIT\r\n", cuts, limit=limit, memory=memory)

    assert outcome.message == (TOO_BIG if len(raw) > limit else raw)
    assert outcome.rest == b"QUIT\r\n"


def test_client_that_leaves_before_the_dot_is_refused() -> None:
    with pytest.raises(ConnectionResetError):
        received(b"Subject: x\r\n\r\nhalf", [])


def test_too_large_message_is_read_to_its_end_and_refused() -> None:
    outcome = received(b"x" * 5000 + b"\r\n.\r\nQUIT\r\n", [1, 1000, 4999, 5001, 5003], limit=1000)

    assert (outcome.message, outcome.rest) == (TOO_BIG, b"QUIT\r\n")


def test_message_of_many_pieces_keeps_every_byte() -> None:
    raw = b"Subject: big\r\n\r\n" + b"".join(b"%076d\r\n" % number for number in range(20_000))

    outcome = received(raw + b".\r\n", [number * 50_021 for number in range(30)])

    assert outcome.is_large
    assert outcome.message == raw


def test_refusal_late_in_a_large_message_leaves_no_file() -> None:
    raw = b"Subject: big\r\n\r\n" + b"y" * 70 + b"\r\n"

    outcome = received(raw * 10_000 + b"one bare\nline end\r\n.\r\nQUIT\r\n", [])

    assert (outcome.message, outcome.rest) == (BARE_LINE_END, b"QUIT\r\n")


def test_large_header_is_taken_up_to_its_limit_and_not_beyond() -> None:
    line = b"A: " + b"b" * 60 + b"\r\n"
    within, beyond = line * (HEADER_MAX // len(line) - 1), line * (HEADER_MAX // len(line) + 20)

    assert received(within + b"\r\nbody\r\n.\r\n", []).message == within + b"\r\nbody\r\n"
    assert received(beyond + b"\r\nbody\r\n.\r\n", []).message == HEADER_TOO_BIG


def test_full_disk_drains_the_message_and_says_452(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)

    outcome = received(b"A: b\r\n\r\n" + b"y" * 70 + b"\r\n" + b"z" * 500_000 + b"\r\n.\r\nQUIT\r\n", [100_000])

    assert (outcome.message, outcome.rest) == (DISK_FULL, b"QUIT\r\n")


def test_what_is_wrong_with_the_message_counts_more_than_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)

    assert received(b"A: b\r\n\r\n" + b"z" * 500_000 + b"a\nb\r\n.\r\n", []).message == BARE_LINE_END
