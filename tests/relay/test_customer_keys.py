"""Signatures with customers' keys: whose mail carries them and whose never does, and how new keys reach the workers."""

import asyncio
import os
import signal
from pathlib import Path

import dkim
import pytest

from relay.content.assess import Assessor
from relay.content.bare import BareContent
from relay.content.protocol import ContentRequest, ContentResult, CustomerKey, KeyChange, Setup, Signer
from relay.content.workers import ContentPool
from relay.delivery.signing.algorithm import Algorithm
from relay.delivery.signing.dkim_keys import dns_record, generate_key
from tests.interop.corpus import real_mail
from tests.relay.test_content_workers import in_a_loop, template, until, workers

RELAY, RSA, ED = generate_key(Algorithm.RSA), generate_key(Algorithm.RSA), generate_key(Algorithm.ED25519)
OTHER = generate_key(Algorithm.ED25519)
ACME = [CustomerKey("acme", "acme.example", "r1", RSA), CustomerKey("acme", "acme.example", "e1", ED)]
EVIL = CustomerKey("evil", "evil.example", "x1", OTHER)
ZONE = {
    b"mw1._domainkey.relay.example.": RELAY,
    b"r1._domainkey.acme.example.": RSA,
    b"e1._domainkey.acme.example.": ED,
    b"x1._domainkey.evil.example.": OTHER,
}
SIGN = [Signer("relay.example", "mw1", "own")]
MAIL = b"From: Shop <a@acme.example>\r\nSubject: hello\r\n\r\nSee you\r\n"


def request(content: bytes = MAIL, account: str = "acme", extra: bytes = b"X-Mailweir-Ref: 1\r\n") -> ContentRequest:
    return ContentRequest(content, "a@b.example", "mx.example", 1_795_500_000.0, extra, SIGN, account=account)


def signed(
    content: bytes = MAIL,
    account: str = "acme",
    keys: list[CustomerKey] = ACME,
    extra: bytes = b"X-Mailweir-Ref: 1\r\n",
) -> bytes:
    [result] = Assessor(None, {"own": RELAY}, [*keys, EVIL]).assess([request(content, account, extra)])
    assert result.error == ""
    return result.prefix + content


def signers(message: bytes) -> list[str]:
    """d= of the signatures that a receiver finds good, the top one first; none may be bad."""
    wire = message if message.endswith(b"\r\n") else message + b"\r\n"
    found = dkim.DKIM(wire, timeout=5)
    count = sum(name.lower() == b"dkim-signature" for name, _ in found.headers)
    for index in range(count):
        assert found.verify(idx=index, dnsfunc=lambda name, timeout=5: dns_record(ZONE[name]).encode()), index
    return [
        value.partition(b"d=")[2].partition(b";")[0].decode()
        + " "
        + value.partition(b"a=")[2].partition(b";")[0].decode()
        for name, value in found.headers
        if name.lower() == b"dkim-signature"
    ]


ALL = ["relay.example rsa-sha256", "acme.example rsa-sha256", "acme.example ed25519-sha256"]


def test_the_relay_and_every_key_of_the_authors_domain_sign() -> None:
    assert signers(signed()) == ALL


@pytest.mark.parametrize("author", ["a@news.acme.example", "A@NEWS.ACME.example", "a@x.y.acme.example"])
def test_a_name_below_is_signed_with_the_key_of_the_domain(author: str) -> None:
    assert signers(signed(f"From: {author}\r\n\r\nx\r\n".encode())) == ALL


@pytest.mark.parametrize(
    "author",
    ["a@example", "a@other.example", "a@acme.example.org", "a@notacme.example", "a", ""],
)
def test_another_author_is_not_signed_for(author: str) -> None:
    assert signers(signed(f"From: {author}\r\n\r\nx\r\n".encode())) == ALL[:1]


def test_a_name_below_does_not_speak_for_the_domain() -> None:
    below = [CustomerKey("acme", "news.acme.example", "r1", RSA)]

    assert signers(signed(MAIL, keys=below)) == ALL[:1]


def test_another_account_never_signs_with_the_key() -> None:
    assert signers(signed(account="evil")) == ALL[:1]
    assert signers(signed(account="")) == ALL[:1]


def test_two_accounts_with_one_domain_sign_with_their_own_key_only() -> None:
    shared = [*ACME[:1], CustomerKey("evil", "acme.example", "x2", OTHER)]

    assert b"s=r1;" in signed(keys=shared)
    assert b"s=x2;" not in signed(keys=shared)


def test_with_two_from_fields_the_domains_name_is_not_lent() -> None:
    assert signers(signed(b"From: a@acme.example\r\nFrom: b@acme.example\r\n\r\nx\r\n")) == ALL[:1]


def test_fields_that_are_added_or_were_there_are_covered_once_each() -> None:
    added = b"List-Unsubscribe: <https://u.example/1>\r\nFeedback-ID: 1:acme\r\n"
    for message in (signed(extra=added), signed(added + MAIL), signed(added + MAIL, extra=added)):
        assert signers(message) == ALL
        assert b"list-unsubscribe" in message.partition(b"h=")[2].partition(b";")[0]

    for field in (b"u.example/1", b"1:acme"):
        with pytest.raises((AssertionError, dkim.ValidationError)):
            signers(signed(extra=added).replace(field, b"elsewhere"))


def test_the_signatures_hold_over_real_mail(corpora: Path) -> None:
    messages = real_mail(corpora, 60)

    assert [signers(_by_acme(content)) for content in messages] == [ALL] * 60


def _by_acme(content: bytes) -> bytes:
    """Real mail as a customer would send it, signed; the signatures of its former life would fail here."""
    head, gap, body = content.partition(b"\n\n")
    lines = head.split(b"\n")
    kept, is_kept = [], True
    for line in lines:
        is_kept = is_kept if line[:1] in (b" ", b"\t") else not line.lower().startswith((b"from:", b"dkim-signature:"))
        kept += [line] if is_kept else []
    whole = b"\n".join([b"From: a@acme.example", *kept]) + gap + body
    return signed(whole.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def test_no_text_form_shows_a_key() -> None:
    for text in (repr(KeyChange(put=ACME)), repr(Setup("none", {"own": RELAY}, 1.0, ACME))):
        assert "PRIVATE" not in text


def domains(result: ContentResult) -> int:
    return result.prefix.count(b"d=acme.example")


@in_a_loop
async def test_a_key_reaches_workers_that_run_and_those_forked_later(tmp_path: Path) -> None:
    pool = ContentPool(model="none", keys={"own": RELAY}, workers=2, timeout_seconds=10)
    await pool.start()
    try:
        before = await asyncio.gather(*(pool.assess(request()) for _ in range(40)))
        pool.change_keys(KeyChange(put=ACME))
        after = await asyncio.gather(*(pool.assess(request()) for _ in range(40)))
        for pid in [template(), *workers()]:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: pool.stats().restarts == 3 and pool.stats().workers == 2)
        renewed = await asyncio.gather(*(pool.assess(request()) for _ in range(40)))
        pool.change_keys(KeyChange(drop=[ACME[0].id]))
        os.kill(workers()[0], signal.SIGKILL)
        await until(lambda: pool.stats().restarts == 4 and pool.stats().workers == 2)
        dropped = await asyncio.gather(*(pool.assess(request()) for _ in range(40)))
    finally:
        await pool.stop()

    assert {(0, "")} == {(domains(result), result.error) for result in before}
    assert {(2, "")} == {(domains(result), result.error) for result in after}
    assert {(2, "")} == {(domains(result), result.error) for result in renewed}
    assert {(1, "")} == {(domains(result), result.error) for result in dropped}


@in_a_loop
async def test_no_message_is_lost_while_keys_change(tmp_path: Path) -> None:
    pool = ContentPool(model="none", keys={"own": RELAY}, workers=2, timeout_seconds=10)
    await pool.start()
    try:
        flood = [asyncio.create_task(pool.assess(request())) for _ in range(400)]
        for number in range(50):
            await asyncio.sleep(0.001)
            pool.change_keys(KeyChange(put=[CustomerKey("acme", f"{number}.example", "s", OTHER)]))
        pool.change_keys(KeyChange(put=ACME))
        await pool.reload("none")
        results = await asyncio.gather(*flood, pool.assess(request()))
    finally:
        await pool.stop()

    assert {""} == {result.error for result in results}
    assert domains(results[-1]) == 2


@in_a_loop
async def test_a_relay_that_signed_nothing_starts_to_with_its_first_key(tmp_path: Path) -> None:
    content = BareContent(
        lambda keys: ContentPool(model="none", keys={"own": RELAY}, workers=1, timeout_seconds=10, customers=keys)
    )
    await content.start()
    try:
        plain = await content.assess(request())
        content.change_keys(KeyChange(put=ACME[:1]))
        content.change_keys(KeyChange(put=ACME[1:]))
        await until(lambda: content.stats().workers == 1)
        await asyncio.sleep(0)
        changed = await content.assess(request())
    finally:
        await content.stop()

    assert b"DKIM" not in plain.prefix
    assert domains(changed) == 2
