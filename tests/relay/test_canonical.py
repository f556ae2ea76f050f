"""The canonical form: the rules as such, and that a message in pieces comes out as a whole one does."""

import itertools
import re
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.delivery.body import outgoing, stuffed
from relay.front.canonical import (
    BARE_LINE_END,
    HEADER_MAX,
    HEADER_TOO_BIG,
    NUL_BYTE,
    Canonicaliser,
    canonical,
    header_length,
)
from relay.reply import PermanentError, Reply

_WORDS = [b"\r\n", b".", b"\r", b"\n", b"..", b"\r\n.", b"text", b"\0", b".\r\n", b"x" * 997, b"y" * 998, b"z" * 5000]
_RAW = st.lists(st.sampled_from(_WORDS), max_size=25).map(b"".join)
_CLEAN = st.lists(st.sampled_from([word for word in _WORDS if word not in (b"\r", b"\n", b"\0")]), max_size=25).map(
    b"".join
)
_CUTS = st.lists(st.integers(0, 100_000), max_size=12)


def simple(raw: bytes, *, is_stuffed: bool, normalises: bool) -> bytes | Reply:
    """The rules once more, byte by byte, as plainly as they can be written."""
    lines = re.split(rb"(\r\n|\r|\n)", raw)
    if not normalises and any(end in (b"\r", b"\n") for end in lines[1::2]):
        return BARE_LINE_END
    if b"\0" in raw:
        return NUL_BYTE
    out, is_behind_crlf = b"", True
    for line, end in itertools.zip_longest(lines[::2], lines[1::2], fillvalue=b""):
        text = line[1:] if is_stuffed and is_behind_crlf and line[:1] == b"." else line
        is_behind_crlf = end == b"\r\n"
        out += text[:998]
        for at in range(998, len(text), 997):
            out += b"\r\n " + text[at : at + 997]
        out += b"\r\n" if end or line else b""
    return out


def whole(raw: bytes, *, is_stuffed: bool, normalises: bool) -> bytes | Reply:
    try:
        return canonical(raw, is_stuffed=is_stuffed, normalises=normalises)
    except PermanentError as error:
        return error.reply


def pieced(raw: bytes, cuts: list[int], *, is_stuffed: bool, normalises: bool) -> bytes | Reply:
    form = Canonicaliser(is_stuffed=is_stuffed, normalises=normalises)
    bounds = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    out = b"".join([*(form.feed(raw[start:end]) for start, end in itertools.pairwise(bounds)), form.close()])
    return form.refusal or out


@given(_RAW, st.booleans(), st.booleans())
@example(b".\r\n\r\n.", True, False)
@example(b"\r\n.\n.\r\n", True, True)
def test_whole_message_follows_the_rules(raw: bytes, is_stuffed: bool, normalises: bool) -> None:
    assert whole(raw, is_stuffed=is_stuffed, normalises=normalises) == simple(
        raw, is_stuffed=is_stuffed, normalises=normalises
    )


@given(_RAW | _CLEAN, _CUTS, st.booleans(), st.booleans())
@example(b"x" * 998 + b"\r\n", [998, 999], True, False)
@example(b"z" * 20_000 + b"\r\n.", [4990, 4991, 20_001], True, False)
def test_message_in_pieces_comes_out_as_a_whole_one(
    raw: bytes, cuts: list[int], is_stuffed: bool, normalises: bool
) -> None:
    assert pieced(raw, cuts, is_stuffed=is_stuffed, normalises=normalises) == whole(
        raw, is_stuffed=is_stuffed, normalises=normalises
    )


@given(_RAW | _CLEAN)
def test_byte_by_byte_changes_nothing(raw: bytes) -> None:
    raw = raw[:3000]

    assert pieced(raw, list(range(len(raw))), is_stuffed=True, normalises=True) == whole(
        raw, is_stuffed=True, normalises=True
    )


@given(_RAW, st.booleans())
def test_nothing_that_is_let_in_ends_the_data_of_the_next_hop(raw: bytes, normalises: bool) -> None:
    taken = whole(raw, is_stuffed=True, normalises=normalises)

    if isinstance(taken, bytes):
        sent = b"\r\n" + stuffed(taken)
        assert b"\r\n.\r\n" not in sent
        assert sent.count(b"\r") == sent.count(b"\n") == sent.count(b"\r\n")
        assert stuffed(taken) == b"".join(outgoing(taken))


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (b"a\nb\rc\r\n", b"a\r\nb\r\nc\r\n"),
        (b"a\n.\nQUIT\r\n", b"a\r\n.\r\nQUIT\r\n"),
        (b"a\r\n..\nb\r\r\n", b"a\r\n.\r\nb\r\n\r\n"),
        (b"a\r\n.\r\n", b"a\r\n\r\n"),
    ],
)
def test_account_that_wants_it_gets_bare_line_ends_mended(raw: bytes, content: bytes) -> None:
    assert canonical(raw, normalises=True) == content


@pytest.mark.parametrize("raw", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"a\r\n.\rb\r\n", b"a\n.\nb\r\n"])
def test_bare_line_ends_are_refused(raw: bytes) -> None:
    assert whole(raw, is_stuffed=True, normalises=False) == BARE_LINE_END


def test_nul_is_refused_whatever_the_account_wants() -> None:
    assert whole(b"a\0b\r\n", is_stuffed=True, normalises=True) == NUL_BYTE


def test_dots_are_unstuffed_in_data_and_kept_in_chunks() -> None:
    assert canonical(b"..a\r\n..\r\n.b\r\nc.\r\n") == b".a\r\n.\r\nb\r\nc.\r\n"
    assert canonical(b"..a\r\n..\r\n", is_stuffed=False) == b"..a\r\n..\r\n"


def test_last_chunk_without_a_line_end_gets_one() -> None:
    assert canonical(b"a\r\nb", is_stuffed=False) == b"a\r\nb\r\n"


@given(st.lists(st.integers(0, 3000), max_size=6))
def test_folded_lines_keep_every_byte_and_fit(lengths: list[int]) -> None:
    raw = b"".join(b"x" * length + b"\r\n" for length in lengths)

    folded = canonical(raw)

    assert all(len(line) <= 998 for line in folded.split(b"\r\n"))
    assert folded.replace(b"\r\n ", b"") == raw
    assert (folded == raw) is all(length <= 998 for length in lengths)


def test_header_ends_at_its_empty_line() -> None:
    assert header_length(b"A: b\r\n\r\nbody\r\n", is_whole=False) == 8
    assert header_length(b"A: b\r\n", is_whole=False) is None


def test_header_without_end_is_refused_and_a_long_body_is_not() -> None:
    with pytest.raises(PermanentError) as caught:
        canonical(b"A: b\r\n" * (HEADER_MAX // 6 + 1))
    body = b"just text\r\n" * (HEADER_MAX // 11 + 1)

    assert caught.value.reply == HEADER_TOO_BIG
    assert canonical(body) == body
    end = header_length(body, is_whole=True)
    assert end is not None
    assert HEADER_MAX - 998 < end <= HEADER_MAX
    assert body[:end].endswith(b"\r\n")


def test_line_without_end_takes_no_memory() -> None:
    form = Canonicaliser()
    piece = b"x" * 65_536
    tracemalloc.start()

    for _ in range(100):
        form.feed(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1_000_000
