"""Mail that goes by MX to a real Postfix and a real Exim: it lies there as it was sent, and its signature holds."""

from dataclasses import dataclass

import dkim
import pytest

from tests.builders import until
from tests.interop import mx_exim, opendkim
from tests.interop.exim import Exim
from tests.interop.hops import OUR_FIELDS, THEIR_FIELDS, Hops, Mailbox, fields_above, id_of, letter
from tests.interop.postfix import Postfix

_LETTERS = {
    "7-bit": letter(),
    "8-bit": letter("Grüße, 你好\r\n".encode(), b"Content-Type: text/plain; charset=utf-8\r\n"),
    "neither charset nor sense": letter(bytes(range(128, 256)) + b"\r\n"),
    "dots": letter(b".\r\n..\r\n.x\r\n...\r\nx.\r\n.\r\n.\r\n"),
    "empty lines": letter(b"\r\n\r\n  \r\n\tx \r\n\r\n\r\n"),
    "no body": letter(b""),
    "a line of 998": letter(b"x" * 998 + b"\r\n" + b"." * 998 + b"\r\n"),
    "a long header": letter(
        b"x\r\n", b"X-Long: " + b" ".join([b"word" * 10] * 20) + b"\r\n folded \r\n\tand folded\r\n"
    ),
    "an mbox line": letter(b"From here on\r\n>From there\r\nFrom me\r\n"),
    "25 MB": letter((b"y" * 76 + b"\r\n") * 320_000),
}


@dataclass(frozen=True)
class _Taker:
    """A receiving server, and the domain whose MX leads to it."""

    server: Postfix | Exim
    mailbox: Mailbox
    domain: str


@pytest.fixture(params=["postfix", "exim"], ids=["to postfix", "to exim"])  # all of them at one relay, by conftest
def taker(request: pytest.FixtureRequest) -> _Taker:
    server, mailbox = request.getfixturevalue(f"at_{request.param}")
    return _Taker(server, mailbox, "signed.hop.example" if request.param == "postfix" else "exim.hop.example")


def _verifies(copy: bytes, direct: Hops) -> bool:
    """Tell what dkimpy says about the relay's signature below the receiving server's own fields."""
    raw = copy.replace(b"\n", b"\r\n")
    return bool(dkim.verify(raw, dnsfunc=lambda name, timeout=5: direct.dkim_record().encode()))


@pytest.mark.parametrize("kind", _LETTERS)
def test_mail_lies_there_as_it_was_sent_and_its_signature_holds(taker: _Taker, direct: Hops, kind: str) -> None:
    content = _LETTERS[kind]

    direct.send(content, f"ann@{taker.domain}", options=["BODY=8BITMIME"])

    (copy,) = taker.mailbox.wait(content, explain=taker.server.log)
    above = fields_above(copy, content)
    assert above >= OUR_FIELDS
    assert above <= OUR_FIELDS | THEIR_FIELDS
    assert _verifies(copy, direct)
    assert not _verifies(copy.replace(b"Subject: order", b"Subject: other"), direct)


def test_opendkim_at_the_receiving_postfix_passes_all(at_postfix: tuple[Postfix, Mailbox], direct: Hops) -> None:
    if not opendkim.is_installed():
        pytest.skip("no opendkim; install Debian's opendkim")
    server, mailbox = at_postfix
    contents = [letter(content.partition(b"\r\n\r\n")[2]) for content in _LETTERS.values()]

    for content in contents:
        direct.send(content, "ann@signed.hop.example", options=["BODY=8BITMIME"])

    for content in contents:
        (copy,) = mailbox.wait(content, explain=server.log)
        assert b"mx.postfix.example;\n\tdkim=pass (2048-bit key" in copy
        assert b"header.d=relay.example" in copy


def test_an_address_beyond_ascii_arrives(taker: _Taker, direct: Hops) -> None:
    content = letter("Grüße\r\n".encode(), "X-Name: Jörg\r\n".encode())

    direct.send(content, f"jörg@{taker.domain}", options=["SMTPUTF8", "BODY=8BITMIME"])

    (copy,) = taker.mailbox.wait(content, explain=taker.server.log)
    assert fields_above(copy, content) <= OUR_FIELDS | THEIR_FIELDS
    assert f"jörg@{taker.domain}".encode() in copy


def test_all_recipients_get_one_copy_and_the_unknown_one_a_report_about_him_alone(taker: _Taker, direct: Hops) -> None:
    content, names = letter(), ["ann", "bob", "unknown", "cem", "dee", "eve"]

    direct.send(content, *(f"{name}@{taker.domain}" for name in names))

    known = sorted(f"{name}@{taker.domain}" for name in names if name != "unknown")
    taker.mailbox.wait(content, len(known), explain=taker.server.log)
    until(lambda: direct.reports(content))
    (report,) = direct.reports(content)
    assert report.recipients == ("shop@shop.example",)
    assert report.content.count(b"Final-Recipient:") == 1
    assert f"Final-Recipient: rfc822; unknown@{taker.domain}".encode() in report.content
    assert b"Diagnostic-Code: smtp; 550 5.1.1" in report.content
    assert known == taker.mailbox.owners(content)
    assert not [name for name in known if name.encode() in report.content]


def test_what_the_sender_asked_of_reports_is_passed_on(taker: _Taker, direct: Hops) -> None:
    content = letter(b"secret words\r\n")

    direct.send(
        content,
        f"ann@{taker.domain}",
        options=["RET=HDRS", "ENVID=QQ314"],
        rcpt_options=["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;old.ann@{taker.domain}"],
    )

    # it is the receiving server that tells of success, so everything has reached it
    until(lambda: direct.reports(content), 20, taker.server.log)
    (report,) = direct.reports(content)
    text = report.content.lower()
    assert f"reporting-mta: dns; mx.{'exim' if 'exim' in taker.domain else 'postfix'}.example".encode() in text
    assert b"original-envelope-id: qq314\r\n" in text
    assert f"original-recipient: rfc822;old.ann@{taker.domain}".encode() in text.replace(b"rfc822; ", b"rfc822;")
    assert b"secret words" not in report.content


def test_who_asked_for_no_report_gets_none(taker: _Taker, direct: Hops) -> None:
    content = letter()

    direct.send(content, f"unknown@{taker.domain}", rcpt_options=["NOTIFY=NEVER"])
    until(lambda: [r for r in direct.records("Bounce", f"unknown@{taker.domain}") if r["told"] == "nobody"])

    assert not direct.reports(content)


def test_a_hop_that_takes_few_recipients_gets_them_in_turns(at_exim: tuple[Exim, Mailbox], direct: Hops) -> None:
    server, mailbox = at_exim
    content, names = letter(), [f"r{number:02}@exim.hop.example" for number in range(4 * mx_exim.MAX_RECIPIENTS + 1)]

    direct.send(content, *names)

    mailbox.wait(content, len(names), explain=server.log)
    assert names == mailbox.owners(content)
    assert id_of(content) not in str(direct.reports(content))
