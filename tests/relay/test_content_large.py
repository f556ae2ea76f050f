"""Content by reference: a worker that reads a large message itself finds what it would find in its bytes."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.content.assess import Assessor
from relay.content.model import load
from relay.content.model_files import find_model
from relay.content.protocol import ContentRequest, Signer
from relay.content.window import Windowed
from relay.delivery.signing.body_hash import RelaxedBody
from relay.delivery.signing.dkim import body_hash
from relay.delivery.signing.dkim_keys import ensure_key
from relay.spool.stored import StoredContent

_WORDS = [b"\r\n", b" ", b"\t", b"  ", b"text", b" \r\n", b"\r\n\r\n", b"\t\t\r\n"]
_BODY = st.lists(st.sampled_from(_WORDS), max_size=40).map(b"".join)


@given(_BODY, st.lists(st.integers(0, 500), max_size=8))
def test_body_hash_in_pieces_is_that_of_the_whole(body: bytes, cuts: list[int]) -> None:
    pieced, start = RelaxedBody(), 0
    for end in [*sorted(cut % (len(body) + 1) for cut in cuts), len(body)]:
        pieced.update(body[start:end])
        start = end

    assert pieced.hash() == body_hash(body, 0)


def test_empty_lines_without_end_are_held_back_as_a_number() -> None:
    body = b"text\r\n" + b"\r\n" * 50_000 + b"more\r\n" + b"\r\n" * 10
    pieced = RelaxedBody()

    for start in range(0, len(body), 999):
        pieced.update(body[start : start + 999])

    assert pieced.hash() == body_hash(body, 0)


@given(
    st.integers(0, 400),
    st.integers(0, 400),
    st.sampled_from([b"--b", b"\r\n\r\n", b"absent", b"x"]),
    st.integers(8, 99),
)
def test_window_answers_as_bytes_do(start: int, end: int, wanted: bytes, size: int) -> None:
    content = b"--b\r\n\r\n" + b"x" * 90 + b"\r\n--b\r\n\r\n" + b"y" * 200 + b"--b--"

    with tempfile.NamedTemporaryFile() as file:
        file.write(b"hole" + content + b"record")
        file.flush()
        with StoredContent(Path(file.name), 4, len(content)) as stored:
            window = Windowed(stored, size)

            assert window.find(wanted, start, end) == content.find(wanted, start, end)
            assert window.find(wanted, start) == content.find(wanted, start)
            assert window[start:end] == content[start:end]
            assert window.startswith(wanted, start) == content.startswith(wanted, start)
            assert b"".join(window.pieces(start)) == content[start:]


def _message(parts: int) -> bytes:
    text = b"Your parcel waits, pay the fee at http://pay.example.net/x today. " * 30
    attachment = b"".join(b"%076d\r\n" % number for number in range(20_000))
    head = (
        b"From: Shop <a@example.com>\r\nTo: b@example.net\r\nSubject: Your parcel\r\nDate: now\r\nMessage-ID: <1@x>\r\n"
    )
    mime = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    part = b"--b\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + attachment
    # the text comes last: what stands behind megabytes of attachment counts too
    return head + mime + part * parts + b"--b\r\nContent-Type: text/plain\r\n\r\n" + text + b"\r\n--b--\r\n"


@pytest.mark.parametrize("parts", [1, 3])
def test_large_message_by_reference_gets_the_score_and_the_signature_of_its_bytes(tmp_path: Path, parts: int) -> None:
    assessor = Assessor(load(find_model("shipped")), {"one": ensure_key(tmp_path / "key.pem")})
    content, signers = _message(parts), [Signer("example.com", "mw1", "one")]
    path = tmp_path / "10000000.large"
    path.write_bytes(b"hole" + content + b"record")
    whole = ContentRequest(content, "a@example.com", "mx.example", 1.0, b"X-Mailweir-Ref: 1\r\n", signers)
    head = content[: content.index(b"\r\n\r\n") + 4]
    referred = ContentRequest(
        head, "a@example.com", "mx.example", 1.0, b"X-Mailweir-Ref: 1\r\n", signers, str(path), 4, len(content)
    )

    expected, found = assessor.assess([whole, referred])

    assert found == expected
    assert found.error == ""
    assert found.features.attachments == parts
    assert b"DKIM-Signature" in found.prefix


def test_file_that_has_gone_is_an_answer_without_a_score(tmp_path: Path) -> None:
    request = ContentRequest(b"\r\n", "", "mx.example", 1.0, path=str(tmp_path / "none"), length=300_000)

    [found] = Assessor(None, {}).assess([request])

    assert found.error.startswith("unreadable")
