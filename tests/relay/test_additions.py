"""Lines that a message gets only where it lacks them, and lines of each recipient, all under the signature."""

import asyncio

import dkim
import pytest

from relay.content.assess import Assessor
from relay.content.bare import BareContent
from relay.content.protocol import ContentRequest, ContentResult, Signer, extra_seconds
from relay.content.workers import ContentPool
from relay.delivery.signing.dkim_keys import dns_record, ensure_key

OFFERED = [b"Feedback-ID: a:b:c:mailweir\r\n"]
OWN = [
    b"List-Unsubscribe: <https://relay.example/u/%d>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" % number
    for number in (1, 2, 3)
]
SIGNERS = [Signer("example.com", "mw1", "one")]
MAIL = b"From: a@example.com\r\nSubject: x\r\n\r\nHello\r\n"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return ensure_key(tmp_path_factory.mktemp("dkim") / "example.com.mw1.pem")


def assessed(
    pem: bytes, content: bytes = MAIL, own: list[bytes] = OWN, signers: list[Signer] = SIGNERS
) -> ContentResult:
    request = ContentRequest(
        content, "a@example.com", "mx.example.com", 1_795_500_000.5, sign=signers, offered=OFFERED, own=own
    )
    [result] = Assessor(None, {"one": pem}).assess([request])
    assert result.error == ""
    return result


def verifies(message: bytes, pem: bytes) -> bool:
    record = dns_record(pem).encode()
    try:
        return bool(dkim.DKIM(message).verify(dnsfunc=lambda name, timeout=5: record))
    except dkim.ValidationError:
        return False


def test_fields_that_belong_together_come_together_or_not_at_all(pem: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = b"CFBL-Address: fbl@example.com; report=arf\r\nCFBL-Feedback-ID: abc\r\n"
    monkeypatch.setattr("tests.relay.test_additions.OFFERED", [*OFFERED, pair])

    result = assessed(pem, own=[])
    others = [
        assessed(pem, own + MAIL, own=[]) for own in (b"CFBL-Feedback-ID: x\r\n", b"cfbl-address: a@b.example\r\n")
    ]

    assert pair in result.prefix
    signature = result.prefix.partition(b"bh=")[0].lower()
    assert b"cfbl-address" in signature
    assert b"cfbl-feedback-id" in signature
    assert verifies(result.prefix + MAIL, pem)
    assert not verifies((result.prefix + MAIL).replace(b"fbl@example.com", b"fbl@examp1e.com"), pem)
    assert [b"CFBL" in other.prefix for other in others] == [False, False]
    assert all(OFFERED[0] in other.prefix for other in others)


def test_each_recipients_own_lines_are_under_its_own_signature(pem: bytes) -> None:
    result = assessed(pem)

    assert [own in prefix for own, prefix in zip(OWN, result.prefixes, strict=True)] == [True] * 3
    assert [verifies(prefix + MAIL, pem) for prefix in result.prefixes] == [True] * 3
    assert [verifies((prefix + MAIL).replace(b"/u/", b"/v/"), pem) for prefix in result.prefixes] == [False] * 3
    assert not verifies((result.prefixes[0] + MAIL).replace(b"=One-Click", b"=Evil"), pem)
    signature = result.prefixes[0].partition(b"bh=")[0].lower()
    assert all(name in signature for name in (b"list-unsubscribe:", b"list-unsubscribe-post", b"feedback-id"))


def test_the_prefix_of_all_names_no_recipient_then(pem: bytes) -> None:
    result = assessed(pem)

    assert b"List-Unsubscribe" not in result.prefix
    assert b"DKIM-Signature" not in result.prefix
    assert OFFERED[0] in result.prefix


def test_without_own_lines_there_is_one_signed_prefix(pem: bytes) -> None:
    result = assessed(pem, own=[])

    assert result.prefixes == []
    assert verifies(result.prefix + MAIL, pem)


@pytest.mark.parametrize(
    "field", [b"list-unsubscribe: <mailto:u@x.example>", b"List-Unsubscribe-Post: List-Unsubscribe=One-Click"]
)
def test_the_authors_own_list_headers_win(field: bytes, pem: bytes) -> None:
    result = assessed(pem, field + b"\r\n" + MAIL)

    assert result.prefixes == []
    assert b"/u/" not in result.prefix
    assert verifies(result.prefix + field + b"\r\n" + MAIL, pem)


def test_a_name_signed_as_absent_is_not_added(pem: bytes) -> None:
    signed = b"DKIM-Signature: v=1; h=From:List-Unsubscribe:Feedback-ID; d=x.example\r\n" + MAIL

    result = assessed(pem, signed)

    assert result.prefixes == []
    assert b"Feedback-ID" not in result.prefix.replace(b"DKIM-Signature", b"")


def test_what_is_offered_is_added_once(pem: bytes) -> None:
    assert assessed(pem).prefixes[0].count(b"Feedback-ID:") == 1
    assert b"Feedback-ID:" not in assessed(pem, b"FEEDBACK-ID: 1:x\r\n" + MAIL).prefixes[0]


def test_own_lines_are_given_unsigned_too(pem: bytes) -> None:
    assert [own in prefix for own, prefix in zip(OWN, assessed(pem, signers=[]).prefixes, strict=True)] == [True] * 3


def _no_pool(_keys: object) -> ContentPool:
    raise AssertionError("there is nothing to sign with")


def test_a_relay_without_content_workers_adds_the_same() -> None:
    request = ContentRequest(MAIL, "a@example.com", "mx.example.com", 1_795_500_000.5, offered=OFFERED, own=OWN)

    result = asyncio.run(BareContent(_no_pool).assess(request))

    assert [own in prefix and OFFERED[0] in prefix for own, prefix in zip(OWN, result.prefixes, strict=True)] == [
        True
    ] * 3
    assert b"List-Unsubscribe" not in result.prefix


def test_many_signatures_get_their_time() -> None:
    def request(recipients: int) -> ContentRequest:
        return ContentRequest(MAIL, "", "mx", 0.0, sign=SIGNERS * 2, own=OWN[:1] * recipients)

    assert extra_seconds([request(0)]) == 0
    assert extra_seconds([request(1000)]) == 10  # two signatures each
