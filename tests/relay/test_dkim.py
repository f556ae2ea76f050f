"""Our DKIM signature, checked by another implementation over real and odd mail; header repairs; the key's file."""

import re
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from relay.content.assess import Assessor
from relay.content.protocol import ContentRequest, Signer
from relay.delivery.signing.dkim import missing_headers, names_in_signatures
from relay.delivery.signing.dkim_keys import dns_record, ensure_key, load_key

RECEIVED_UNIX = 1_795_500_000.5
EXTRA = b"X-Mailweir-Ref: abc123\r\n"
RELAXED = (b"relaxed", b"relaxed")
SIGNERS = [Signer("example.com", "mw1", "one")]


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return ensure_key(tmp_path_factory.mktemp("dkim") / "example.com.mw1.pem")


def signed(content: bytes, pem: bytes, signers: list[Signer] = SIGNERS) -> bytes:
    request = ContentRequest(content, "a@example.com", "mx.example.com", RECEIVED_UNIX, EXTRA, signers)
    [result] = Assessor(None, {"one": pem}).assess([request])
    assert result.error == ""
    return result.prefix + content


def verifies(message: bytes, pem: bytes, index: int = 0) -> bool:
    """Whether a receiver finds the signature good; over the wire every message ends in CRLF."""
    wire = message if message.endswith(b"\r\n") else message + b"\r\n"
    record = dns_record(pem).encode()
    try:
        return bool(dkim.DKIM(wire).verify(idx=index, dnsfunc=lambda name, timeout=5: record))
    except dkim.ValidationError:
        return False


BODIES = {
    "plain": b"Hello\r\n",
    "no end": b"Hello",
    "empty": b"",
    "blank lines": b"\r\n\r\n\r\n",
    "blank end": b"Hello\r\n\r\n \r\n\t\r\n\r\n",
    "white space": b" lead  two\ttab \r\n\r\n\tx \t y\t\r\n",
    "end space": b"Hello  ",
    "eight bit": "Grüße  aus Köln\r\n".encode(),
    "long": b"x" * 5000 + b"\r\n" * 6000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_the_signature_holds_over_any_body(body: bytes, pem: bytes) -> None:
    assert verifies(signed(b"From: a@example.com\r\nSubject: x\r\n\r\n" + body, pem), pem)


HEADERS = {
    "folded": b"From: A\r\n  <a@example.com>\r\nSubject: =?utf-8?q?a?=\r\n\t  b  \r\n",
    "repeated": b"To: a@b.example\r\nFrom: a@example.com\r\nTo: c@d.example\r\nReferences: <1>\r\nReferences: <2>\r\n",
    "two authors": b"From: a@example.com\r\nFrom: b@example.com\r\n",
    "odd names": b"FROM: a@example.com\r\nsUbJeCt:x\r\nList-Unsubscribe: <https://x.example/>\r\n",
    "own reference": b"From: a@example.com\r\nX-Mailweir-Ref: forged\r\n",
    "raw bytes": "From: Jürgen <a@example.com>\r\nSubject: ä\x0c\x0b x\r\n".encode(),
}


@pytest.mark.parametrize("head", HEADERS.values(), ids=HEADERS.keys())
def test_the_signature_holds_over_any_header(head: bytes, pem: bytes) -> None:
    assert verifies(signed(head + b"\r\nbody\r\n", pem), pem)


@pytest.mark.parametrize("added", [b"From: evil@example.net\r\n"])
def test_a_second_author_breaks_the_signature(added: bytes, pem: bytes) -> None:
    message = signed(b"From: a@example.com\r\n\r\nbody\r\n", pem)

    assert verifies(message, pem)
    assert not verifies(added + message, pem)
    assert not verifies(message.replace(b"\r\n\r\n", b"\r\n" + added + b"\r\n", 1), pem)


def test_a_message_of_header_lines_only_is_signed(pem: bytes) -> None:
    assert verifies(signed(b"From: a@example.com\r\nSubject: x\r\n", pem), pem)


def test_body_subject_and_reference_are_covered(pem: bytes) -> None:
    message = signed(b"From: a@example.com\r\nSubject: offer\r\n\r\nbody\r\n", pem)

    for before, after in ((b"body", b"bodies"), (b"offer", b"offers"), (b"abc123", b"abc124")):
        assert not verifies(message.replace(before, after), pem)


def test_two_signers_both_hold(pem: bytes) -> None:
    message = signed(b"From: a@example.com\r\n\r\nbody\r\n", pem, [*SIGNERS, Signer("example.org", "s2", "one")])

    assert verifies(message, pem, 0)
    assert verifies(message, pem, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: no author\r\n\r\nx\r\n",
        b"From: a@example.com\r\nno field\r\n\r\nx\r\n",
        b"From : a@example.com\r\n\r\nx\r\n",
        b"",
    ],
)
def test_what_readers_would_not_agree_on_is_not_signed(content: bytes, pem: bytes) -> None:
    assert b"DKIM-Signature" not in signed(content, pem)


def test_missing_headers_are_added_and_signed(pem: bytes) -> None:
    message = signed(b"From: a@example.com\r\n\r\nbody\r\n", pem)

    assert re.search(rb"\r\nDate: Tue, 24 Nov 2026 \d\d:\d\d:\d\d \+0000\r\n", message)
    assert re.search(rb"\r\nMessage-ID: <[0-9a-f.]+@mx\.example\.com>\r\n", message)
    assert not verifies(message.replace(b"Date: Tue", b"Date: Wed"), pem)
    assert missing_headers({b"date", b"message-id"}, "h", RECEIVED_UNIX) == []


def test_what_the_author_signed_as_absent_is_not_added(pem: bytes) -> None:
    content = b"From: a@author.example\r\nSubject: hello\r\n\r\nbody\r\n"
    names = [b"from", b"date", b"message-id", b"subject"]
    of_author = dkim.sign(content, b"s", b"author.example", pem, include_headers=names, canonicalize=RELAXED) + content

    message = signed(of_author, pem)

    assert verifies(message, pem, index=0)
    assert verifies(message, pem, index=1)
    assert b"\r\nDate:" not in message


def test_what_the_author_did_not_sign_is_still_added(pem: bytes) -> None:
    content = b"From: a@author.example\r\n\r\nbody\r\n"
    of_author = dkim.sign(content, b"s", b"author.example", pem, include_headers=[b"from"], canonicalize=RELAXED)

    message = signed(of_author + content, pem)

    assert b"\r\nDate:" in message
    assert b"\r\nMessage-ID:" in message


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (b" v=1; h=From:Date; bh=x", {b"from", b"date"}),
        (b"h=a", {b"a"}),
        (b" v=1;\r\n\th =\r\n\t From : To\r\n\t:DATE", {b"from", b"to", b"date"}),
        (b" v=1; bh=Date; b=h=Date", set()),
        (b"", set()),
    ],
)
def test_names_in_a_signature_are_read_as_verifiers_read_them(value: bytes, names: set[bytes]) -> None:
    assert names == names_in_signatures([(b"From", b" a"), (b"DKIM-Signature", value), (b"X", b"h=x")])


def test_the_signature_holds_over_real_mail(corpora: Path, pem: bytes) -> None:
    checked = 0
    for path in sorted(corpora.glob("bounces/msgs/*.eml"))[::14]:
        content = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"").replace(b"\n", b"\r\n")
        message = signed(content, pem)
        if message.startswith(b"DKIM-Signature"):
            assert verifies(message, pem), path
            checked += 1

    assert checked > 40


def test_a_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "k.pem"

    first = ensure_key(path)

    assert first == ensure_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    key = load_key(first)
    assert isinstance(key, RSAPrivateKey)
    assert key.key_size == 2048


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "k.pem"
    path.write_bytes(b"nonsense")

    with pytest.raises(ValueError):
        ensure_key(path)
